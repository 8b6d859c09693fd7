#!/usr/bin/env bash
# httpd and its copying twin: files, ranges, dates, HEAD, connections that are kept, requests in a row, another server's
# replies, clients that are slow, wrong or gone, no way out of the directory; the same bytes from both; load by wrk.
PRELOAD_TEST_SECONDS=${PRELOAD_TEST_SECONDS:-300}
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

EXAMPLES=${top_builddir:-$TESTS_DIR/../build}/tools/examples
if ! { [ -x "$EXAMPLES/httpd" ] && [ -x "$EXAMPLES/httpd-copy" ]; }; then skip "the examples are not built"; fi
require_tool curl
require_tool python3

mkdir -p root/sub root/empty
echo '<p>index</p>' >root/index.html
echo 'text with a name that needs signs' >'root/sub/a b%.txt'
: >root/nothing
seq 1 400000 >root/large.txt
head -c 5000000 /dev/urandom >root/random
echo secret >secret
ln -s ../secret root/link
ln -s random root/inside
mkfifo root/fifo
touch -d '2026-11-01 12:00:00 UTC' root/index.html

cat >client.py <<'SCRIPT'
import hashlib, socket, sys, threading

port, out = int(sys.argv[1]), sys.argv[2]
log = []


def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s


def receive_all(s):
    data = b""
    while piece := s.recv(1 << 16):
        data += piece
    return data


class Reader:
    def __init__(self, s):
        self.s, self.data = s, b""

    def more(self):
        piece = self.s.recv(1 << 16)
        assert piece, "the end of the connection"
        self.data += piece

    def reply(self, head_only=False):
        while b"\r\n\r\n" not in self.data:
            self.more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = 0 if head_only or " 304 " in lines[0] else int(fields["content-length"])
        while len(self.data) < length:
            self.more()
        body, self.data = self.data[:length], self.data[length:]
        log.append((lines[0], {k: v for k, v in fields.items() if k != "date"}, hashlib.sha256(body).hexdigest()))
        return int(lines[0].split()[1]), fields, body


def ask(path, *fields, method="GET", version="HTTP/1.1"):
    return "\r\n".join([f"{method} {path} {version}", "Host: test", *fields, "", ""]).encode()


def one(path, *fields, **options):
    s = connect()
    s.sendall(ask(path, *fields, **options))
    return Reader(s).reply(options.get("method") == "HEAD")


large = open("root/large.txt", "rb").read()
random = open("root/random", "rb").read()

# One connection, many requests, one after the other.
s = connect()
r = Reader(s)
for _ in range(3):
    for path, body in (("/large.txt", large), ("/", b"<p>index</p>\n"), ("/random?query", random), ("/nothing", b""),
                       ("/sub/a%20b%25.txt", b"text with a name that needs signs\n"), ("/inside", random)):
        s.sendall(ask(path))
        status, fields, got = r.reply()
        assert status == 200 and got == body, (path, status, len(got))
# The same requests in a row, cut into pieces anywhere, sent while nobody reads.
paths = ["/random", "/", "/large.txt", "/no", "/nothing"] * 40
data = b"".join(ask(path) for path in paths)


def send():
    for i in range(0, len(data), 7):
        s.sendall(data[i:i + 7])


sender = threading.Thread(target=send)
sender.start()
for path in paths:
    status, fields, got = r.reply()
    assert (status, got) == {"/random": (200, random), "/": (200, b"<p>index</p>\n"), "/large.txt": (200, large),
                             "/no": (404, b"404 Not Found\n"), "/nothing": (200, b"")}[path], (path, status)
sender.join()
# A client that says that it has no more questions gets all answers, and then the end.
s.sendall(ask("/") * 500)
s.shutdown(socket.SHUT_WR)
for _ in range(500):
    assert r.reply()[2] == b"<p>index</p>\n"
assert s.recv(1) == b""

status, fields, body = one("/large.txt", method="HEAD")
assert status == 200 and int(fields["content-length"]) == len(large)
s = connect()
s.sendall(ask("/", method="HEAD") + ask("/nothing", "Connection: close"))
assert receive_all(s).count(b"HTTP/1.1 200 OK") == 2
# Without keep-alive in the old version, with it in the new one.
s = connect()
s.sendall(ask("/", version="HTTP/1.0"))
assert receive_all(s).endswith(b"index</p>\n")

for value, wanted in (("bytes=0-9", (0, 10)), ("bytes=100-", (100, len(large))), ("bytes=-7", (len(large) - 7, len(large))),
                      ("bytes=5-5", (5, 6)), ("bytes=10-99999999999", (10, len(large))),
                      ("bytes=-99999999999", (0, len(large)))):
    status, fields, body = one("/large.txt", "Range: " + value)
    assert status == 206 and body == large[wanted[0]:wanted[1]], (value, status, len(body))
    assert fields["content-range"] == f"bytes {wanted[0]}-{wanted[1] - 1}/{len(large)}", fields
for value in ("bytes=99999999999-", "bytes=-0"):
    status, fields, body = one("/large.txt", "Range: " + value)
    assert status == 416 and fields["content-range"] == f"bytes */{len(large)}", (value, status)
for value in ("bytes=5-4", "bytes=", "bytes=a-b", "lines=1-2", "bytes=1-2,5-6", "bytes=--5"):
    assert one("/large.txt", "Range: " + value)[0] == 200, value

date = one("/")[1]["last-modified"]
assert date == "sun, 01 nov 2026 12:00:00 gmt", date
assert one("/", "If-Modified-Since: Sun, 01 Nov 2026 12:00:00 GMT")[0] == 304
assert one("/", "If-Modified-Since: Sun, 01 Nov 2026 11:59:59 GMT")[0] == 200
assert one("/", "If-Modified-Since: yesterday")[0] == 200

# No way out, and nothing that is not a file.
for path in ("/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/link", "//../secret", "/fifo", "/empty",
             "/sub/", "/sub/%00", "/sub\\..\\..\\secret", "/....//secret", "/" + "x" * 4000, "/index.html/"):
    status, fields, body = one(path)
    assert status in (400, 403, 404) and b"secret" not in body, (path, status)

# What is wrong is answered and ends the connection.
for data, wanted in ((b"\0\1\2\r\n\r\n", 400), (b"GET\r\n\r\n", 400), (b"GET / HTTP/2.0\r\n\r\n", 505),
                     (ask("/", method="POST"), 405), (ask("/", method="DELETE"), 405), (ask("*"), 400),
                     (b"GET / HTTP/1.1\r\n\r\n", 400), (ask("/", "Content-Length: 5"), 413), (ask("/", "no colon"), 400),
                     (ask("/", "Transfer-Encoding: chunked"), 413), (b"GET /" + b"x" * 20000, 431),
                     (ask("/%zz"), 400), (ask("/", "bad name: 1"), 400)):
    s = connect()
    s.sendall(data + ask("/"))
    answer = receive_all(s)
    assert answer.startswith(b"HTTP/1.1 %d " % wanted) and answer.count(b"HTTP/1.1") == 1, (data[:50], answer[:50])

# Clients that go in the middle of everything.
for length in (1, 30, 100000):
    s = connect()
    s.sendall((ask("/random") * 20)[:length])
    if length > 1000:
        s.recv(1000)
    s.close()

# Another server's replies: this one's own.
for path, body in (("/random", random), ("/large.txt", large), ("/nothing", b"")):
    s = connect()
    s.sendall(ask(f"/proxy/{port}{path}"))
    assert Reader(s).reply()[2] == body
    s.settimeout(5)
    assert s.recv(1) == b""
s = connect()
s.sendall(ask(f"/proxy/{port}/proxy/{port}/proxy/{port}/random"))
assert Reader(s).reply()[2] == random
assert one(f"/proxy/{port}/large.txt", method="HEAD")[0] == 200
assert one(f"/proxy/{port}/none")[0] == 404
assert one("/proxy/1/none")[0] == 502
assert one("/proxy/70000/none")[0] == 404
# A reply that waits for another server holds the next ones up, not before it, and not on other connections.
quiet = socket.create_server(("127.0.0.1", 0))
held = connect()
held.sendall(ask("/") + ask(f"/proxy/{quiet.getsockname()[1]}/later") + ask("/"))
reader = Reader(held)
assert reader.reply()[2] == b"<p>index</p>\n"
assert one("/")[0] == 200
other, _ = quiet.accept()
question = b""
while b"\r\n\r\n" not in question:
    question += other.recv(1000)
assert question.startswith(b"GET /later HTTP/1.1\r\n"), question
other.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nla")
other.sendall(b"ter\n")
other.close()
assert reader.reply()[2] == b"later\n"
with open(out, "w") as f:
    for entry in log:
        print(entry, file=f)
SCRIPT

started()
{
    grep -q '^http' httpd.url
}

# start [PRELOAD=library] PROGRAM [OPTION…]: sets PID, URL, PORT.
start()
{
    rm -f httpd.url
    env "$@" --proxy --stats root >httpd.url 2>httpd.log </dev/null &
    PID=$!
    track_pid "$PID"
    wait_until 15 started || fail "$* does not start"
    URL=$(cat httpd.url)
    PORT=${URL##*:}
    PORT=${PORT%/}
}

descriptors()
{
    local all=("/proc/$PID/fd"/*)
    echo "${#all[@]}"
}

# httpd keeps the two large files.
all_closed()
{
    [ "$(descriptors)" -le $((before + 2)) ]
}

try()
{
    local name=$1
    shift
    start "$@"
    before=$(descriptors)
    python3 client.py "$PORT" "$name.out" >client.log 2>&1 || fail "$name: the client"
    curl -sS --max-time 20 "${URL}large.txt" "${URL}random" -o one -o two 2>curl.log || fail "$name: curl"
    assert_same root/large.txt one
    assert_same root/random two
    curl -sS --max-time 20 -r 1000-1999 "${URL}large.txt" -o one 2>curl.log || fail "$name: curl with a range"
    dd if=root/large.txt of=wanted bs=1000 skip=1 count=1 2>/dev/null
    assert_same wanted one
    head -c 200000 root/large.txt >one
    curl -sS --max-time 20 -C - "${URL}large.txt" -o one 2>curl.log || fail "$name: curl goes on"
    assert_same root/large.txt one
    curl -sS --max-time 20 --path-as-is "${URL}../secret" -o one 2>curl.log || fail "$name: curl outwards"
    if grep -q secret one; then fail "$name: a way out"; fi
    if command -v wrk >/dev/null; then
        wrk -t 1 -c 20 -d 1s --timeout 10 "${URL}large.txt" >wrk.log 2>&1 || fail "$name: wrk"
        if grep -qE 'Socket errors|Non-2xx' wrk.log; then fail "$name: wrk: $(cat wrk.log)"; fi
        wrk -t 1 -c 50 -d 1s --timeout 10 "$URL" >wrk.log 2>&1 || fail "$name: wrk"
        if grep -qE 'Socket errors|Non-2xx' wrk.log; then fail "$name: wrk: $(cat wrk.log)"; fi
    else
        echo "no wrk here: that part is left out"
    fi
    wait_until 15 all_closed || fail "$name: $(descriptors) open files after, $before before"
    # A reply under way is finished after the signal.
    curl -sS --max-time 20 --limit-rate 4M "${URL}random" -o one 2>curl.log &
    local client=$!
    sleep 0.3
    kill -TERM "$PID"
    wait "$client" || fail "$name: a reply is cut off"
    assert_same root/random one
    wait_until 15 gone "$PID" || fail "$name: it does not end"
    wait "$PID" || fail "$name: status"
    grep -q 'requests' httpd.log || fail "$name: no statistics"
}

try httpd "$EXAMPLES/httpd"
try httpd-copy "$EXAMPLES/httpd-copy"
try httpd-copy-preloaded LD_PRELOAD="$QUARRY_LIB" "$EXAMPLES/httpd-copy"
assert_same httpd-copy.out httpd.out
assert_same httpd-copy.out httpd-copy-preloaded.out

for program in "$EXAMPLES/httpd" "$EXAMPLES/httpd-copy"; do
    start "$program" --idle=1
    python3 -c "
import socket
s = socket.create_connection(('127.0.0.1', $PORT))
s.settimeout(10)
assert s.recv(1) == b''
" 2>client.log || fail "an idle connection stays"
    status=0
    "$program" --port="$PORT" root >wrong.out 2>wrong.log || status=$?
    assert_equal 1 "$status" "status with a port in use"
    grep -q "port $PORT: Address already in use" wrong.log || fail "no word of the port"
    stop "$PID" INT
    for wrong in '' '--port=x root' 'root/random' 'no-such'; do
        status=0
        # shellcheck disable=SC2086 # several words
        "$program" $wrong >wrong.out 2>wrong.log || status=$?
        if [ "$status" = 0 ] || [ ! -s wrong.log ]; then fail "'$wrong' is accepted"; fi
    done
    "$program" --help | grep -q '^usage: httpd' || fail "no help"
done

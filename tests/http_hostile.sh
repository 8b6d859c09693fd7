#!/usr/bin/env bash
# Clients that mean no good: what they send is answered or not, and the next client is served, and the program works.
# shellcheck source-path=SCRIPTDIR source=http-lib.sh disable=SC1091
. "$(dirname "$0")/http-lib.sh"
require_tool python3

serve hostile 127.0.0.1:0 "$TARGET" busy
hostile=$STARTED_PID
cat >client.py <<'SCRIPT'
import os, random, socket, struct, sys, time

port = int(sys.argv[1])


def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(30)
    return s


def drain(s):
    got = b""
    try:
        while part := s.recv(65536):
            got += part
    except ConnectionResetError:
        pass
    s.close()
    return got


def ask(data, end=False):
    s = connect()
    try:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return drain(s)


def status(data, end=False):
    answer = ask(data, end)
    assert answer.count(b"HTTP/1.1") == (answer != b""), answer
    return answer.split(b" ")[1] if answer else b""


def good():
    answer = ask(b"GET /stats.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and body.startswith(b"{"), answer
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n", head


good()
for data, wanted in (
    (b"GET / HTTP/1.1\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\n\n", b"200"),
    (b"GET http://localhost/ HTTP/1.1\r\n\r\n", b"200"),
    (b"GET http://localhost HTTP/1.0\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\r\nX-" + b"a" * 8000 + b": b\r\n\r\n", b"200"),
    (b"GET / HTTP/1.1\r\nX-" + b"a" * 9000 + b": b\r\n\r\n", b"431"),
    (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"431"),
    (b"G" * 1000000, b"431"),
    (b"GET / HTTP/1.1\r\n" * 100 + b"\r\n", b"200"),
    (b"GET / HTTP/2.0\r\n\r\n", b"505"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    (b"GET\r\n\r\n", b"400"),
    (b"GET /\r\n\r\n", b"400"),
    (b"GET  / HTTP/1.1\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1 x\r\n\r\n", b"200"),
    (b"GET /\0 HTTP/1.1\r\n\r\n", b"404"),
    (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
    (b"GET /%s%s%s%n HTTP/1.1\r\n\r\n", b"404"),
    (b"OPTIONS * HTTP/1.1\r\n\r\n", b"400"),
    (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789", b"405"),
    (b"get / HTTP/1.1\r\n\r\n", b"400"),
    (b"\r\n\r\n", b"400"),
    (b"\0", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    (b"GET /none HTTP/1.1\r\n\r\n" * 1000, b"404"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"421"),
    (b"GET / HTTP/1.1\r\nhost: a\r\nHost: localhost\r\n\r\n", b"421"),
):
    assert status(data) == wanted, (data[:60], wanted, status(data))
assert b"none" not in ask(b"GET /none HTTP/1.1\r\n\r\n")
assert b"\r\n\r\n" in ask(b"HEAD /none HTTP/1.1\r\n\r\n") and ask(b"HEAD /none HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
good()

# Nothing at all, half a request, and gone: at once, or by a reset.
for data in (b"", b"G", b"GET / HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"):
    ask(data, end=True)
    s = connect()
    s.sendall(data)
    s.close()
    s = connect()
    s.sendall(data)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
good()

# One byte after another, and who waits for ever is told so.
s = connect()
for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n":
    s.sendall(bytes([byte]))
    time.sleep(0.002)
assert drain(s).startswith(b"HTTP/1.1 200")
start = time.time()
s = connect()
s.sendall(b"GET / HTTP/1.1\r\n")
assert drain(s).startswith(b"HTTP/1.1 408")
assert time.time() - start > 1, "who is slow is given time"
good()

# A client that does not read, and more at once than can wait.
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
s.connect(("127.0.0.1", port))
s.sendall(b"GET /stats.json HTTP/1.1\r\n\r\n")
good()
s.close()
crowd = []
for i in range(100):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", port))
    crowd.append(s)
time.sleep(0.1)
for s in crowd:
    s.close()
good()

# Noise, with a seed.
random.seed(1)
words = [b"GET", b" ", b"/", b"metrics", b"HTTP/1.1", b"\r\n", b"\n", b"Host:", b"localhost", b"?", b"debug=", b"1", b"&",
         b"\0", b"\xff", b"HEAD", b"http://", b"[", b":", b"A" * 3000]
for i in range(300):
    if i % 2:
        data = random.randbytes(random.randrange(2000))
    else:
        data = b"".join(random.choice(words) for _ in range(random.randrange(40)))
    ask(data, end=True)
good()
SCRIPT
timeout 100 python3 client.py "${URL##*:}" >client.log 2>&1 || fail "the client"
assert_mapped "$hostile"
ends "$hostile" hostile
[ "$(wc -l <hostile.err)" = 1 ] || fail "words: $(cat hostile.err)"

# At exit in the middle of an answer, and while a client says nothing.
serve leaving 127.0.0.1:0 "$TARGET" wait
exec 7<>"/dev/tcp/127.0.0.1/${URL##*:}"
ends "$STARTED_PID" leaving
exec 7>&-

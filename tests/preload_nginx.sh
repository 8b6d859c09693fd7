#!/usr/bin/env bash
# nginx: two workers serve static files and compressed ones to several clients, over a unix socket; a reload in the
# middle starts new workers and loses no request.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require NGINX nginx
require_tool python3

mkdir -p www tmp
seq 1 40000 >www/large.txt
echo '<p>hello</p>' >www/index.html
for i in $(seq 50); do seq "$i" "$((i * 20))" >"www/file-$i"; done
user=
[ "$(id -u)" != 0 ] || user="user root;"
cat >nginx.conf <<CONF
$user
daemon off;
worker_processes 2;
pid $WORK/nginx.pid;
error_log $WORK/nginx.log;
events { worker_connections 128; }
http {
    access_log off;
    client_body_temp_path $WORK/tmp; proxy_temp_path $WORK/tmp; fastcgi_temp_path $WORK/tmp;
    uwsgi_temp_path $WORK/tmp; scgi_temp_path $WORK/tmp;
    types { text/html html; }
    default_type text/plain;
    gzip on; gzip_types text/plain; gzip_min_length 1;
    server {
        listen unix:$WORK/nginx.sock;
        root $WORK/www;
        large_client_header_buffers 8 16k;
        location /proxy/ { proxy_pass http://unix:$WORK/nginx.sock:/; proxy_buffers 8 4k; }
        location /echo { return 200 "\$http_x_text|\$arg_q"; }
        location ~ ^/re/[a-z]+-(?<number>[0-9]+)\$ { rewrite ^ /file-\$number break; }
    }
}
CONF
start_preloaded nginx.log "$NGINX" -p "$WORK" -e "$WORK/nginx.log" -c "$WORK/nginx.conf"
SERVER=$STARTED_PID
wait_until 20 test -S nginx.sock || fail "the server does not start"
wait_until 20 test -s nginx.pid || fail "the server has no pid file"
assert_mapped "$SERVER"

workers()
{
    cat "/proc/$SERVER/task/$SERVER/children"
}

two_workers()
{
    [ "$(workers | wc -w)" = 2 ]
}

wait_until 20 two_workers || fail "not two workers"
first=$(workers)
for pid in $first; do assert_mapped "$pid"; done

cat >client.py <<'SCRIPT'
import gzip, http.client, os, socket, sys, threading


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect("nginx.sock")


files = {"/" + name: open("www/" + name, "rb").read() for name in os.listdir("www")}
failures = []


def fetch(connection, path, **headers):
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def client(seed):
    try:
        for round in range(int(sys.argv[1])):
            connection = Connection("localhost")
            for i in range(20):
                path = sorted(files)[(seed * 31 + round * 7 + i) % len(files)]
                prefix = "/proxy" if i % 3 == 0 else ""
                encoding = {"Accept-Encoding": "gzip"} if i % 2 else {}
                # A reload closes idle connections after the answer in progress: then the next request needs a new one.
                try:
                    status, headers, body = fetch(connection, prefix + path, **encoding)
                except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                    connection = Connection("localhost")
                    status, headers, body = fetch(connection, prefix + path, **encoding)
                if headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert status == 200 and body == files[path], (path, status, len(body))
            connection.close()
    except BaseException as e:
        failures.append(repr(e))


threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
c = Connection("localhost")
assert fetch(c, "/")[2] == files["/index.html"]
assert fetch(c, "/no-such-file")[0] == 404
assert fetch(c, "/echo?q=" + "z" * 5000, **{"X-Text": "y" * 6000})[2] == b"y" * 6000 + b"|" + b"z" * 5000
assert fetch(c, "/re/abc-17")[2] == files["/file-17"]
status, headers, body = fetch(c, "/large.txt", Range="bytes=1000-100999")
assert status == 206 and body == files["/large.txt"][1000:101000]
status, headers, body = fetch(c, "/large.txt", Range="bytes=0-9,5000-5999,100000-")
assert status == 206 and "multipart/byteranges" in headers["Content-Type"]
for t in threads:
    t.join()
assert not failures, failures
SCRIPT
python3 client.py 6 >client.log 2>&1 || fail "the first clients"

python3 client.py 25 >>client.log 2>&1 &
clients=$!
track_pid "$clients"
kill -HUP "$SERVER"
replaced()
{
    local pid
    two_workers || return 1
    for pid in $first; do
        case " $(workers) " in *" $pid "*) return 1 ;; esac
    done
}
wait_until 30 replaced || fail "the reload does not replace the workers"
for pid in $(workers); do assert_mapped "$pid"; done
wait "$clients" || fail "clients during the reload"
kill -0 "$SERVER"
stop "$SERVER" QUIT
if grep -E 'exited on signal|\[(emerg|alert|crit)\]' nginx.log; then fail "the server complained"; fi

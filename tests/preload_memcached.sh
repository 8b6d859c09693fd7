#!/usr/bin/env bash
# memcached: threads, hash table growth and slab rebalancing under several clients on a unix socket.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require MEMCACHED memcached
require_tool python3

user=
[ "$(id -u)" != 0 ] || user="-u root"
# shellcheck disable=SC2086 # none or two words
start_preloaded memcached.log "$MEMCACHED" -s "$WORK/memcached.sock" -t 2 -m 64 -c 128 -o hashpower=12 $user
SERVER=$STARTED_PID
wait_until 20 test -S memcached.sock || fail "the server does not start"
assert_mapped "$SERVER"

cat >client.py <<'SCRIPT'
import socket, sys, threading


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(sys.argv[1])
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.file.readline().rstrip(b"\r\n")

    def set(self, key, value):
        self.send(b"set %s 7 0 %d\r\n%s\r\n" % (key, len(value), value))
        assert self.line() == b"STORED"

    def get(self, *keys):
        self.send(b"get " + b" ".join(keys) + b"\r\n")
        found = {}
        while (head := self.line()) != b"END":
            _, key, flags, size = head.split()
            assert flags == b"7"
            found[key] = self.file.read(int(size) + 2)[:-2]
        return found


def value(n):
    return (b"%d," % n) * (1 + n * 7919 % 900)


failures = []


def work(thread):
    try:
        client = Client()
        for n in range(thread, 12000, 4):
            client.set(b"key-%d" % n, value(n))
        for n in range(thread, 12000, 28):
            got = client.get(*[b"key-%d" % m for m in range(n, min(n + 28, 12000), 4)])
            # Values may be evicted, but never wrong.
            assert all(got[k] == value(int(k[4:])) for k in got), "a value is wrong"
        for n in range(thread, 12000, 12):
            client.send(b"delete key-%d\r\n" % n)
            assert client.line() in (b"DELETED", b"NOT_FOUND")
        for round in range(20):
            Client().set(b"mine-%d" % thread, value(round * 1000))
        client.set(b"count-%d" % thread, b"0")
        for _ in range(500):
            client.send(b"incr count-%d 3\r\nappend mine-%d 7 0 4\r\n+end\r\n" % (thread, thread))
            client.line(), client.line()
        assert client.get(b"count-%d" % thread)[b"count-%d" % thread].strip() == b"1500"
        assert client.get(b"mine-%d" % thread)[b"mine-%d" % thread] == value(19000) + b"+end" * 500
    except BaseException as e:
        failures.append(repr(e))
        raise


threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
assert not failures, failures
client = Client()
assert client.get(b"key-0", b"no-such-key") == {}
big = bytes(range(256)) * 3500
client.set(b"big", big)
assert client.get(b"big") == {b"big": big}
client.send(b"stats\r\n")
stats = {}
while (line := client.line()) != b"END":
    _, name, rest = line.split(b" ", 2)
    stats[name] = rest
assert int(stats[b"curr_items"]) > 1000 and int(stats[b"threads"]) == 2, stats
client.send(b"flush_all\r\n")
assert client.line() == b"OK"
client.send(b"get big\r\n")
assert client.line() == b"END"
SCRIPT
python3 client.py memcached.sock >client.log 2>&1 || fail "the client"
kill -0 "$SERVER" || fail "the server is gone"
assert_mapped "$SERVER"
stop "$SERVER"

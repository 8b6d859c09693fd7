#!/usr/bin/env bash
# relay and its copying twin: every byte of every frame reaches every subscriber in order, whatever the sizes, the pieces that
# they come in and the pace of the subscribers; what happens to slow ones; long frames; ends of connections; signals.
PRELOAD_TEST_SECONDS=${PRELOAD_TEST_SECONDS:-300}
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

EXAMPLES=${top_builddir:-$TESTS_DIR/../build}/tools/examples
RELAY=$EXAMPLES/relay
TWIN=$EXAMPLES/relay-copy
LOAD=$EXAMPLES/relay-load
if ! { [ -x "$RELAY" ] && [ -x "$TWIN" ] && [ -x "$LOAD" ]; }; then skip "the examples are not built"; fi
require_tool python3

open_ports()
{
    grep -q '^subscribe' relay.ports
}

# start PROGRAM [OPTION…]: sets PID, PUBLISH, SUBSCRIBE.
start()
{
    rm -f relay.ports
    env ${PRELOAD:+LD_PRELOAD="$PRELOAD"} "$@" --stats >relay.ports 2>relay.log </dev/null &
    PID=$!
    track_pid "$PID"
    wait_until 15 open_ports || fail "$* does not start"
    PUBLISH=$(sed -n 's/^publish .*://p' relay.ports)
    SUBSCRIBE=$(sed -n 's/^subscribe .*://p' relay.ports)
}

load()
{
    "$LOAD" --publish="$PUBLISH" --subscribe="$SUBSCRIBE" "$@" >load.out 2>load.log || fail "$WHAT: load $*"
}

# A number of the line that --stats prints.
number()
{
    sed -n "s/.* $1 \([0-9.]*\).*/\1/p" relay.log
}

every_byte()
{
    WHAT=$1
    shift
    start "$@"
    load --verify --frame=0-3000 --count=3000 --subscribers=20
    load --verify --frame=12-5000 --count=800 --publishers=4 --subscribers=7 --dribble
    load --verify --frame=128 --count=50000 --subscribers=3
    load --verify --frame=16384 --count=1000 --subscribers=20
    load --verify --frame=0 --count=1000 --subscribers=2
    load --verify --frame=100000-3000000 --count=30 --subscribers=3
    load --count=10 --subscribers=0
    stop "$PID"
    WHAT="$WHAT, small buffers and slow subscribers"
    start "$@" --buffer=4K --queue=64K --socket="$SOCKET"
    load --verify --frame=0-20000 --count=300 --subscribers=8 --slow=2 --socket="$SOCKET" --dribble
    load --verify --frame=12-100 --count=8000 --publishers=3 --subscribers=8 --slow=2 --socket="$SOCKET"
    load --verify --frame=10000-100000 --count=60 --subscribers=8 --slow=1 --socket="$SOCKET"
    stop "$PID" INT
    assert_equal 0 "$(number frames_dropped)" "frames dropped"
    [ "$(number frames)" -gt 24000 ] || fail "$WHAT: $(cat relay.log)"
}

descriptors()
{
    local all=("/proc/$PID/fd"/*)
    echo "${#all[@]}"
}

all_closed()
{
    [ "$(descriptors)" = "$before" ]
}

# Connections that have ended are closed, as soon as the kernel has done with their bytes.
ended()
{
    wait_until 15 all_closed || fail "$WHAT: $(descriptors) open files after, $before before"
}

slow_ones()
{
    local before
    WHAT="$1, dropping"
    shift
    start "$@" --slow=drop --queue=200K --socket="$SOCKET"
    before=$(descriptors)
    load --verify --lossy --frame=1000-9000 --count=5000 --subscribers=6 --stall=3 --socket="$SOCKET"
    ended
    stop "$PID"
    [ "$(number frames_dropped)" -gt 1000 ] || fail "$WHAT: nothing dropped: $(cat relay.log)"
    assert_equal 0 "$(number slow_disconnected)" "disconnected"
    WHAT="${WHAT%,*}, disconnecting"
    start "$@" --slow=disconnect --queue=200K --socket="$SOCKET"
    before=$(descriptors)
    load --verify --lossy --frame=1000-9000 --count=5000 --subscribers=4 --stall=4 --socket="$SOCKET"
    ended
    grep -q 'too slow: disconnected' relay.log || fail "$WHAT: $(cat relay.log)"
    stop "$PID"
    assert_equal 4 "$(number slow_disconnected)" "disconnected"
}

cat >client.py <<'SCRIPT'
import os, signal, socket, struct, sys, time

publish, subscribe, pid, out = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s


def receive(s, length):
    data = b""
    while len(data) < length:
        piece = s.recv(length - len(data))
        assert piece, f"the end after {len(data)} of {length} bytes"
        data += piece
    return data


def subscriber():
    s = connect(subscribe)
    assert receive(s, 4) == bytes(4), "no greeting"
    return s


def frame(text):
    return struct.pack(">I", len(text)) + text


a, b = subscriber(), subscriber()
p = connect(publish)
everything = b""


def expect(data):
    global everything
    everything += data
    for s in (a, b):
        got = receive(s, len(data))
        assert got == data, (got[:50], data[:50])


# A frame in single bytes; nothing comes before it is whole.
for i, byte in enumerate(frame(b"hello")):
    p.sendall(bytes([byte]))
    time.sleep(0.005)
    if i < 8:
        a.setblocking(False)
        try:
            assert False, a.recv(1)
        except BlockingIOError:
            pass
        a.settimeout(20)
expect(frame(b"hello"))
# Whole frames and a half, then the rest.
p.sendall(frame(b"x" * 100) + frame(b"") + frame(b"y" * 70000)[:35000])
expect(frame(b"x" * 100) + frame(b""))
p.sendall(frame(b"y" * 70000)[35000:] + frame(b"z"))
expect(frame(b"y" * 70000) + frame(b"z"))
# A subscriber goes, with and without having read; another one comes.
c, d = subscriber(), subscriber()
c.close()
p.sendall(frame(b"1" * 1000))
d.close()
p.sendall(frame(b"2" * 1000))
expect(frame(b"1" * 1000) + frame(b"2" * 1000))
e = subscriber()
p.sendall(frame(b"3"))
assert receive(e, 5) == frame(b"3")
expect(frame(b"3"))
# A subscriber that talks is not listened to.
a.sendall(b"some words" * 1000)
# A publisher leaves in the middle of a frame: nobody sees the half.
q = connect(publish)
q.sendall(frame(b"4") + frame(b"5" * 100)[:50])
expect(frame(b"4"))
q.close()
# Two publishers' frames are not mixed.
q = connect(publish)
q.sendall(frame(b"6" * 100)[:60])
time.sleep(0.05)
p.sendall(frame(b"7" * 100))
expect(frame(b"7" * 100))
q.sendall(frame(b"6" * 100)[60:])
expect(frame(b"6" * 100))
# A frame that is too long ends its publisher; what came before it is delivered, the others go on.
q.sendall(frame(b"8") + struct.pack(">I", 1 << 31) + b"data")
expect(frame(b"8"))
try:
    assert q.recv(1) == b"", "the connection is still open"
except ConnectionResetError:
    pass
p.sendall(frame(b"9"))
expect(frame(b"9"))
# The end: what waits is still delivered.
last = frame(b"w" * 3000000)
p.sendall(last)
assert receive(a, 1000) == last[:1000]
os.kill(pid, signal.SIGTERM)
assert receive(a, len(last) - 1000) == last[1000:]
assert receive(b, len(last)) == last
for s in (a, b):
    assert s.recv(1) == b"", "more than was sent"
open(out, "wb").write(everything)
SCRIPT

edges()
{
    WHAT="$1, edges"
    shift
    start "$@"
    python3 client.py "$PUBLISH" "$SUBSCRIBE" "$PID" "$WHAT.bytes" >client.log 2>&1 || fail "$WHAT"
    wait_until 15 gone "$PID" || fail "$WHAT: it does not end"
    wait "$PID" || fail "$WHAT: status"
    grep -q 'left in the middle of a frame' relay.log || fail "$WHAT: no word of the half frame"
    grep -q 'a frame is longer than --frame-limit' relay.log || fail "$WHAT: no word of the long frame"
}

PRELOAD=
SOCKET=16K
for program in "$RELAY" "$TWIN"; do
    name=${program##*/}
    every_byte "$name" "$program"
    slow_ones "$name" "$program"
    edges "$name" "$program"
    for wrong in --queue=0 --slow=maybe --publish=70000 --send=fax --frame-limit=1X; do
        status=0
        "$program" "$wrong" >wrong.out 2>wrong.log || status=$?
        assert_equal 2 "$status" "status with $wrong"
        grep -q -- "${wrong%%=*}: " wrong.log || fail "no word of ${wrong%%=*}"
    done
    start "$program"
    status=0
    "$program" --publish="$PUBLISH" >wrong.out 2>wrong.log || status=$?
    assert_equal 1 "$status" "status with a port in use"
    grep -q "port $PUBLISH: Address already in use" wrong.log || fail "no word of the port"
    stop "$PID"
    "$program" --help | grep -q '^usage: relay' || fail "no help"
done
assert_same "relay-copy, edges.bytes" "relay, edges.bytes"
# As in a sandbox or a build without liburing.
modes="writev zerocopy"
rm -f relay.ports
"$RELAY" --send=uring >relay.ports 2>uring.log &
PID=$!
track_pid "$PID"
if wait_until 5 open_ports; then
    modes="$modes uring"
    stop "$PID"
else
    echo "without io_uring: $(cat uring.log)"
fi
for how in $modes; do
    # Whole requests and a window smaller than a segment make TCP wait for its timer each time.
    if [ "$how" = uring ]; then SOCKET=128K; fi
    every_byte "relay --send=$how" "$RELAY" --send="$how"
    slow_ones "relay --send=$how" "$RELAY" --send="$how"
done
PRELOAD=$QUARRY_LIB
SOCKET=16K
every_byte "relay-copy preloaded" "$TWIN"

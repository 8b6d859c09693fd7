#!/usr/bin/env bash
# The thread that serves, and the process around it: children, exec, closed descriptors, the end, and paths left behind.
# shellcheck source-path=SCRIPTDIR source=http-lib.sh disable=SC1091
. "$(dirname "$0")/http-lib.sh"

# A child neither serves nor holds the socket: when the parent has gone, the address is free.
serve child 127.0.0.1:0 "$TARGET" leave-child
parent=$STARTED_PID
wait "$parent" || fail "the parent of a child"
child=$(sed -n 's/^child //p' child.out)
track_pid "$child"
assert_equal "$("$TARGET" count | grep threads)" "$(grep threads child.out)" "threads and descriptors of the child"
refused || fail "the child serves"
serve heir "${URL#http://}" "$TARGET" wait
[ ! -s heir.err ] || fail "the child holds the port: $(cat heir.err)"
ends "$STARTED_PID" heir
feed child
wait_until 15 gone "$child" || fail "the child does not end"

# The same with a path: the parent takes it along, the child does not.
URL=
serve child "unix:$WORK/sock" "$TARGET" leave-child
wait "$STARTED_PID" || fail "the parent of a child"
[ ! -e sock ] || fail "the parent leaves the socket"
serve heir "unix:$WORK/sock" "$TARGET" wait
feed child
wait_until 15 grep -q 'done' child.out || fail "the child does not end"
get / --unix-socket sock | grep -q "pid $STARTED_PID" || fail "the child has removed another's socket"
ends "$STARTED_PID" heir

# A program that execs serves again.
serve exec "unix:$WORK/sock" "$TARGET" exec
get / --unix-socket sock | grep -q "pid $STARTED_PID" || fail "before exec"
feed exec
twice()
{
    [ "$(grep -c ready exec.out)" = 2 ]
}
wait_until 15 twice || fail "no exec"
get / --unix-socket sock | grep -q "pid $STARTED_PID" || fail "after exec"
ends "$STARTED_PID" exec
[ ! -s exec.err ] || fail "words: $(cat exec.err)"

# All descriptors closed, all numbers given to a file: it serves on, and nothing comes into the file.
serve reuse 127.0.0.1:0 "$TARGET" reuse
for _ in 1 2 3; do get /stats.json >body; done
ends "$STARTED_PID" reuse
[ ! -s reused ] || fail "the program's file has been written to"

# With hardly a descriptor to have.
# shellcheck disable=SC2016 # for that shell
sh -c 'ulimit -n 8; exec "$@"' sh env LD_PRELOAD="$QUARRY_LIB" QUARRY_OPTIONS="http:unix:$WORK/few" "$TARGET" count \
    >few.out 2>few.err || fail "few descriptors: $(cat few.err)"
[ ! -s few.err ] || fail "few descriptors: $(cat few.err)"

# Signals are the program's.
serve signal 127.0.0.1:0 "$TARGET" signal
ends "$STARTED_PID" signal

# main leaves, another thread is the last: the process ends, with what is in its buffers.
serve leaves "unix:$WORK/sock" "$TARGET" main-leaves
threads()
{
    local tasks=("/proc/$1/task"/*)
    [ "${#tasks[@]}" = "$2" ]
}
wait_until 15 threads "$STARTED_PID" 2 || fail "the thread outlasts main"
[ ! -e sock ] || fail "the socket outlasts the thread"
ends "$STARTED_PID" leaves

# Killed: the path stays, and is taken over.
serve killed "unix:$WORK/sock" "$TARGET" wait
kill -KILL "$STARTED_PID"
wait_until 15 gone "$STARTED_PID" || fail "it survives"
[ -S sock ] || fail "who has removed the socket?"
serve next "unix:$WORK/sock" "$TARGET" wait
next=$STARTED_PID
get / --unix-socket sock | grep -q "pid $next" || fail "the path is not taken over"
# While somebody listens, it is not.
QUARRY_OPTIONS="http:unix:$WORK/sock" preloaded "$TARGET" count >count.out 2>count.err
assert_equal "quarry: http: another process serves unix:$WORK/sock" "$(cat count.err)" "words of the second process"
get / --unix-socket sock | grep -q "pid $next" || fail "the path has been taken away"
# A path that has become somebody else's is not removed at exit.
mv sock elsewhere
echo text >sock
ends "$next" next
[ "$(cat sock)" = text ] || fail "another's file is gone"
# And what is no socket is not touched.
QUARRY_OPTIONS="http:unix:$WORK/sock" preloaded "$TARGET" count >count.out 2>count.err
assert_equal "quarry: http: cannot listen on unix:$WORK/sock: File exists" "$(cat count.err)" "a file"
[ "$(cat sock)" = text ] || fail "a file is gone"
rm sock
ln -s elsewhere sock
QUARRY_OPTIONS="http:unix:$WORK/sock" preloaded "$TARGET" count >count.out 2>count.err
assert_equal "quarry: http: cannot listen on unix:$WORK/sock: File exists" "$(cat count.err)" "a link"
[ -L sock ] || fail "a link is gone"
rm sock elsewhere

# A pipeline, all with the same option, on a path that is left over: one serves, the others say so, all do their work.
serve left "unix:$WORK/sock" "$TARGET" wait
kill -KILL "$STARTED_PID"
wait_until 15 gone "$STARTED_PID" || fail "it survives"
export QUARRY_OPTIONS="http:unix:$WORK/sock"
(
    export LD_PRELOAD="$QUARRY_LIB"
    seq 1 100000 | sort -n -r | sort -n | tail -n 1 >pipe.out
) 2>pipe.err
unset QUARRY_OPTIONS
assert_equal 100000 "$(cat pipe.out)" "the pipeline's work"
if grep -v "^quarry: http: another process serves unix:$WORK/sock$" pipe.err; then fail "words of the pipeline"; fi
[ ! -e sock ] || [ -S sock ] || fail "the socket is none"
rm -f sock

# Started without a standard input, the socket may get its number.
(
    exec <&-
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_OPTIONS="http:unix:$WORK/sock" sleep 30 &
    echo $! >closed.pid
)
track_pid "$(cat closed.pid)"
wait_until 15 get / --unix-socket sock >/dev/null 2>&1 || fail "nothing is served without a standard input"
kill "$(cat closed.pid)"
wait_until 15 gone "$(cat closed.pid)" || fail "it does not end"
rm -f sock

# Ten at once on a path that is left over: one serves, nine say so.
serve left "unix:$WORK/sock" "$TARGET" wait
kill -KILL "$STARTED_PID"
wait_until 15 gone "$STARTED_PID" || fail "it survives"
mkfifo crowd.in
exec 8<>crowd.in
crowd=
for i in 1 2 3 4 5 6 7 8 9 10; do
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_OPTIONS="http:unix:$WORK/sock" "$TARGET" wait <&8 >"crowd$i.out" 2>"crowd$i.err" &
    crowd="$crowd $!"
    track_pid $!
done
all_ready()
{
    [ "$(cat crowd*.out | grep -c ready)" = 10 ]
}
wait_until 20 all_ready || fail "not all of them start"
assert_equal 9 "$(cat crowd*.err | wc -l)" "those that do not serve"
get / --unix-socket sock >body
echo 1234567890 >&8
for pid in $crowd; do wait "$pid" || fail "one of many"; done
[ ! -e sock ] || fail "the socket stays"

#!/usr/bin/env bash
# Dumps while the program runs: at intervals, at peaks, for a signal, near the limit of a control group; in forked children; and a
# signal that ends the program still does.
# shellcheck source-path=SCRIPTDIR source=reports-lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/reports-lib.sh"
require_validator

threads()
{
    find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l
}

# Intervals: two at least, in a program that sleeps, and the one at exit.
start_target json:tick.%n stats_interval:1 await tick.2
wait "$STARTED_PID" || fail "the program does not see its dumps"
valid tick.1 tick.2
assert_equal interval "$(field tick.1 reason)" "the reason"
last=$(count 'tick.*')
valid reason=exit "tick.$last"
# Without a number, the latest one is there.
target json:latest stats_interval:1 until latest
valid reason=exit latest

# Peaks: ten steps, each well above the one before; the latest three stay, beside the one at exit.
target json:peak.%n stats_peak,stats_files:3 grow
assert_equal "peak.10 peak.11 peak.8 peak.9" "$(echo peak.*)" "the files"
valid peak.*
assert_equal "peak peak peak exit" "$(for i in 8 9 10 11; do field peak.$i reason; done | tr '\n' ' ' | sed 's/ $//')" "the reasons"
[ "$(field peak.10 memory.live)" -ge $((80 << 20)) ] || fail "the last peak is not the highest"
[ "$(field peak.8 memory.live)" -lt "$(field peak.9 memory.live)" ] || fail "the peaks do not grow"

# A signal that would not be missed otherwise.
start_target json:sig.%n.%r stats_signal:USR1 await go
wait_until 20 grep -q waiting out.log || fail "it does not start"
for i in 1 2 3; do
    kill -USR1 "$STARTED_PID"
    wait_until 20 test -e "sig.$i.signal" || fail "no dump for signal $i"
done
assert_equal 2 "$(threads "$STARTED_PID")" "threads"
touch go
wait "$STARTED_PID" || fail "the program did not survive the signals"
valid sig.*
valid reason=exit sig.4.exit

# One that ends the program: first the dump, then the end, by that signal.
for signal in TERM HUP INT; do
    rm -f go end.*
    start_target json:end.%r stats_signal:$signal await go
    [ "$signal" != INT ] || continue # a shell starts its background jobs with it ignored, and so it stays
    wait_until 20 grep -q waiting out.log || fail "it does not start"
    kill -$signal "$STARTED_PID"
    status=0
    wait "$STARTED_PID" || status=$?
    assert_equal $((128 + $(kill -l $signal))) "$status" "status after $signal"
    valid reason=signal end.signal
    [ ! -e end.exit ] || fail "a report at exit of a program that was ended"
done
wait_until 20 grep -q 'stats_signal: the signal is ignored' err.log || fail "it does not say that the signal is ignored"
touch go
wait "$STARTED_PID"
rm -f go
# With a heap profile, that is written too.
QUARRY_PROF=1:end.%r.pb start_target json:end.%r stats_signal:TERM await go
wait_until 20 grep -q waiting out.log || fail "it does not start"
kill -TERM "$STARTED_PID"
wait "$STARTED_PID" || true
valid reason=signal end.signal
[ -s end.signal.pb ] && [ ! -e end.exit.pb ] || fail "no profile at a signal that ends the program: $(ls)"
rm -f go end.*
# In a forked child, where there is no thread yet, it ends at once.
target json:end stats_signal:TERM fork-term || fail "a forked child does not end"

# A forked child goes on, with a thread of its own, from one of its first ticks.
target json:child stats_interval:1 fork-until || fail "the child has no dumps"
valid child child.*

# The thread does not keep a process alive whose others have ended, and is not the last, which writes out what is buffered.
start_target json:left stats_interval:100,stats_signal:USR1 main-leaves
wait_until 20 test "$(threads "$STARTED_PID")" -ge 1
touch go
wait "$STARTED_PID" || fail "status $?"
valid reason=exit left
grep -q '^buffered$' out.log || fail "what was buffered is lost"
rm go

# It has no descriptors among those of the program, and all signals are blocked in it.
start_target json:fds stats_interval:1,stats_peak await go
wait_until 20 grep -q waiting out.log || fail "it does not start"
pid=$STARTED_PID
thread=$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 ! -name "$pid" -printf '%f\n')
bare=$(sh -c 'ls -1 /proc/self/fd' 2>/dev/null | wc -l) # one of them is that of ls itself
assert_equal "$bare" "$(find "/proc/$pid/fd" -mindepth 1 | wc -l)" "the program's descriptors, with a duplicate of standard error"
# KILL and STOP cannot be blocked; the C library keeps two for itself.
blocked=$(sed -n 's/^SigBlk:[[:space:]]*//p' "/proc/$pid/task/$thread/status")
case $blocked in
fffffffe7ffbfeff | fffffffffffbfeff | fffffffc7ffbfeff | fffffffd7ffbfeff) ;;
*) fail "signals blocked in the thread: $blocked" ;;
esac
touch go
wait "$pid"
rm go

# On standard error, peaks stop after so many.
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json QUARRY_OPTIONS=stats_peak,stats_files:2 "$PYTHON" -c '
import time
blocks = []
for i in range(6):
    blocks.append(bytearray(16 << 20))
    time.sleep(0.4)' 2>many.err
[ "$(wc -l <many.err)" -le 3 ] || fail "too many dumps"
tail -n 1 many.err >last
valid reason=exit last

# A control group that is nearly full, as far as the file system tells.
if unshare -m true 2>/dev/null; then
    status=0
    # shellcheck disable=SC2016 # for the other shell, which has a file system of its own
    unshare -m bash -c '
        mkdir -p group && mount --bind group /sys/fs/cgroup 2>/dev/null || exit 77
        path=/sys/fs/cgroup$(sed -n "s/^0:://p" /proc/self/cgroup)
        mkdir -p "$path" || exit 77
        echo 1000 >"$path/memory.max"
        echo 100 >"$path/memory.current"
        env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:group.%r.%n QUARRY_OPTIONS=stats_cgroup:90 "$0" await group.cgroup.1 >out.log &
        sleep 0.3
        echo 930 >"$path/memory.current"
        wait $!' "$program" || status=$?
    if [ "$status" != 77 ]; then
        assert_equal 0 "$status" "status in a control group"
        valid reason=cgroup group.cgroup.1
        assert_equal 1 "$(count 'group.cgroup.*')" "dumps"
    fi
fi

#!/usr/bin/env bash
# Reports in files come however a program ends and whatever it closes; and a program's own file is not written to.
# shellcheck source-path=SCRIPTDIR source=reports-lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/reports-lib.sh"
require_validator

for way in return thread closefrom close-all reuse; do
    rm -f out data
    target json:out "" "$way"
    valid reason=exit out
    [ ! -e data ] || assert_equal data "$(cat data)" "the program's own file"
    [ ! -s err.log ] || fail "$way: it says something"
done
# On standard error, where there is still one.
for way in return thread closefrom; do
    target json "" "$way"
    valid reason=exit err.log
done
rm -f data
target json "" reuse
assert_equal data "$(cat data)" "the program's own file"
valid err.log
# Even when it was closed at the start.
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:closed "$program" 0<&- 1>&- 2>&-
valid closed
# ls closes its output itself, and is no worse for the report.
mkdir dir
touch dir/{a,b,c}
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:ls.json ls dir >out.log
assert_equal "a b c" "$(tr '\n' ' ' <out.log | sed 's/ $//')" "what ls prints"
valid program=ls ls.json

# In a pipeline only the program that is meant writes.
env LD_PRELOAD="$QUARRY_LIB" QUARRY_ONLY=sort QUARRY_STATS=json:only.%e.%p bash --norc -c \
    'seq 1000 | sort -r | uniq | (cat; true) | tail -n 1' >out.log
assert_equal 1 "$(cat out.log)" "what the pipeline prints"
assert_equal 1 "$(count 'only.*')" "files"
valid program=sort only.sort.*
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:all.%e.%p bash --norc -c 'seq 1000 | sort -r | uniq | tail -n 1' >out.log
[ "$(count 'all.*')" -ge 5 ] || fail "not all write"
valid all.*

# A program that is not asked does nothing: no file, no thread, no signal.
descriptors()
{
    find "/proc/$1/fd" -mindepth 1 | wc -l
}
"$program" await go >bare.log 2>&1 </dev/null &
bare=$!
track_pid "$bare"
start_preloaded plain.log "$program" await go
wait_until 20 grep -q waiting plain.log || fail "it does not start"
assert_equal 1 "$(find "/proc/$STARTED_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" "threads"
assert_equal 0000000000000000 "$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$STARTED_PID/status")" "signals caught"
wait_until 20 grep -q waiting bare.log || fail "it does not start"
assert_equal "$(descriptors "$bare")" "$(descriptors "$STARTED_PID")" "descriptors"
touch go
wait "$bare"
wait "$STARTED_PID"
assert_equal "waiting done" "$(tr '\n' ' ' <plain.log | sed 's/ $//')" "what it says"

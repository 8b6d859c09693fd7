#!/bin/sh
# quarry run: finds the library, sets the environment and nothing else, and ends as the program does. quarry trim: asks who takes it.
# A program that libquarry.a is part of can be looked into like any other.
# shellcheck source-path=SCRIPTDIR source=command.sh disable=SC1091,SC2154 # variables are set there
set -eu
. "$(dirname "$0")/command.sh"

ask run --dry-run -s -p=x.pb -o purge:0 -o background:on --only 's*' -- sleep 1
[ "$(cat "$folder/out")" = "QUARRY_STATS=text QUARRY_PROF=1:x.pb QUARRY_ONLY=s* QUARRY_OPTIONS=purge:0,background:on LD_PRELOAD=$(dirname "$quarry")/../../.libs/libquarry.so.1 sleep 1" ] ||
    fail "--dry-run prints something else"

ask run -- sh -c 'printf "%s\n" "$1"' sh -n
[ "$(cat "$folder/out")" = -n ] || fail "an option of the program's is taken for run's"
status=0
"$quarry" run -- sh -c 'exit 7' || status=$?
[ "$status" -eq 7 ] || fail "status $status instead of the program's 7"
refused 127 'no-such-program: No such file' run -- no-such-program
refused 126 'Permission denied' run -- /dev/null
refused 1 'No such file' run --library=/no/such/library -- true

# A static program runs all the same, but not with Quarry.
echo 'int main(void) { return 5; }' >"$folder/five.c"
if $CC -static -o "$folder/five" "$folder/five.c" 2>/dev/null; then
    for name in "$folder/five" five; do
        status=0
        PATH="/no/such:$folder:$PATH" "$quarry" run -- "$name" 2>"$folder/err" || status=$?
        [ "$status" -eq 5 ] || fail "status $status of a static program"
        grep -q 'five is linked statically' "$folder/err" || fail "nothing is said of a static program"
    done
    "$quarry" run -- true 2>"$folder/err"
    [ ! -s "$folder/err" ] || fail "something is said of a dynamic program"
else
    echo "command_run: no static C library here, not tested"
fi

# It is the malloc of the program, and what was preloaded before still is; options add to what there is.
LD_PRELOAD=libdl.so.2 QUARRY_OPTIONS=purge:1 "$quarry" run -s=json:"$folder/stats.%p" -o verbose:on -- sh -c 'tr "\0" "\n" </proc/self/environ; grep -c libquarry /proc/self/maps' >"$folder/out" 2>"$folder/err" ||
    fail "run fails"
grep -qE '^LD_PRELOAD=.*libquarry\.so\.1:libdl\.so\.2$' "$folder/out" || fail "LD_PRELOAD"
grep -qx 'QUARRY_OPTIONS=purge:1,verbose:on' "$folder/out" || fail "QUARRY_OPTIONS"
grep -qE '^QUARRY_STATS=json:' "$folder/out" || fail "QUARRY_STATS"
[ "$(tail -n 1 "$folder/out")" -gt 0 ] || fail "the library is not loaded"

# --- trim ---------------------------------------------------------------------------------------------------------------------------

start_redis -o "http:unix:$folder/%p.http" -o purge:-1
redis-benchmark -s "$folder/socket" -q -n 50000 -r 100000 -d 500 -t set >/dev/null 2>&1
redis-cli -s "$folder/socket" flushall >/dev/null
ask trim "$redis"
[ "$(sed -n 's/.*given back to the system (\([0-9]*\) bytes)/\1/p' "$folder/out")" -gt 1000000 ] || fail "nothing is given back"
ask trim "unix:$folder/$redis.http"
kill "$redis"
wait "$redis" || true
rm -f "$folder/socket"
start_redis -o "http:127.0.0.1:0"
refused 1 'listens on a port, where it answers questions and takes no orders' trim "$redis"

# --- the static archive ----------------------------------------------------------------------------------------------------------------

cat >"$folder/static.c" <<'SOURCE'
#include <quarry/quarry.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    static void *volatile block[1000];
    for (int i = 0; i < 1000; i++)
        block[i] = qy_malloc(1024);
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
SOURCE
for mode in '-fPIE -pie' '-fno-pie -no-pie' -static; do
    # shellcheck disable=SC2086 # words
    $CC $mode -I"$top_srcdir/include" -o "$folder/program" "$folder/static.c" "$top_builddir/libquarry.a" -pthread ||
        fail "cannot link with $mode"
    rm -f "$folder/ready"
    "$folder/program" >"$folder/ready" &
    program=$!
    started="$started $program"
    within 10 grep -q ready "$folder/ready"
    ask stat "$program"
    [ "$(awk '$1 == 1024 { print $3; exit }' "$folder/out")" -eq 1000 ] || fail "$mode: not 1000 live blocks"
    kill -KILL "$program"
    wait "$program" 2>/dev/null || true
    # Without a symbol table, by the magic.
    strip "$folder/program"
    rm -f "$folder/ready"
    "$folder/program" >"$folder/ready" &
    program=$!
    started="$started $program"
    within 10 grep -q ready "$folder/ready"
    ask stat "$program"
    [ "$(awk '$1 == 1024 { print $3; exit }' "$folder/out")" -eq 1000 ] || fail "$mode, stripped: not 1000 live blocks"
    kill -KILL "$program"
    wait "$program" 2>/dev/null || true
done

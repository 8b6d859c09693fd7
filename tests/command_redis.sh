#!/bin/sh
# quarry stat, top and map on redis-server: under load, stopped, and on its core file. A stopped process and its core have the same
# numbers; the states sum to what is mapped; redis notices nothing.
# shellcheck source-path=SCRIPTDIR source=command.sh disable=SC1091,SC2154 # variables are set there
set -eu
. "$(dirname "$0")/command.sh"

start_redis

# sums FILE: the states of a text report sum to mapped.
sums()
{
    sum=0
    for state in live 'free in slabs' cached dirty clean metadata; do
        n=$(number "$state" "$1")
        [ -n "$n" ] || fail "$1 lacks \"$state\""
        sum=$((sum + n))
    done
    [ "$sum" -eq "$(number '= mapped' "$1")" ] || fail "$1: the states sum to $sum, not to what is mapped"
}

# --- Under load ---------------------------------------------------------------------------------------------------------------

redis-benchmark -s "$folder/socket" -q -n 60000 -r 100000 -d 100 -t set,get,lpush,lpop >"$folder/load" 2>&1 &
load=$!
looks=0
while kill -0 "$load" 2>/dev/null && [ "$looks" -lt 40 ]; do
    ask stat "$redis"
    sums "$folder/out"
    looks=$((looks + 1))
done
wait "$load" || fail "the load fails: $(cat "$folder/load")"
[ "$looks" -ge 5 ] || fail "only $looks looks under load"
[ "$(redis-cli -s "$folder/socket" ping)" = PONG ] || fail "redis does not answer"
! grep -q '^quarry' "$folder/redis.log" || fail "the library says something: $(cat "$folder/redis.log")"

# --- What is in it ------------------------------------------------------------------------------------------------------------

ask stat "$redis"
grep -q "redis-server (pid $redis)" "$folder/out" || fail "the report does not name the process"
grep -q '^verdict: ' "$folder/out" || fail "there is no verdict"
ours=$(number '  ours' "$folder/out")
[ "$ours" -gt 0 ] && [ "$ours" -le "$(number resident "$folder/out")" ] || fail "resident sizes make no sense"

ask top --batch -n 3 -d 0.1 "$redis"
[ "$(grep -c '^quarry top: redis-server' "$folder/out")" -eq 3 ] || fail "not three pages"
[ "$(grep -c 'heap      tid' "$folder/out")" -eq 3 ] || fail "no threads"
[ "$(grep -c '^ *[0-9]* .*%$' "$folder/out")" -gt 30 ] || fail "no classes"

# --- Stopped, and its core ------------------------------------------------------------------------------------------------------

kill -STOP "$redis"
within 10 grep -q '^State:.*stopped' "/proc/$redis/status"

# A map has as many characters as its frames have granules, and its legend counts them all.
map_sums()
{
    frames=$(awk '/frames of 2 MiB/ { print $(NF - 4) }' "$1")
    drawn=$(awk 'substr($0, 15, 2) == "  " && length($0) == 80 && $1 ~ /^[0-9a-f]+$/ { n += length(substr($0, 17)) } END { print n }' "$1")
    told=$(awk '/^ +granules/ { legend = 1; next } legend && $1 != "=" { print substr($0, 6, 10) }' "$1" | awk '{ n += $1 } END { print n }')
    [ "$frames" -gt 0 ] && [ "$drawn" -eq $((frames * 64)) ] || fail "$1: $drawn characters for $frames frames"
    [ "$told" -eq "$drawn" ] || fail "$1: the legend counts $told of $drawn"
}

for form in '' --json --prom; do
    # shellcheck disable=SC2086 # no argument if it is empty
    ask stat $form "$redis"
    cp "$folder/out" "$folder/stopped$form"
done
ask map "$redis"
cp "$folder/out" "$folder/stopped-map"
map_sums "$folder/stopped-map"
ask map --color=always "$redis"
[ "$(sed 's/\x1b\[[0-9;]*m//g' "$folder/out")" = "$(cat "$folder/stopped-map")" ] || fail "in colour, the map is another"
grep -q "$(printf '\033')" "$folder/out" || fail "there is no colour"

command -v gcore >/dev/null || { echo "skipped: there is no gcore (Debian: apt-get install gdb)"; exit 77; }
gcore -o "$folder/core" "$redis" >"$folder/gcore" 2>&1 || fail "gcore fails: $(tail -n 3 "$folder/gcore")"
kill -CONT "$redis"
core=$folder/core.$redis
mapped=$(number '= mapped' "$folder/stopped")
[ "$(stat -c %s "$core")" -lt $((mapped + 256 * 1024 * 1024)) ] || fail "the core has $(stat -c %s "$core") bytes, for $mapped mapped"

# What is resident a core does not say, nor when exactly it was.
ask stat "$core"
for file in stopped out; do
    sed '1d; /resident/d; /^    ours/d; /^    not ours/d; /^verdict/d' "$folder/$file" >"$folder/$file.numbers"
done
cmp "$folder/stopped.numbers" "$folder/out.numbers" || fail "the core has other numbers than the stopped process"
grep -q "redis-server (core of pid $redis)" "$folder/out" || fail "the core's program is not named"
ask map "$core"
[ "$(sed 1d "$folder/out")" = "$(sed 1d "$folder/stopped-map")" ] || fail "the core has another map"
ask stat --json "$core"
cp "$folder/out" "$folder/core--json"
ask stat --prom "$core"
for file in stopped--prom out; do
    grep -vE 'resident|uptime' "$folder/$file" >"$folder/$file.numbers"
done
cmp "$folder/stopped--prom.numbers" "$folder/out.numbers" || fail "the core has other numbers in Prometheus's format"

# --- JSON --------------------------------------------------------------------------------------------------------------------------

command -v python3 >/dev/null || { echo "skipped: there is no python3 (Debian: apt-get install python3)"; exit 77; }
python3 - "$top_srcdir/doc/quarry-stats.schema.json" "$folder/stopped--json" "$folder/core--json" "$redis" <<'PYTHON' || fail "JSON"
import json, sys
schema, live, core = (json.load(open(name)) for name in sys.argv[1:4])
for document in live, core:
    m = document["memory"]
    assert sum(m[k] for k in ("live", "free_in_slabs", "cached", "dirty", "clean", "metadata")) == m["mapped"], m
    assert document["pid"] == int(sys.argv[4]) and document["program"] == "redis-server" and document["reason"] == "command"
    if "map" in document:
        assert all(len(frame) == 64 for frame in document["map"]["frames"])
for key in live:
    if key not in ("memory", "verdict", "time_unix_ms", "uptime_ms"):
        assert live[key] == core[key], (key, live[key], core[key])
for key, value in live["memory"].items():
    assert key.startswith("resident") or core["memory"][key] == value, key
try:
    import jsonschema
except ImportError:
    print("not validated: there is no jsonschema (Debian: apt-get install python3-jsonschema)")
else:
    for document in live, core:
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
PYTHON

if command -v promtool >/dev/null; then
    promtool check metrics <"$folder/stopped--prom" >"$folder/promtool" 2>&1 && [ ! -s "$folder/promtool" ] ||
        fail "promtool: $(cat "$folder/promtool")"
fi

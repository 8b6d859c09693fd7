#!/usr/bin/env bash
# QUARRY_STATS=prom: promtool has nothing to say about it, and its numbers add up.
# shellcheck source-path=SCRIPTDIR source=reports-lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/reports-lib.sh"
require_promtool

# accepted FILE
accepted()
{
    promtool check metrics <"$1" >promtool.log 2>&1 || fail "promtool refuses $1"
    [ ! -s promtool.log ] || fail "promtool complains about $1"
    awk '
        /^quarry_memory_bytes\{/ { sum += $NF }
        /^quarry_mapped_bytes / { mapped = $NF }
        /^quarry_calls_total\{/ { calls += $NF }
        END { exit !(mapped > 0 && sum == mapped && calls > 0) }' "$1" || fail "$1 does not add up"
}

target prom "" return
accepted err.log
target prom:report.%p "" fork
assert_equal 2 "$(count 'report.*')" "files"
for file in report.*; do
    accepted "$file"
done
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=prom:ls.prom ls / >out.log
accepted ls.prom
# Labels are quoted, whatever the program is called.
mkdir names
for name in 'a"b\c' $'new\nline' $'not\xff\xc0utf8' 'a{b,"c"} 1'; do
    cp "$program" "names/$name"
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=prom "./names/$name" >out.log 2>err.log
    accepted err.log
done

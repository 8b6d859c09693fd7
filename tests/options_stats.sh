#!/bin/sh
# QUARRY_STATS=1 reports on stderr at exit: once, however the program ends, and although it closed stderr before.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

# The report names the program and has the totals and the verdict.
expect_reports()
{
    [ "$(grep -c 'options_target' "$folder/err")" -ge "$1" ] || fail "$way: expected $1 reports"
    [ "$(grep -ci '^ *verdict' "$folder/err")" -eq "$1" ] || fail "$way: expected $1 verdicts"
    for word in live metadata resident peak; do
        grep -qi "$word" "$folder/err" || fail "$way: the report lacks \"$word\""
    done
}

for way in return exit-in-thread close-stderr fork; do
    run QUARRY_STATS=1 "$program" "$way"
    expect_reports 1
done

# A child that calls exit reports for itself.
way=fork-exit
run QUARRY_STATS=1 "$program" "$way"
expect_reports 2

# A descriptor 2 that means something else at the end gets nothing, and the report is not lost.
way=reuse-stderr
run QUARRY_STATS=1 "$program" "$way"
expect_reports 1

# Nowhere to write: no harm.
timeout -k 5 30 env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=1 "$program" >"$folder/out" 2>&- || fail "with stderr closed from the start"

#!/bin/sh
# An unknown key gives one warning, which names it and the nearest one; the other keys of the list still count.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

run QUARRY_OPTIONS=backgruond:1 "$program"
says 1 "^quarry: .*backgruond.*did you mean .?background"
run QUARRY_OPTIONS=prge:1 "$program"
says 1 "^quarry: .*prge.*did you mean .?purge"

# Nothing is near this one.
run QUARRY_OPTIONS=qqqqqqqqqqqqqqqqqqqq:1 "$program"
says 1 "^quarry: .*qqqqqqqqqqqqqqqqqqqq"

# One line each, and help, which comes after them, is not lost.
run QUARRY_OPTIONS=backgruond:1,purge:100,prge:7,help "$program"
[ "$(grep -cE 'did you mean' "$folder/err")" -eq 2 ] || fail "expected two warnings"
grep -qE '(^|[^a-z])deepbind([^a-z]|$)' "$folder/err" || fail "help was lost"

# Nonsense of every kind is survived.
run QUARRY_OPTIONS=,,,:::,=,purge,purge:,:5,purge:-7,purge:99999999999999999999,help:help "$program"
long=$(printf '%05000d' 7)
run QUARRY_OPTIONS="$long:$long,purge:$long" "$program"

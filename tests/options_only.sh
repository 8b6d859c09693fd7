#!/bin/sh
# QUARRY_ONLY=glob limits all other variables to programs whose name matches.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

for glob in 'other*' options_targe options_target_ '?' 'OPTIONS_TARGET'; do
    run QUARRY_ONLY="$glob" QUARRY_OPTIONS=help,nonsense:1 QUARRY_STATS=1 "$program"
    says 0
done
for glob in options_target 'options_*' '*target' '*' 'options?target' 'o*n*t'; do
    run QUARRY_ONLY="$glob" QUARRY_OPTIONS=help "$program"
    [ -s "$folder/err" ] || fail "QUARRY_ONLY=$glob: nothing was said"
done

#!/bin/sh
# QUARRY_OPTIONS=live:page: numbers in shared memory, for whoever may look at the process's files.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

target=$top_builddir/tests/live_target

for way in work exec close fork threads; do
    run QUARRY_OPTIONS=live:page "$target" "$way"
    says 0
done

# Nobody asked.
run "$target" none
run QUARRY_OPTIONS=live:off "$target" none
says 0

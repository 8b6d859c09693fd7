#!/bin/sh
# QUARRY_OPTIONS=help lists the options on stderr, and the program runs on.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

run QUARRY_OPTIONS=help "$program"
for key in background purge thp deepbind buf_track; do
    grep -qE "(^|[^a-z])$key([^a-z]|\$)" "$folder/err" || fail "help does not name \"$key\""
done

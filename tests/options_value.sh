#!/bin/sh
# A bad value gives one warning that names the key and the value.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

run QUARRY_OPTIONS=background:banana "$program"
says 1 "^quarry: .*background" "^quarry: .*banana"
run QUARRY_OPTIONS=purge:soon "$program"
says 1 "^quarry: .*purge" "^quarry: .*soon"
run QUARRY_OPTIONS=thp:huge,purge:250 "$program"
says 1 "^quarry: .*thp" "^quarry: .*huge"

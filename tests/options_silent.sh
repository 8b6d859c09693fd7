#!/bin/sh
# Without options, with empty ones and with harmless ones the library says nothing at all.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/options.sh"

run "$program"
says 0
run QUARRY_OPTIONS= QUARRY_STATS= QUARRY_ONLY= "$program"
says 0
run QUARRY_OPTIONS=background:0 QUARRY_STATS=0 "$program"
says 0
run QUARRY_OPTIONS=background:1 "$program"
says 0

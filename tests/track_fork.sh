#!/bin/sh
# A forked child tells of what it has retained itself, and not of its parent's.
# shellcheck source-path=SCRIPTDIR source=track.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/track.sh"

for way in fork fork-threads; do
    timeout -k 5 30 env LD_PRELOAD="$QUARRY_LIB" QUARRY_OPTIONS=buf_track:sites "$program" $way \
        >"$folder/out" 2>"$folder/err" || fail "$way: ended with status $?"
    child=$(sed -n 's/^child //p' "$folder/out")
    line "pid $child\): 3 references to 3 blocks, 12288 bytes, not released" >/dev/null
    line "1 reference to 1 block, [0-9]+ bytes, not released" >/dev/null
    place_in clone_here "$(line "3 references to 3 blocks, 12288 bytes, retained at ")"
done

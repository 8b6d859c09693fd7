#!/bin/sh
# References that are never released are told of at exit: grouped, with the places where they and their blocks were made.
# shellcheck source-path=SCRIPTDIR source=track.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/track.sh"

run QUARRY_OPTIONS=buf_track:sites "$program" clones
says 4
line "track_target \(pid [0-9]+\): 3 references to 3 blocks, 12288 bytes, not released" >/dev/null
place_in make_here "$(line "^quarry:   3 blocks, 12288 bytes, made at ")"
place_in clone_here "$(line "^quarry:     3 references to 3 blocks, 12288 bytes, retained at ")"
place_in drop_here "$(line "^quarry:     others were released 3 times at ")"

# The bytes that the reference needs stand beside those that it keeps.
run QUARRY_OPTIONS=buf_track:sites "$program" part
place_in sub_here "$(line "1 reference to 1 block, [0-9]+ bytes \(for 100\), retained at ")"

# A block from malloc: the free is matched with the malloc.
run QUARRY_OPTIONS=buf_track:sites "$program" retain
line "1 block, [0-9]+ bytes, from malloc" >/dev/null
place_in retain_here "$(line "1 reference to 1 block, [0-9]+ bytes, retained at ")"
place_in free_here "$(line "released 1 time at ")"

# full: the callers too.
run QUARRY_OPTIONS=buf_track:full "$program" clones
place_in clone_here "$(line "3 references to 3 blocks, 12288 bytes, retained at ")"
grep -A1 "retained at" "$folder/err" | grep -q "called from track_target+0x" || fail "no caller"

#!/bin/sh
# A release too many ends the process, and the message says where the block was released before.
# shellcheck source-path=SCRIPTDIR source=track.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/track.sh"

aborts QUARRY_OPTIONS=buf_track:sites "$program" over
line "qy_release\(0x[0-9a-f]+\): released more often than retained" >/dev/null
place_in release_again_here "$(line "[^,] last released at")"
place_in drop_here "$(line "before that, released at")"
place_in make_here "$(line " made at")"

aborts QUARRY_OPTIONS=buf_track:sites "$program" over-free
line "free\(0x[0-9a-f]+\): released more often than retained" >/dev/null
place_in free_here "$(line "[^,] last released at")"
place_in drop_here "$(line "before that, released at")"

# A block from malloc may be anybody's by then: it is the allocator that notices.
aborts QUARRY_OPTIONS=buf_track:sites "$program" over-malloc
place_in release_again_here "$(line "[^,] last released at")"
place_in release_here "$(line "before that, released at")"

aborts QUARRY_OPTIONS=buf_track:full "$program" over
place_in drop_here "$(line "before that, released at")"
grep -q "called from track_target+0x" "$folder/err" || fail "no caller"

#!/bin/sh
# The statistics count references and the bytes that they keep: by the counts alone, or by what was tracked.
# shellcheck source-path=SCRIPTDIR source=track.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/track.sh"

# value NAME: the number in the line of this name, the first or, with `last`, the last one.
value()
{
    awk -v name="$1" '{ text = $0; sub(/^ +/, "", text) } index(text, name " ") == 1 {
        sub(name " +", "", text); split(text, words, " "); print words[1] }' "$folder/err" | "${2:-head}" -n 1
}

# 4 extra references to blocks of 4096, 1024 and 1 MiB.
run QUARRY_STATS=1 "$program" share
[ "$(value "shared blocks")" -eq 3 ] || fail "shared blocks"
[ "$(value extra)" -eq 4 ] || fail "extra references"
[ "$(value "pinned bytes")" -eq $((4096 + 1024 + 1048576)) ] || fail "pinned bytes"
[ "$(value "counted slabs")" -eq 3 ] || fail "counted slabs"
grep -q "buffers" "$folder/err" && fail "nothing is tracked"

# Tracking knows owners who are alone, too, and lengths.
run QUARRY_STATS=1 QUARRY_OPTIONS=buf_track:sites "$program" part
[ "$(value buffers)" -eq 1 ] || fail "buffers"
[ "$(value references tail)" -eq 1 ] || fail "references"
[ "$(value referenced)" -eq 100 ] || fail "referenced bytes"
[ "$(value "pinned bytes" tail)" -ge 60000 ] || fail "pinned bytes of buffers"

# A program without references has no such lines.
run QUARRY_STATS=1 "${top_builddir}/tests/options_target"
grep -q "^references" "$folder/err" && fail "references of a program without"
exit 0

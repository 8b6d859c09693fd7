#!/bin/sh
# The heap profile in its three formats, read by those who read such files: Go's pprof, google-pprof and jeprof. All of them find
# the same totals, which are near the true ones, and the functions that allocated.
# shellcheck source-path=SCRIPTDIR source=profile.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/profile.sh"

# The same in every run, so the error is too: at this rate and seed, about a percent.
options=prof_rate:4K,prof_seed:11
go=$(command -v go || ls /usr/lib/go-*/bin/go 2>/dev/null | tail -n 1 || true)
HOME=$folder # of the tools
PPROF_TMPDIR=$folder
GOCACHE=$folder/cache
GOFLAGS=
export HOME PPROF_TMPDIR GOCACHE GOFLAGS

# bytes: what stands there in units of a reader, "1.5MB" and the like.
bytes()
{
    awk -v s="$1" 'BEGIN { n = s + 0; sub(/^[0-9.]*/, "", s); m = s ~ /^[kK]/ ? 1024 : s ~ /^M/ ? 1048576 : s ~ /^G/ ? 1073741824 : 1
                           printf "%.0f\n", n * m }'
}

# --- legacy text: its own first line has the totals, the readers find the same ---
run QUARRY_OPTIONS="$options,prof_format:legacy" "$program"
legacy=$(profile)
read -r allocated kept <"$folder/out"
mv "$legacy" "$folder/legacy"
legacy=$folder/legacy
# heap profile:  OBJECTS: BYTES [OBJECTS: BYTES] @ heapprofile
in_use=$(sed -n '1s/^heap profile: *[0-9]*: *\([0-9]*\) .*/\1/p' "$legacy")
total=$(sed -n '1s/.*\[ *[0-9]*: *\([0-9]*\)\].*/\1/p' "$legacy")
within 5 "$in_use" "$kept" || fail "in use: $in_use, in truth $kept"
within 5 "$total" "$allocated" || fail "allocated: $total, in truth $allocated"
lines=$(sed -n '2,/^$/s/^ *[0-9]*: *\([0-9]*\) .*/\1/p' "$legacy" | awk '{ n += $1 } END { print n }')
[ "$lines" -eq "$in_use" ] || fail "the lines sum to $lines, the head says $in_use"
grep -q '^MAPPED_LIBRARIES:$' "$legacy" || fail "no mappings"

readers=0
if command -v google-pprof >/dev/null; then
    google-pprof --text --show_bytes "$program" "$legacy" >"$folder/google" 2>"$folder/err" || fail "google-pprof fails"
    grep -q '^Total: '"$in_use"' B' "$folder/google" || fail "google-pprof: $(head -n 1 "$folder/google"), not $in_use"
    grep -q keep_small "$folder/google" || fail "google-pprof does not find keep_small"
    readers=$((readers + 1))
fi
if command -v jeprof >/dev/null; then
    jeprof --text --show_bytes "$program" "$legacy" >"$folder/jeprof" 2>"$folder/err" || fail "jeprof fails"
    grep -q '^Total: '"$in_use"' B' "$folder/jeprof" || fail "jeprof: $(head -n 1 "$folder/jeprof"), not $in_use"
    grep -q keep_large "$folder/jeprof" || fail "jeprof does not find keep_large"
    readers=$((readers + 1))
fi

# --- protocol buffer; the same seed, so the same samples ---
run QUARRY_OPTIONS="$options" "$program"
proto=$(profile)
mv "$proto" "$folder/proto"
proto=$folder/proto
if [ -n "$go" ]; then
    "$go" tool pprof -raw "$proto" >"$folder/raw" 2>"$folder/err" || fail "go tool pprof -raw fails"
    grep -q 'alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes\[dflt\] pinned_space/bytes peak_space/bytes' \
        "$folder/raw" || fail "the sample types are others"
    # A sample: six numbers, a colon, locations.
    sums=$(sed -n '/^Samples:/,/^Locations/p' "$folder/raw" |
        awk '/^ *[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+: / { a += $2; i += $4; sub(/:/, "", $6); p += $6 } END { printf "%.0f %.0f %.0f\n", a, i, p }')
    [ "${sums% *}" = "$total $in_use" ] || fail "pprof finds $sums, the legacy text $total $in_use"
    peak=$(sed -n 's/^Comment: peak_bytes //p' "$folder/raw")
    [ "${sums##* }" = "$peak" ] || fail "the stacks have ${sums##* } at the peak, of $peak"
    grep -q '^Comment: lifetime [0-9]* [0-9]*$' "$folder/raw" || fail "no lifetimes"
    grep -q "^Comment: rate 4096\$" "$folder/raw" || fail "no rate"
    if grep -q 'libquarry' "$folder/raw"; then
        ! sed -n '/^Locations/,/^Mappings/p' "$folder/raw" | grep -q "M=$(sed -n 's/^\([0-9]*\): .*libquarry.*/\1/p' "$folder/raw" | head -n 1) " ||
            fail "frames of the allocator's"
    fi
    build_id=$("${READELF:-readelf}" -n "$program" | sed -n 's/.*Build ID: //p')
    [ -z "$build_id" ] || grep -q "profile_target $build_id" "$folder/raw" || fail "the build id is not recorded"
    for type in inuse_space alloc_space pinned_space peak_space; do
        "$go" tool pprof -top -sample_index=$type "$program" "$proto" >"$folder/top" 2>"$folder/err" || fail "pprof -top fails"
        grep -q keep_small "$folder/top" || fail "$type: keep_small is missing"
    done
    "$go" tool pprof -top -sample_index=alloc_space "$program" "$proto" 2>/dev/null | grep -q churn || fail "churn is missing"
    "$go" tool pprof -top -diff_base="$proto" "$program" "$proto" >"$folder/diff" 2>"$folder/err" || fail "pprof -diff_base fails"
    grep -q 'Showing nodes accounting for 0' "$folder/diff" || fail "a profile differs from itself"
    "$go" tool pprof -raw "$legacy" >"$folder/raw" 2>"$folder/err" || fail "pprof does not read the legacy text"
    sums=$(sed -n '/^Samples:/,/^Locations/p' "$folder/raw" |
        awk '/^ *[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+: / { sub(/:/, "", $4); a += $2; b += $4 } END { printf "%.0f %.0f\n", a, b }')
    [ "$sums" = "$total $in_use" ] || [ "$sums" = "$in_use $total" ] || fail "pprof reads $sums from the legacy text"
    readers=$((readers + 1))
fi

# --- collapsed stacks: outermost first, and the sum is what is in use ---
run QUARRY_OPTIONS="$options,prof_format:collapsed" "$program"
collapsed=$(profile)
sum=$(awk '{ n += $NF } END { printf "%.0f\n", n }' "$collapsed")
[ "$sum" -eq "$in_use" ] || fail "collapsed: $sum, not $in_use"
! grep -vq '^[^ ;]*\(;[^ ;]*\)* [0-9]*$' "$collapsed" || fail "collapsed: a line is malformed"

if [ $readers -ne 3 ]; then
    echo "not all of go (golang-1.19-go), google-pprof (google-perftools) and jeprof (libjemalloc-dev) are installed" >&2
    [ $readers -ne 0 ] || exit 77
fi

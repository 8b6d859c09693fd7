#!/bin/sh
# quarry prof: every format has the same sums, and Go's pprof reads what it writes.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2086,SC2154 # set there; fixture is words
set -eu
. "$(dirname "$0")/report.sh"
need_go

$fixture demo "$folder"
cd "$folder"
prof()
{
    "$quarry" prof "$@" || fail "quarry prof $*"
}

# sum FILE: the numbers at the ends of its lines
sum()
{
    awk '{ sum += $NF } END { printf "%d\n", sum }' "$1"
}

# raw FILE INDEX: the sum of one value of all samples, as Go's pprof reads them
raw()
{
    pprof -raw "$1" >raw
    awk -v index_="$2" '/^Samples:/ { on = 1; next } /^Locations/ { on = 0 }
        on && /^ *[0-9-]+[ :]/ { sub(/:.*/, ""); sum += $index_ } END { printf "%d\n", sum }' raw
}

# Through our own reader and writer and out again; that functions need not be looked for any more is said of the mappings.
prof --format=pprof -o copy.pb second.pb
for index in 1 2 3 4 5 6; do
    [ "$(raw copy.pb $index)" = "$(raw second.pb $index)" ] || fail "value $index of the copy differs"
done
pprof -top -sample_index=inuse_space copy.pb >top
grep -q 'session_create' top || fail "Go's pprof finds no session_create"
pprof -raw second.pb | grep -v '^Time' >before
pprof -raw copy.pb | grep -v '^Time' | sed 's/ *\[FN\]\[FL\]\[LN\]\[IN\]$/ /' >after
diff before after >difference || fail "Go's pprof reads the copy differently: $(head -5 difference)"

for value in live:4 allocated:2 peak:6 pinned:5 objects:3 calls:1; do
    for format in collapsed folded; do
        prof --format=$format --value="${value%:*}" -o stacks second.pb
        [ "$(sum stacks)" = "$(raw second.pb "${value#*:}")" ] || fail "$format $value: the sum is $(sum stacks)"
    done
done
prof --format=folded second.pb | grep -q '^main;serve;handle_request;route;session_find;session_create [0-9]*$' ||
    fail "no folded stack of session_create"
prof --format=collapsed second.pb | grep -q '^demo-server+0x[0-9a-f]*;' || fail "collapsed stacks are not module and offset"

# legacy text: into it, and from it
prof --format=legacy -o legacy.txt second.pb
[ "$(raw legacy.txt 4)" = "$(raw second.pb 4)" ] || fail "legacy: Go's pprof finds $(raw legacy.txt 4) bytes live"
[ "$(raw legacy.txt 1)" = "$(raw second.pb 1)" ] || fail "legacy: Go's pprof finds $(raw legacy.txt 1) calls"
prof --format=pprof -o back.pb legacy.txt
for index in 1 2 3 4; do
    [ "$(raw back.pb $index)" = "$(raw second.pb $index)" ] || fail "value $index differs after legacy"
done
prof --format=legacy -o again.txt back.pb
diff legacy.txt again.txt || fail "legacy text changes on the way"

# stacks with names and nothing else
prof --format=folded -o folded second.pb
prof --format=folded folded | sort >again
sort folded | cmp - again || fail "folded stacks change on the way"
prof --format=pprof -o folded.pb folded
[ "$(raw folded.pb 1)" = "$(sum folded)" ] || fail "folded stacks have another sum as protobuf"
prof -v live second.pb | head -1 | grep -q "inuse_space, bytes: $(raw second.pb 4) in all" || fail "the list has another sum"

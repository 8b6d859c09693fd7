#!/bin/sh
# quarry prof --diff: nothing between a profile and itself, what has changed between two, and the same with other addresses.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2086,SC2154 # set there; fixture is words
set -eu
. "$(dirname "$0")/report.sh"
need_go

$fixture demo "$folder"
cd "$folder"
for format in folded collapsed; do
    "$quarry" prof --format=$format --diff=second.pb second.pb >same
    [ ! -s same ] || fail "$format: a profile differs from itself: $(head -3 same)"
done
"$quarry" prof --format=pprof --diff=second.pb -o same.pb second.pb
pprof -raw same.pb | sed -n '/^Samples:/,/^Locations/p' | grep -q '^ *[0-9]' && fail 'protobuf: a profile differs from itself'
"$quarry" prof --diff=second.pb second.pb | grep -q ': 0 in all' || fail 'text: a profile differs from itself'

# as Go's pprof finds it
"$quarry" prof --format=pprof --diff=first.pb -o change.pb second.pb
top()
{
    pprof -top -sample_index=inuse_space -nodecount=500 -nodefraction=0 -edgefraction=0 -unit=b "$@" |
        awk 'on && $1 != 0 { print $1, $NF } $1 == "flat" { on = 1 }' | sort
}
top change.pb >ours
top -base=first.pb second.pb >theirs
[ -s ours ] || fail 'no difference'
diff ours theirs || fail "the difference is not that of Go's pprof"

# two columns, before and after
"$quarry" prof --format=folded --diff=first.pb second.pb >stacks
grep -Eq 'session_create [0-9]+ [0-9]+$' stacks || fail 'no stack with two numbers'
python3 - <<'EOF' || fail 'the columns are not before and after'
import subprocess
change = sum(int(l.split()[-1]) - int(l.split()[-2]) for l in open("stacks"))
assert change > 0, change
EOF

# The same program at other addresses: the same stacks.
python3 - "$top_srcdir/tests" <<'EOF'
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from report_fixture import Profile
for name, base in (("here.pb", 0x400000), ("there.pb", 0x7f1234000000)):
    profile = Profile()
    mapping = profile.mapping(base, base + 0x10000, 0x2000, "/no/such/program", "abcd")
    profile.sample([profile.address(base + 0x123, mapping), profile.address(base + 0x456, mapping)], [1, 10, 1, 10, 0, 10])
    open(name, "wb").write(profile.bytes())
EOF
for format in folded collapsed; do
    "$quarry" prof --format=$format --diff=here.pb there.pb >same
    [ ! -s same ] || fail "$format: the same stacks at other addresses differ: $(cat same)"
done
"$quarry" prof --diff=here.pb there.pb | grep -q ': 0 in all' || fail 'text: the same stacks at other addresses differ'

# They have to count the same things.
if "$quarry" prof --format=pprof --diff=stacks second.pb >out 2>err; then fail 'a difference of unlike profiles'; fi
[ "$(wc -l <err)" = 1 ] || fail "unlike profiles: $(cat err)"

#!/bin/sh
# Files that are not what they should be: one line that says which file, where and why, and nothing is written.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2086,SC2154 # set there; fixture is words
set -eu
. "$(dirname "$0")/report.sh"
need_report

cd "$folder"
mkdir files
$fixture broken files >list
tab=$(printf '\t')
while IFS=$tab read -r name message; do
    status=0
    "$quarry" report -o page.html "files/$name" >out 2>err || status=$?
    [ "$status" = 1 ] || fail "$name: status $status"
    [ "$(wc -l <err)" = 1 ] || fail "$name: $(cat err)"
    grep -Eq "^quarry: files/$name: .*$message" err || fail "$name: \"$(cat err)\" instead of \"$message\""
    [ ! -e page.html ] && [ ! -s out ] || fail "$name: something was written"
done <list

# Cut anywhere, changed anywhere: an error or a profile, never a crash.
$fixture demo .
python3 - "$quarry" <<'EOF'
import random, subprocess, sys
whole = open("first.pb", "rb").read()
rnd = random.Random(1)
for i in range(150):
    broken = bytearray(whole)
    if i % 3 == 0:
        broken = broken[:rnd.randrange(len(broken))]
    for _ in range(i % 7):
        broken[rnd.randrange(len(broken))] = rnd.randrange(256)
    open("mutant.pb", "wb").write(broken)
    for arguments in (["prof", "--format=pprof", "mutant.pb"], ["report", "-n", "mutant.pb"]):
        run = subprocess.run([sys.argv[1], *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
        if run.returncode not in (0, 1) or run.stderr.count(b"\n") > 1 or (run.returncode == 1) != bool(run.stderr):
            sys.exit(f"mutant {i} of {arguments}: status {run.returncode}, {run.stderr[:500]}")
EOF

# usage <message> ARGUMENT...
for arguments in 'prof' 'prof a b' 'prof --format=x first.pb' 'prof --what first.pb' 'report' 'report --what'; do
    status=0
    "$quarry" $arguments >out 2>err || status=$?
    [ "$status" = 2 ] && [ -s err ] && [ ! -s out ] || fail "quarry $arguments: status $status"
done
for arguments in 'prof nothing' 'report nothing' 'prof --value=weight first.pb' 'prof -o /nowhere/x first.pb' 'report -o /nowhere/x first.pb' \
    'prof stats.json' 'prof --diff=stats.json first.pb'; do
    status=0
    "$quarry" $arguments >out 2>err || status=$?
    [ "$status" = 1 ] && [ "$(wc -l <err)" = 1 ] || fail "quarry $arguments: status $status, $(cat err)"
done

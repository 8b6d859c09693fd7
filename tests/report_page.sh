#!/bin/sh
# quarry report: every section is there and says what the statistics and profiles say, whatever names they have; and with
# only some of the files.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2086,SC2154 # set there; fixture is words
set -eu
. "$(dirname "$0")/report.sh"
need_report
need chromium chromium
check="python3 $top_srcdir/tests/report_check.py"

$fixture demo "$folder"
$fixture hostile "$folder"

# page NAME FILE...
page()
{
    name=$1
    shift
    "$quarry" report -o "$folder/$name.html" "$@" || fail "quarry report $*"
    browse --dump-dom "file://$folder/$name.html" >"$folder/$name.dom"
}

page demo "$folder/stats.json" "$folder/first.pb" "$folder/second.pb"
$check demo "$folder" <"$folder/demo.dom"

page hostile "$folder/hostile.json" "$folder/hostile.pb"
$check hostile "$folder" <"$folder/hostile.dom"

page stats "$folder/stats.json"
$check some memory,timeline,classes,threads,map,buffers,work,files <"$folder/stats.dom"

page profile "$folder/first.pb"
$check some profile,leaks,lifetimes,files <"$folder/profile.dom"

# Two alike have no difference.
page alike "$folder/first.pb" "$folder/first.pb"
grep -q 'id="nodifference"' "$folder/alike.dom" || fail "a profile differs from itself"

# Statistics of several moments make a time line, in whatever order they come; those of another process do not.
python3 - "$folder" <<'EOF'
import json, sys
folder = sys.argv[1]
stats = json.load(open(folder + "/stats.json"))
stats["history"] = []
for i, pid in enumerate((4711, 4711, 4711, 9)):
    stats.update(time_unix_ms=1_700_000_000_000 + 1000 * i - (5000 if pid == 9 else 0), uptime_ms=1000 * i + 5000, pid=pid)
    json.dump(stats, open(f"{folder}/moment{i}.json", "w"))
EOF
page moments "$folder/moment2.json" "$folder/moment0.json" "$folder/moment3.json" "$folder/moment1.json"
grep -q '3 readings, over 2[^0-9]*s\.' "$folder/moments.dom" || fail "three moments make no time line"

# Without JavaScript the page has all that matters as tables; the flame graph's place stays hidden.
for id in statebar classtable functiontable leaktable heapmap histogram; do
    grep -q "id=\"$id\"" "$folder/demo.html" || fail "the page lacks $id without scripts"
done
grep -q '<div id="flame" hidden>' "$folder/demo.html" || fail "the flame graph's place is not hidden"

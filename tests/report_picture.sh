#!/bin/sh
# quarry report's page can be seen: on a laptop, on a telephone, and on paper.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2086,SC2154 # set there; fixture is words
set -eu
. "$(dirname "$0")/report.sh"
need_report
need chromium chromium
need pdftotext poppler-utils

$fixture demo "$folder"
"$quarry" report -o "$folder/demo.html" "$folder/stats.json" "$folder/first.pb" "$folder/second.pb"

for size in 1280,800 500,900; do
    browse --window-size="$size" --screenshot="$folder/picture.png" "file://$folder/demo.html" >/dev/null
    python3 "$top_srcdir/tests/report_check.py" picture "$folder/picture.png" "${size%,*}"
done

browse --no-pdf-header-footer --print-to-pdf-no-header --print-to-pdf="$folder/demo.pdf" "file://$folder/demo.html" >/dev/null
pdftotext -layout "$folder/demo.pdf" "$folder/demo.txt"
for word in demo-server Fragmentation 'Where the memory is' 'Size classes' session_create 'Heap map' Lifetimes 'High water' second.pb; do
    grep -qi "$word" "$folder/demo.txt" || fail "on paper there is no \"$word\""
done
pages=$(tr -cd '\f' <"$folder/demo.txt" | wc -c)
[ "$pages" -ge 3 ] && [ "$pages" -le 12 ] || fail "it takes $pages sheets"

#!/usr/bin/env bash
# make check-states: run the tests with real programs once more, while all of their processes write their statistics, every second and
# at exit; then see that every one of these files is what the schema says, and that the states in it sum to what is mapped. Some
# tests look at what a program does that has one thread and no variable set: they may fail here, and that does not count.
set -eu -o pipefail

tests=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 1777 "$folder"
export PRELOAD_STATS=$folder
for test in "$tests"/preload_*.sh; do
    case $test in */preload_exit_stats.sh) continue ;; esac # says itself what is written where
    before=$(find "$folder" -type f | wc -l)
    status=0
    timeout -k 10 600 "$test" >"$folder.log" 2>&1 || status=$?
    echo "$(basename "$test" .sh): status $status, $(($(find "$folder" -type f | wc -l) - before)) files"
done
rm -f "$folder.log"
for python in python3 /usr/bin/python3; do
    "$python" -c 'import jsonschema' 2>/dev/null && break
done
find "$folder" -type f ! -name '*.tmp-*' -print0 |
    xargs -0 -n 1000 "$python" "$tests/reports_check.py" "${top_srcdir:-$tests/..}/doc/quarry-stats.schema.json"
find "$folder" -type f -name '*.interval' | wc -l | sed 's/$/ of them while the program ran/'

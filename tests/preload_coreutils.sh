#!/usr/bin/env bash
# coreutils: ls, sort (threads, temporary files, locales) and a round through most other text and file tools.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require SORT sort
require LS ls

# 200,000 lines in no order, with many equal keys, lines of different lengths and characters outside ASCII.
awk 'BEGIN {
    x = 12345
    for (i = 0; i < 200000; i++) {
        x = (x * 16807) % 2147483647
        pad = substr("äbcdéfghijklmnöpqrstüvwxyzABCDEFGHIJKLMNOP", 1 + x % 20, x % 23)
        printf "%d %s%d\n", x % 50021, pad, i
    }
}' >lines

locales=$(locale -a 2>/dev/null | grep -iE '^(en_US|de_DE|en_GB)\.utf-?8$' | head -n 1 || true)
for locale in C C.UTF-8 $locales; do
    export LC_ALL=$locale
    run_both_ok "sort.$locale" "$SORT" lines
    # A small buffer: temporary files and a merge; two threads.
    run_both_ok "sort-merge.$locale" "$SORT" --parallel=2 -S 2M -T . -k2 -s lines
    run_both_ok "sort-numeric.$locale" "$SORT" --parallel=2 -n -u lines
done
export LC_ALL=C.UTF-8
sort -c -n -u sort-numeric.C.preloaded.out
preloaded "$SORT" -R --random-source=lines lines | LC_ALL=C preloaded "$SORT" >again
assert_same sort.C.preloaded.out again

mkdir -p tree/{a,b,c}/{d,e,f}
for i in {1..300}; do : >"tree/a/d/file-$i"; done
for dir in tree/*/*; do cp lines "$dir/copy"; truncate -s 3000 "$dir/copy"; done
touch -d '2020-02-02 02:02:02' tree tree/* tree/*/* tree/*/*/*
run_both_ok ls-recursive "$LS" -lAR --time-style=full-iso tree
run_both_ok ls-columns "$LS" -C -w 100 -F --color=always tree/a/d
run_both_ok ls-versions "$LS" -v -Q -i tree/a/d
run_both ls-missing "$LS" no-such-file
assert_equal 2 "$RUN_STATUS" "status of ls on a missing file"

head -n 2000 lines >few
sort few >few.sorted
seq 1 3000 >numbers
run_both_ok uniq uniq -c few.sorted
run_both_ok join join few.sorted few.sorted
run_both_ok cut cut -d' ' -f2 few
run_both_ok paste paste -d: few few.sorted
run_both_ok tac tac lines
run_both_ok fold fold -w 7 few
run_both_ok fmt fmt -w 50 few
run_both_ok pr pr -2 -D date few
run_both_ok ptx ptx -w 60 few.sorted
run_both_ok od od -A x -t x1z few
run_both_ok base64 base64 lines
run_both_ok sha256sum sha256sum lines few tree/a/d/copy
run_both_ok wc wc lines few numbers
run_both_ok comm comm few.sorted few.sorted
run_both_ok factor factor 79228162514264337593543950337 18446744073709551557 600851475143
run_both_ok shuf shuf --random-source=lines numbers
run_both_ok tail tail -n 500 lines
run_both_ok head head -c -1000 few
run_both_ok expr expr "$(head -c 300 few | tr '\n' x)" : '.*\(x[0-9]*\)'
run_both_ok numfmt numfmt --to=iec 123456789 --format=%.3f
run_both_ok stat stat -c '%n %s %A %Y' tree/*/*/*
run_both_ok du du -a --apparent-size tree/b
awk '{ print $1, $1 + 1 + $1 % 7 }' numbers >tsort.in
run_both_ok tsort tsort
run_both_ok dd dd if=lines bs=64K count=8 status=none
run_both_ok env env -i A=1 B=2 "$(find_elf env)"
run_both_ok timeout timeout 10 "$LS" tree

preloaded split -n l/7 --additional-suffix=.part lines
preloaded cat x??.part | cmp - lines
preloaded cp -a tree tree-copy
preloaded mv tree-copy tree-moved
diff -r tree tree-moved
preloaded rm -r tree-moved
[ ! -e tree-moved ]

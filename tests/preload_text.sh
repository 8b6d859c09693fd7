#!/usr/bin/env bash
# grep, sed, awk, m4, bc, diff, find and xargs, as far as they are installed: long lines, big tables, deep recursion and many
# small processes.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GREP grep
require SED sed
require AWK awk

"$AWK" 'BEGIN {
    x = 1
    for (i = 0; i < 40000; i++) { x = x * 16807 % 2147483647; printf "%d some grüße word%d %d\n", i, x % 997, x }
}' >lines
tr '\n' ' ' <lines >one-line

run_both_ok grep-extended "$GREP" -nE '(word[0-9]*7) [0-9]+3$' lines
run_both_ok grep-back-reference "$GREP" -oE '([0-9])([0-9])\2\1' lines
run_both_ok grep-case "$GREP" -ic 'GRÜSSE\|GRÜßE WORD' lines
head -n 3000 lines | cut -d' ' -f4 | sort -u >patterns
run_both_ok grep-fixed "$GREP" -cFf patterns lines
run_both grep-perl "$GREP" -oP 'word\K\d+(?= 1)' lines

run_both_ok sed-swap "$SED" -E 's/^([0-9]+) (.*) ([0-9]+)$/\3 \2 \1/; /9$/d; y/abc/xyz/' lines
run_both_ok sed-hold "$SED" -n 'H; $ { x; s/\n/,/g; p }' lines
run_both_ok sed-long "$SED" 's/word\([0-9]*\)/<\1>/g' one-line
cp lines in-place
preloaded "$SED" -i.bak 's/some/any/' in-place
assert_same lines in-place.bak
assert_equal 40000 "$(grep -c ' any ' in-place)" "lines changed in place"

# shellcheck disable=SC2016 # for awk
run_both_ok awk "$AWK" '{ count[$4]++; last[$4] = last[$4] "," $1; text = text substr($0, 1, 3) }
    END { for (i = 0; i < 997; i++) { w = "word" i; n = split(last[w], part, ","); print w, count[w], part[n], length(last[w]) }
          gsub(/[0-9]/, "&&", text); print length(text) }
    function f(n) { return n ? f(n - 1) + 1 : 0 } END { print f(500) }' lines

if M4=$(find_elf m4); then
    assert_preloadable "$M4"
    cat >input.m4 <<'M4'
define(`forloop', `pushdef(`$1', `$2')_forloop($@)popdef(`$1')')dnl
define(`_forloop', `$4`'ifelse($1, `$3', `', `define(`$1', incr($1))$0($@)')')dnl
forloop(`i', 1, 2000, `define(`name'i, `value'i)name`'i ')
define(`fib', `ifelse(eval($1 < 2), 1, $1, `eval(fib(decr($1)) + fib(decr(decr($1))))')')fib(15)
patsubst(`aaa bbb', `\(a\)', `<\1>') regexp(`GNUs not Unix', `\w\(\w+\)$', `*** \& *** \1 ***')
M4
    run_both_ok m4 "$M4" input.m4
fi
if BC=$(find_elf bc); then
    assert_preloadable "$BC"
    cat >bc.in <<'BC'
define f(n) { if (n < 2) return (1); return (n * f(n - 1)); }
define h(n) { auto a[], i; for (i = 0; i < n; i++) a[i] = i ^ 5; return (a[n - 1]); }
2 ^ 3000
f(300)
h(3000)
scale = 200
sqrt(2)
4 * a(1)
BC
    run_both_ok bc "$BC" -q -l
fi
sed '1000,1200d; s/^77/seventy-seven/' lines >changed
if DIFF=$(find_elf diff); then
    assert_preloadable "$DIFF"
    run_both diff "$DIFF" -u --label a --label b lines changed
    assert_equal 1 "$RUN_STATUS" "status of diff"
    cp lines patched
    if PATCH=$(find_elf patch); then
        preloaded "$PATCH" -s patched diff.preloaded.out
        assert_same changed patched
    fi
fi
if FIND=$(find_elf find) && XARGS=$(find_elf xargs); then
    assert_preloadable "$FIND"
    mkdir -p tree/{1..20}/{a..f}
    touch tree/{1..20}/{a..f}/file-{1..4}
    run_both_ok find "$FIND" tree -path '*/[a-c]/*' -name '*[13]' -printf '%p %y\n'
    assert_equal 480 "$(preloaded "$FIND" tree -type f -print0 | preloaded "$XARGS" -0 -n 4 -P 4 ls | wc -l)" "files"
fi

#!/usr/bin/env bash
# clang: the compiler and its linker preloaded; the same object file as without, and the program runs.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require CLANG clang

# Many functions that the optimiser inlines, unrolls and vectorises.
awk 'BEGIN {
    print "#include <math.h>\n#include <stdio.h>\n#include <stdlib.h>"
    print "struct node { struct node *left, *right; double value[4]; };"
    print "static struct node *build(int depth) { struct node *n = calloc(1, sizeof(*n)); n->value[0] = depth;"
    print "  if (depth) { n->left = build(depth - 1); n->right = build(depth - 1); } return n; }"
    print "static double take_down(struct node *n) { double s; if (!n) return 0;"
    print "  s = n->value[0] + take_down(n->left) + take_down(n->right); free(n); return s; }"
    for (i = 0; i < 150; i++) {
        printf "static double g%d(double *a, int n) { double s = %d.5; for (int k = 0; k < n; k++) {", i, i
        printf " a[k] = a[k] * %d + sqrt(k + %d);", i % 5, i
        printf " s += a[k] > %d ? a[k] / 3 : -a[k]; } return s + %s; }\n", i * 3, i ? "g" i - 1 "(a, n - 1) / 2" : "0"
    }
    print "int main(void) { double a[64] = {1, 2, 3}; printf(\"%.6e %.0f\\n\", g149(a, 64), take_down(build(14))); return 0; }"
}' >program.c
for options in "-O2 -g" "-O0"; do
    # shellcheck disable=SC2086 # several options
    "$CLANG" $options -c -o plain.o program.c
    # shellcheck disable=SC2086
    preloaded "$CLANG" $options -c -o preloaded.o program.c
    assert_same plain.o preloaded.o
    preloaded "$CLANG" -o program preloaded.o -lm
    run_both_ok run ./program
done
assert_equal 32752 "$(cut -d' ' -f2 run.preloaded.out)" "sum over the tree"
run_both_ok assembly "$CLANG" -O1 -S -emit-llvm -o - program.c
run_both error "$CLANG" -fno-color-diagnostics -c -o none.o -x c - <<<'int main(void) { return undeclared; }'

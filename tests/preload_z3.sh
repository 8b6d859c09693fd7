#!/usr/bin/env bash
# z3: satisfiable and unsatisfiable problems over bit vectors, integers, arrays, strings and quantifiers; a model and an
# unsatisfiable core are checked; resource limits and threads.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require Z3 z3

# Pigeons: n + 1 into n holes has no solution, n into n has.
pigeons()
{
    awk -v pigeons="$1" -v holes="$2" 'BEGIN {
        for (p = 0; p < pigeons; p++) for (h = 0; h < holes; h++) printf "(declare-const x%d_%d Bool)\n", p, h
        for (p = 0; p < pigeons; p++) {
            printf "(assert (or"
            for (h = 0; h < holes; h++) printf " x%d_%d", p, h
            print "))"
        }
        for (h = 0; h < holes; h++) for (p = 0; p < pigeons; p++) for (q = 0; q < p; q++)
            printf "(assert (not (and x%d_%d x%d_%d)))\n", p, h, q, h
        print "(check-sat)"
    }'
}
pigeons 7 6 >unsat.smt2
pigeons 40 40 >sat.smt2
assert_equal unsat "$(preloaded "$Z3" unsat.smt2)" "pigeons without room"
assert_equal sat "$(preloaded "$Z3" sat.smt2)" "pigeons with room"

cat >mixed.smt2 <<'SMT'
(set-option :produce-unsat-cores true)
(set-option :produce-models true)
(push)
(declare-const a (_ BitVec 24)) (declare-const b (_ BitVec 24))
(assert (= (bvmul a b) #x0f4243)) (assert (bvugt a #x000001)) (assert (bvult a b)) (assert (bvult b #x010000))
(check-sat)
(pop)
(push)
(declare-fun q (Int) Int)
(assert (forall ((i Int)) (=> (and (<= 0 i) (< i 6)) (and (<= 0 (q i)) (< (q i) 6)))))
(assert (forall ((i Int) (j Int)) (=> (and (<= 0 i) (< i j) (< j 6)) (and (not (= (q i) (q j)))
    (not (= (- (q i) (q j)) (- i j))) (not (= (- (q j) (q i)) (- i j)))))))
(check-sat)
(pop)
(push)
(declare-const m (Array Int Int)) (declare-const n Int)
(assert (! (= (select (store m n 5) n) 6) :named wrong))
(assert (! (> n 3) :named harmless))
(check-sat)
(get-unsat-core)
(pop)
(push)
(declare-const s String)
(assert (str.in_re s (re.+ (re.union (str.to_re "ab") (str.to_re "cde"))))) (assert (= (str.len s) 17))
(assert (str.contains s "deab"))
(check-sat)
(pop)
(push)
(declare-const x Real) (declare-const y Real)
(assert (= (+ (* x x) (* y y)) 25.0)) (assert (= (* x y) 12.0)) (assert (> x y)) (assert (> y 0.0))
(check-sat)
(get-value (x y))
(pop)
(simplify (* 123456789012345678901234567890 987654321098765432109876543210))
SMT
run_both_ok mixed "$Z3" -t:60000 mixed.smt2
printf '%s\n' sat sat unsat '(wrong)' sat sat '((x 4.0)' ' (y 3.0))' \
    121932631137021795226185032733622923332237463801111263526900 >wanted
assert_same wanted mixed.preloaded.out

# The model of a subset-sum problem is checked here, whatever the model is.
awk 'BEGIN {
    for (i = 0; i < 30; i++) printf "(declare-const v%d Bool)\n", i
    printf "(assert (= 12345 (+"
    for (i = 0; i < 30; i++) printf " (ite v%d %d 0)", i, (i * 7919 + 13) % 3001
    print ")))\n(check-sat)"
    for (i = 0; i < 30; i++) printf "(eval (ite v%d %d 0))\n", i, (i * 7919 + 13) % 3001
}' >sum.smt2
preloaded "$Z3" model.completion=true sum.smt2 >sum.out
assert_equal "sat 12345" "$(awk 'NR == 1 { answer = $0; next } { sum += $1 } END { print answer, sum }' sum.out)" "subset sum"
assert_equal unsat "$(preloaded "$Z3" parallel.enable=true parallel.threads.max=2 unsat.smt2)" "pigeons with threads"

#!/bin/sh
# Runs one misuse program with Quarry preloaded and expects a deliberate abort.
#
#     run_abort.sh PROGRAM
#
# The program prints on stdout what it is about to do, "pointer 0x… reason WORDS", where WORDS is an extended regular
# expression, and then misuses the heap. Expected: SIGABRT, and on stderr exactly one line, which starts with "quarry: ",
# names that pointer and gives a reason that matches. The same environment as run_preloaded.sh.
set -eu

program=$1
name=${program##*/}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail()
{
    echo "$name: $*" >&2
    echo "--- its stdout:" >&2
    cat "$folder/out" >&2
    echo "--- its stderr:" >&2
    cat "$folder/err" >&2
    exit 1
}

if [ ! -f "${QUARRY_LIB:?the library to preload}" ]; then
    echo "$name: no library at $QUARRY_LIB" >&2
    exit 99
fi

status=0
# In a subshell: a shell that itself waits for the command says "Aborted", and dash says it into the redirected file.
(
    exec timeout -k 5 "${TEST_TIMEOUT:-30}" env LD_PRELOAD="$QUARRY_LIB" BLACKBOX_LIB="$QUARRY_LIB" \
        "$program" >"$folder/out" 2>"$folder/err"
) || status=$?

[ "$status" -ne 77 ] || { cat "$folder/out"; exit 77; }
pointer=$(sed -n 's/^pointer 0x0*\([0-9a-f]*\) reason .*/\1/p' "$folder/out")
reason=$(sed -n 's/^pointer 0x[0-9a-f]* reason \(.*\)/\1/p' "$folder/out")
[ -n "$pointer" ] || fail "did not say what it was about to do"
[ -n "$reason" ] || fail "did not say what reason to expect"
[ "$status" -ne 0 ] || fail "the misuse went unnoticed"
[ "$status" -ne 124 ] || fail "still running after the time-out"
[ "$status" -eq 134 ] || fail "ended with status $status, not by SIGABRT (134)"
[ "$(wc -l <"$folder/err")" -eq 1 ] || fail "expected exactly one line on stderr"
grep -q '^quarry: ' "$folder/err" || fail "the line does not start with \"quarry: \""
grep -qiE "0x0*$pointer([^0-9a-f]|\$)" "$folder/err" || fail "the line does not name the pointer 0x$pointer"
grep -qiE "$reason" "$folder/err" || fail "the line gives no reason that matches \"$reason\""
cat "$folder/err"

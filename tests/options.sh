# shellcheck shell=sh disable=SC2034 # what is set here is used by those who source it
# Helpers of the options_*.sh tests; sourced, not run. The program under test is options_target, in a folder of its own, where
# "$folder/err" gets what the library says.

program=${top_builddir:?set by make check}/tests/options_target
if [ ! -f "$QUARRY_LIB" ]; then
    echo "no library at $QUARRY_LIB" >&2
    exit 99
fi
unset QUARRY_OPTIONS QUARRY_STATS QUARRY_ONLY || true
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail()
{
    echo "$*" >&2
    echo "--- stderr of the program:" >&2
    cat "$folder/err" >&2
    exit 1
}

# run [VARIABLE=VALUE…] PROGRAM [ARGUMENT…]: preloaded; it must succeed and print "done", whatever the options say.
run()
{
    timeout -k 5 30 env LD_PRELOAD="$QUARRY_LIB" BLACKBOX_LIB="$QUARRY_LIB" "$@" >"$folder/out" 2>"$folder/err" ||
        fail "$*: ended with status $?"
    [ "$(cat "$folder/out")" = "done" ] || fail "$*: the program's own output is wrong"
}

# says COUNT REGEX…: stderr has COUNT lines, and each expression matches one of them.
says()
{
    [ "$(wc -l <"$folder/err")" -eq "$1" ] || fail "expected $1 lines"
    shift
    for expression; do
        grep -qE "$expression" "$folder/err" || fail "no line matches \"$expression\""
    done
}

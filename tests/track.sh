# shellcheck shell=sh disable=SC2034,SC2154 # what is set here is used by those who source it
# Helpers of the track_*.sh tests; sourced, not run. As options.sh, with track_target as the program.
# shellcheck source-path=SCRIPTDIR source=options.sh disable=SC1091
. "$(dirname "$0")/options.sh"

program=${top_builddir:?set by make check}/tests/track_target

# place_in FUNCTION LINE: the line names a place of the program inside this function.
place_in()
{
    # shellcheck disable=SC2046 # three words
    set -- "$1" "$2" $(nm -S "$program" | awk -v name="$1" '$4 == name { print "0x" $1, "0x" $2 }')
    [ $# -eq 4 ] || fail "no function $1 in the program"
    offset=$(printf '%s\n' "$2" | sed -n 's/.*track_target+\(0x[0-9a-f]*\) (.*track_target).*/\1/p')
    [ -n "$offset" ] || fail "no place in \"$2\""
    if [ $((offset)) -le $(($3)) ] || [ $((offset)) -ge $(($3 + $4)) ]; then
        fail "$offset is not in $1: \"$2\""
    fi
}

# line REGEX: the only line of stderr that matches.
line()
{
    [ "$(grep -cE "$1" "$folder/err")" -eq 1 ] || fail "expected one line with \"$1\""
    grep -E "$1" "$folder/err"
}

# aborts VARIABLE=VALUE… PROGRAM ARGUMENT: the program ends in an abort.
aborts()
{
    status=0
    (
        # shellcheck disable=SC3045 # dash and bash have it
        ulimit -c 0
        exec env LD_PRELOAD="$QUARRY_LIB" "$@" >"$folder/out" 2>"$folder/err"
    ) || status=$?
    [ "$status" -eq 134 ] || fail "$*: ended with status $status"
}

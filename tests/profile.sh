# shellcheck shell=sh disable=SC2034 # what is set here is used by those who source it
# Helpers of the profile_*.sh tests; sourced, not run.

program=${top_builddir:?set by make check}/tests/profile_target
if [ ! -f "$QUARRY_LIB" ]; then
    echo "no library at $QUARRY_LIB" >&2
    exit 99
fi
unset QUARRY_OPTIONS QUARRY_STATS QUARRY_ONLY QUARRY_PROF || true
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail()
{
    echo "$*" >&2
    echo "--- stderr:" >&2
    cat "$folder/err" >&2
    exit 1
}

# run [VARIABLE=VALUE…] [WAY]: the target, preloaded; what it prints goes to "$folder/out".
run()
{
    timeout -k 5 60 env LD_PRELOAD="$QUARRY_LIB" QUARRY_PROF="1:$folder/%e.%p.%n.prof" "$@" >"$folder/out" 2>"$folder/err" ||
        fail "$*: ended with status $?"
}

# The only profile there is.
profile()
{
    set -- "$folder"/*.prof
    [ $# -eq 1 ] || fail "expected one profile, found: $*"
    [ -s "$1" ] || fail "no profile, or an empty one: $1"
    echo "$1"
}

# within PERCENT A B: A is that near to B.
within()
{
    awk -v p="$1" -v a="$2" -v b="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(d * 100 <= p * b) }'
}

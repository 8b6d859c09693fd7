# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
# Helpers of the http_*.sh tests; sourced, not run. As preload-lib.sh, with http_target as the program.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

unset QUARRY_OPTIONS QUARRY_PROF http_proxy HTTP_PROXY all_proxy ALL_PROXY || true
TARGET=${top_builddir:-$TESTS_DIR/../build}/tests/http_target
require_tool curl

# serve NAME ADDRESS [VARIABLE=VALUE…] COMMAND…: in the background, preloaded; standard output and error go to NAME.out and
# NAME.err, and `feed NAME` gives it a byte. Waits until it says "ready". Sets STARTED_PID, and URL for an address with a port.
serve()
{
    local name=$1 address=$2
    shift 2
    [ -p "$name.in" ] || mkfifo "$name.in"
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_OPTIONS="http:$address" "$@" <>"$name.in" >"$name.out" 2>"$name.err" &
    STARTED_PID=$!
    track_pid "$STARTED_PID"
    wait_until 20 grep -q ready "$name.out" || fail "$name does not start: $(cat "$name.err")"
    URL=$(sed -n 's|^quarry: http: listening on |http://|p' "$name.err")
}

feed()
{
    echo >"$1.in"
}

# ends PID NAME: after a byte, well, and with "done".
ends()
{
    feed "$2"
    wait_until 15 gone "$1" || fail "$2 does not end"
    wait "$1" || fail "$2 ended with status $?: $(cat "$2.err")"
    [ "$(tail -n 1 "$2.out")" = "done" ] || fail "$2 did not do its work"
}

# get PATH [CURL OPTION…]: the body; of URL, or with --unix-socket of any name.
get()
{
    local path=$1
    shift
    curl -sS --fail --max-time 20 "$@" "${URL:-http://localhost}$path"
}

refused()
{
    ! curl -s --max-time 5 "${URL:-http://localhost}/" >/dev/null
}

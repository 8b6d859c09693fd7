# shellcheck shell=sh disable=SC2034 # what is set here is used by those who source it
# Helpers of the command_*.sh tests; sourced, not run. The command is "$quarry", and "$folder" a folder of the test's own.

quarry=${top_builddir:?set by make check}/tools/quarry/quarry
if [ ! -x "$quarry" ] || [ ! -f "$QUARRY_LIB" ]; then
    echo "there is no $quarry or no $QUARRY_LIB" >&2
    exit 99
fi
unset QUARRY_OPTIONS QUARRY_STATS QUARRY_ONLY || true
LC_ALL=C
export LC_ALL
ulimit -f 4194304 # 2 GiB in all cores and logs: no test may fill the disk
folder=$(mktemp -d)
started=
cleanup()
{
    for pid in $started; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap cleanup EXIT

fail()
{
    echo "$*" >&2
    for file in out err; do
        [ ! -s "$folder/$file" ] || { echo "--- $file:" >&2; head -n 40 "$folder/$file" >&2; }
    done
    exit 1
}

# needs PROGRAM PACKAGE: or the test is skipped.
needs()
{
    command -v "$1" >/dev/null || { echo "skipped: there is no $1 (Debian: apt-get install $2)"; exit 77; }
}

# within SECONDS COMMAND…: until it succeeds.
within()
{
    tries=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "$*: not in time"
        sleep 0.05
    done
}

# ask ARGUMENT…: the command must succeed, say nothing on standard error, and print to "$folder/out".
ask()
{
    timeout -k 5 60 "$quarry" "$@" >"$folder/out" 2>"$folder/err" || fail "quarry $*: ended with status $?"
    [ ! -s "$folder/err" ] || fail "quarry $*: says something on standard error"
}

# refused STATUS REGEX ARGUMENT…: it must end with this status, print nothing, and say one line that matches (and at most the
# hint at --help).
refused()
{
    wanted=$1
    expression=$2
    shift 2
    status=0
    timeout -k 5 60 "$quarry" "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ "$status" -eq "$wanted" ] || fail "quarry $*: status $status instead of $wanted"
    [ ! -s "$folder/out" ] || fail "quarry $*: prints something"
    [ "$(grep -cv '^Try ' "$folder/err")" -eq 1 ] || fail "quarry $*: expected one line"
    grep -qE "^quarry: .*$expression" "$folder/err" || fail "quarry $*: no line matches \"$expression\""
}

# start_redis [OPTION…]: $redis is the process, "$folder/socket" its address. OPTIONs are quarry run's.
start_redis()
{
    needs redis-server redis-server
    needs redis-benchmark redis-tools
    "$quarry" run "$@" -- redis-server --port 0 --unixsocket "$folder/socket" --save '' --dir "$folder" >"$folder/redis.log" 2>&1 &
    redis=$!
    started="$started $redis"
    within 20 redis-cli -s "$folder/socket" ping
}

# A number of the text report: its line starts with the words of $1.
number()
{
    awk -v name="$1" 'index($0, "  " name " ") == 1 { sub("^  " name " +", ""); print $1; exit }' "$2"
}

# shellcheck shell=bash
# Shared helpers of the preload tests, which run real, unmodified programs under LD_PRELOAD=libquarry.so.
#
# A test sources this file in its first lines. From then on:
#   - the test runs in bash, under timeout(1) (PRELOAD_TEST_SECONDS, default 120), with set -eu and pipefail;
#   - WORK is a scratch directory that is also the working directory and HOME; it goes away at the end;
#   - processes registered with start_preloaded or track_pid are ended by pid at the end, whatever happens;
#   - QUARRY_LIB is the library; it is preloaded into the programs under test only, never into the test's own shell.
# Exit status: 0 passed, 77 skipped (a program is missing), anything else failed.

if [ -z "${PRELOAD_TEST_GUARDED-}" ]; then
    # timeout(1) puts the test into a process group of its own and signals the whole group, so nothing is left behind.
    # shellcheck disable=SC2093 # the rest of the file is for the second start
    PRELOAD_TEST_GUARDED=1 exec timeout -k 10 "${PRELOAD_TEST_SECONDS:-120}" bash "$0" "$@"
fi
unset PRELOAD_TEST_GUARDED
set -eEu -o pipefail

TEST_NAME=$(basename "$0" .sh)
TESTS_DIR=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2034 # for the tests
REAL_HOME=${HOME:-/}
TRACKED_PIDS=

skip()
{
    echo "SKIP $TEST_NAME: $*"
    exit 77
}

# Report a failure with the end of every log the test left, so that the one file make check keeps is enough.
fail()
{
    local log
    trap - ERR
    echo "FAIL $TEST_NAME: $*" >&2
    for log in "$WORK"/*.log; do
        [ -s "$log" ] || continue
        echo "---- end of ${log##*/}" >&2
        tail -n 20 "$log" >&2
    done
    exit 1
}

# The library. By hand, without QUARRY_LIB, take the one that tools/build leaves in build/.
QUARRY_LIB=${QUARRY_LIB:-$TESTS_DIR/../build/.libs/libquarry.so}
if [ ! -r "$QUARRY_LIB" ]; then
    echo "FAIL $TEST_NAME: no library at $QUARRY_LIB" >&2
    exit 1
fi
# The kernel shows a mapping under its real name, so all comparisons use that.
QUARRY_LIB=$(readlink -f "$QUARRY_LIB")
export QUARRY_LIB
# A sanitizer's runtime must come before the program's libraries: such a build cannot be preloaded into anything.
if grep -aqE '__(asan|tsan)_init' "$QUARRY_LIB"; then
    skip "the library is built with a sanitizer"
fi

# The same environment for everybody. QUARRY_OPTIONS is left alone: all tests can be run in another mode with it.
unset LD_PRELOAD QUARRY_STATS QUARRY_ONLY MAKEFLAGS MFLAGS MAKELEVEL CDPATH BASH_ENV ENV POSIXLY_CORRECT
unset PYTHONMALLOC PYTHONPATH PYTHONHOME PERL5OPT PERL5LIB RUBYOPT RUBYLIB NODE_OPTIONS JAVA_TOOL_OPTIONS _JAVA_OPTIONS
unset JDK_JAVA_OPTIONS LUA_INIT GS_OPTIONS VIMINIT LESS LS_COLORS GREP_OPTIONS XZ_OPT XZ_DEFAULTS ZSTD_CLEVEL GZIP
export LC_ALL=C.UTF-8 TZ=UTC0
ulimit -c 0
# PRELOAD_STATS=FOLDER: all programs leave their statistics there, every second and at exit; see tests/check_states.sh.
if [ -n "${PRELOAD_STATS-}" ]; then
    export QUARRY_STATS="json:$PRELOAD_STATS/%e.%p.%n.%r" QUARRY_OPTIONS=stats_interval:1
fi

WORK=$(mktemp -d "${TMPDIR:-/tmp}/quarry-$TEST_NAME.XXXXXX")
WORK=$(cd "$WORK" && pwd -P)
export HOME=$WORK

clean_up()
{
    local status=$? pid
    trap - EXIT ERR
    set +e
    for pid in $TRACKED_PIDS; do
        kill -TERM "$pid" 2>/dev/null
    done
    for pid in $TRACKED_PIDS; do
        wait_until 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
    done
    cd /
    rm -rf "$WORK"
    [ "$status" != 0 ] || echo "PASS $TEST_NAME"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'echo "FAIL $TEST_NAME: line $LINENO: status $? from: $BASH_COMMAND" >&2' ERR
cd "$WORK"

# wait_until SECONDS COMMAND…: repeat the command until it succeeds; false when it has not within that time.
wait_until()
{
    local left=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.05
    done
}

# The process has ended (a zombie that its parent has yet to reap counts as ended).
gone()
{
    local state
    [ -d "/proc/$1" ] || return 0
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 0
    case $state in Z* | X* | '') return 0 ;; esac
    return 1
}

track_pid()
{
    TRACKED_PIDS="$TRACKED_PIDS $1"
}

# The first real ELF program of that name in PATH (version managers put scripts in front of the program proper).
find_elf()
{
    local path
    for path in $(type -aP "$1") "/usr/sbin/$1" "/sbin/$1"; do
        if [ -x "$path" ] && [ "$(head -c 4 "$path" | tr -d '\177')" = ELF ]; then
            echo "$path"
            return 0
        fi
    done
    return 1
}

# require VARIABLE PROGRAM: set VARIABLE to the program's path, or skip the test; then make sure it takes the preload.
require()
{
    local path
    path=$(find_elf "$2") || skip "no program $2 here"
    assert_preloadable "$path"
    printf -v "$1" %s "$path"
}

# Only needed by the test itself and never preloaded; may be a script.
require_tool()
{
    command -v "$1" >/dev/null || skip "no tool $1 here"
}

# Ask the loader, without running the program, what it would load: the library must be among it.
assert_preloadable()
{
    local objects
    grep -aqE -m1 '/ld-(linux|musl)' "$1" || skip "$1 is statically linked"
    objects=$(env LD_PRELOAD="$QUARRY_LIB" LD_TRACE_LOADED_OBJECTS=1 "$1" </dev/null 2>&1) ||
        fail "the loader refuses $1 with the library: $objects"
    case $objects in
    *"cannot be preloaded"*) fail "not preloaded into $1: $objects" ;;
    *"$QUARRY_LIB"*) ;;
    *) fail "the library is not among the objects of $1: $objects" ;;
    esac
}

# The library is really mapped in the running process.
assert_mapped()
{
    grep -qF "$QUARRY_LIB" "/proc/$1/maps" || fail "process $1 ($(cat "/proc/$1/comm")) does not have the library mapped"
}

preloaded()
{
    env LD_PRELOAD="$QUARRY_LIB" "$@"
}

# start_preloaded LOG COMMAND…: run in the background, output to LOG; sets STARTED_PID.
start_preloaded()
{
    local log=$1
    shift
    env LD_PRELOAD="$QUARRY_LIB" "$@" >>"$log" 2>&1 </dev/null &
    STARTED_PID=$!
    track_pid "$STARTED_PID"
}

# stop PID [SIGNAL]: end a process that start_preloaded started; its exit status must be 0.
stop()
{
    local status=0
    kill -"${2:-TERM}" "$1"
    wait_until 15 gone "$1" || fail "process $1 does not end"
    wait "$1" || status=$?
    [ "$status" = 0 ] || fail "process $1 ended with status $status"
}

# assert_equal WANTED GOT WHAT
assert_equal()
{
    [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"
}

# assert_same WANTED_FILE GOT_FILE
assert_same()
{
    cmp -s "$1" "$2" && return 0
    diff -a "$1" "$2" | cut -c 1-200 | head -n 20 >&2 || true
    fail "$2 differs from $1"
}

# run_both NAME COMMAND…: without and with the library; output, errors and exit status must be the same. Standard input,
# if any, comes from the file NAME.in. The results stay in NAME.plain.out and NAME.preloaded.out.
run_both()
{
    local name=$1 input=/dev/null plain=0 loaded=0
    shift
    [ ! -f "$name.in" ] || input=$name.in
    "$@" <"$input" >"$name.plain.out" 2>"$name.plain.err" || plain=$?
    preloaded "$@" <"$input" >"$name.preloaded.out" 2>"$name.preloaded.err" || loaded=$?
    if [ "$plain" != "$loaded" ]; then
        tail -n 20 "$name.preloaded.err" >&2
        fail "$name: status $loaded with the library, $plain without"
    fi
    assert_same "$name.plain.out" "$name.preloaded.out"
    assert_same "$name.plain.err" "$name.preloaded.err"
    RUN_STATUS=$loaded
}

# run_both for programs that must succeed and print something: the same failure twice proves nothing.
run_both_ok()
{
    run_both "$@"
    if [ "$RUN_STATUS" != 0 ]; then
        tail -n 20 "$1.plain.err" >&2
        fail "$1: status $RUN_STATUS with and without the library"
    fi
    [ -s "$1.preloaded.out" ] || fail "$1: no output"
}

# A C compiler for tests that bring a small program of their own: CC as configured, else the system's.
require_compiler()
{
    CC=${CC:-cc}
    # shellcheck disable=SC2086 # CC may carry options
    command -v ${CC%% *} >/dev/null || skip "no C compiler here"
}

# compile OUTPUT SOURCE [OPTIONS…]: never with the compiler's own idea of malloc, or it deletes what is to be tested.
compile()
{
    local out=$1
    shift
    # shellcheck disable=SC2086 # CC may carry options
    $CC -O2 -g -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free -o "$out" "$@"
}

# shellcheck shell=sh disable=SC2034 # what is set here is used by those who source it
# Helpers of the prof_*.sh and report_*.sh tests; sourced, not run. "$folder" is a folder of the test's own.

quarry=${top_builddir:?set by make check}/tools/quarry/quarry
fixture="python3 ${top_srcdir:?set by make check}/tests/report_fixture.py"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail()
{
    echo "$*" >&2
    exit 1
}

# need PROGRAM PACKAGE
need()
{
    command -v "$1" >/dev/null || {
        echo "skipped: there is no $1 (Debian: apt-get install $2)"
        exit 77
    }
}

need_report()
{
    "$quarry" report --help >/dev/null 2>&1 || {
        echo "skipped: quarry was built without a report (Debian: apt-get install libjansson-dev)"
        exit 77
    }
}

# Go's pprof, wherever it is; it keeps what it makes in the test's folder.
need_go()
{
    for go in go /usr/lib/go-1.*/bin/go; do
        command -v "$go" >/dev/null && return
    done
    echo 'skipped: there is no go (Debian: apt-get install golang-1.19-go)'
    exit 77
}
pprof()
{
    HOME=$folder PPROF_TMPDIR=$folder PPROF_BINARY_PATH=$folder "$go" tool pprof -symbolize=none "$@" 2>"$folder/err" || {
        cat "$folder/err" >&2
        fail "pprof $*"
    }
}

# browse ARGUMENT...: Chromium without a window, a network or a profile of its user's.
browse()
{
    HOME=$folder timeout -k 5 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --user-data-dir="$folder/browser" --host-resolver-rules='MAP * ~NOTFOUND' --virtual-time-budget=4000 "$@" 2>"$folder/err" || {
        cat "$folder/err" >&2
        fail "chromium $*"
    }
}

[ -x "$quarry" ] || {
    echo 'skipped: there is no quarry command in this build'
    exit 77
}
need python3 python3

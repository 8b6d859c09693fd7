# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
# Helpers of the reports_*.sh tests, on top of those for real programs; sourced, not run.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

program=${top_builddir:?set by make check}/tests/reports_target
schema=${top_srcdir:?set by make check}/doc/quarry-stats.schema.json
check=$TESTS_DIR/reports_check.py
unset QUARRY_OPTIONS

# The first Python that has a validator: the one of the system may not be the first in PATH.
require_validator()
{
    local path
    for path in python3 /usr/bin/python3; do
        if "$path" -c 'import jsonschema; jsonschema.Draft202012Validator' 2>/dev/null; then
            PYTHON=$("$path" -c 'import sys; print(sys.executable)') # not a script in front of it
            return 0
        fi
    done
    skip "no JSON Schema validator for draft 2020-12 (Debian: python3-jsonschema)"
}

require_promtool()
{
    command -v promtool >/dev/null || skip "no promtool (Debian: prometheus)"
}

# valid [KEY=VALUE…] FILE…: JSON of ours, all of it.
valid()
{
    "$PYTHON" "$check" "$schema" "$@" >valid.out 2>valid.log || fail "not valid: $*"
}

# field FILE KEY: a number or string of a JSON file.
field()
{
    "$PYTHON" -c '
import json, sys
value = json.load(open(sys.argv[1]))
for part in sys.argv[2].split("."):
    value = value[int(part)] if isinstance(value, list) else value[part]
print(value)' "$1" "$2"
}

# count PATTERN: how many files match.
count()
{
    local files
    shopt -s nullglob
    # shellcheck disable=SC2206 # it is a pattern
    files=($1)
    shopt -u nullglob
    echo ${#files[@]}
}

# target STATS OPTIONS WAY…: run the program under test; what the library says is in err.log.
target()
{
    local stats=$1 options=$2
    shift 2
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS="$stats" QUARRY_OPTIONS="$options" "$program" "$@" >out.log 2>err.log
}

# start_target STATS OPTIONS WAY…: the same in the background; sets STARTED_PID.
start_target()
{
    local stats=$1 options=$2
    shift 2
    : >out.log
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS="$stats" QUARRY_OPTIONS="$options" "$program" "$@" >out.log 2>err.log &
    STARTED_PID=$!
    track_pid "$STARTED_PID"
}

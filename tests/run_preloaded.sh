#!/bin/sh
# Runs one black-box test program with Quarry preloaded, under a time-out.
#
#     run_preloaded.sh PROGRAM [ARGUMENT…]
#
# QUARRY_LIB    the library to preload; "none" runs the program as it is (the baseline: what glibc does)
# TEST_TIMEOUT  seconds until the program and all its children are ended (60)
# LD_PRELOAD is set for the test program alone: neither this shell, nor timeout, nor a libtool wrapper sees it.
set -eu

program=$1
shift
name=${program##*/}

if [ "$(head -c 4 "$program" | od -An -tx1 | tr -d ' \n')" != 7f454c46 ]; then
    echo "$name: not an ELF program" >&2
    exit 99
fi

modules=${top_builddir:-.}/tests/.libs
if [ -d "$modules" ]; then
    BLACKBOX_MODULES=$(cd "$modules" && pwd)
    export BLACKBOX_MODULES
fi

if [ "${QUARRY_LIB:?the library to preload, or none}" = none ]; then
    set -- "$program" "$@"
elif [ -f "$QUARRY_LIB" ]; then
    set -- env LD_PRELOAD="$QUARRY_LIB" BLACKBOX_LIB="$QUARRY_LIB" "$program" "$@"
else
    echo "$name: no library at $QUARRY_LIB" >&2
    exit 99
fi

status=0
timeout -k 5 "${TEST_TIMEOUT:-60}" "$@" || status=$?
if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    echo "$name: still running after ${TEST_TIMEOUT:-60} s" >&2
    exit 1
elif [ "$status" -gt 128 ]; then
    echo "$name: ended by signal $((status - 128))" >&2
    exit 1
fi
exit "$status"

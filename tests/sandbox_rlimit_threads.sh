#!/bin/sh
# Runs sandbox_rlimit_threads under a limit of the address space, then under one of private writable memory.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

# shellcheck disable=SC3045 # every sh on Linux knows -v and -d
for option in -v -d; do
    echo "ulimit $option"
    (
        ulimit "$option" 300000
        exec "$top_srcdir/tests/run_preloaded.sh" "$top_builddir/tests/sandbox_rlimit_threads"
    )
done

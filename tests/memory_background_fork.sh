#!/bin/sh
# The background thread and fork: children do not have it, and must neither hang nor miss it.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

QUARRY_OPTIONS=background:1,purge:0
export QUARRY_OPTIONS
for program in fork_storm fork_child_threads fork_isolated end_threads; do
    FORK_SECONDS=1 "$top_srcdir/tests/run_preloaded.sh" "$top_builddir/tests/$program"
done

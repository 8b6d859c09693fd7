#!/bin/sh
# With the background thread on, an idle process returns what it freed: see memory_idle.c.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

QUARRY_OPTIONS=background:1
export QUARRY_OPTIONS
exec "$top_srcdir/tests/run_preloaded.sh" "$top_builddir/tests/memory_idle"

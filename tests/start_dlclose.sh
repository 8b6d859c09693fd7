#!/bin/sh
# dlopen, use and dlclose of the library by a program that is not preloaded: see start_dlclose.c.
set -eu
: "${top_builddir:?}"

if [ ! -f "$QUARRY_LIB" ]; then
    echo "no library at $QUARRY_LIB" >&2
    exit 99
fi
exec timeout -k 5 30 "$top_builddir/tests/start_dlclose" "$QUARRY_LIB"

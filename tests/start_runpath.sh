#!/bin/sh
# Lays out the folders that start_runpath.c describes, and runs it there.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
built=$top_builddir/tests
mkdir -p "$folder/deps" "$folder/callers/beside"
cp "$built/start_runpath" "$folder/start_runpath"
cp "$built/.libs/start_runpath_target.so" "$folder/deps/runpath_first.so"
cp "$built/.libs/start_runpath_target.so" "$folder/callers/beside/runpath_second.so"
cp "$built/.libs/start_runpath_caller.so" "$folder/callers/caller.so"
cd "$folder"
"$top_srcdir/tests/run_preloaded.sh" "$folder/start_runpath" "$folder/callers/caller.so"

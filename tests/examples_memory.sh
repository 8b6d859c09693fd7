#!/usr/bin/env bash
# doc/finding-memory.md: its commands work, and print what the page shows; each program leads to the verdict and the place that
# the page says.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require_tool python3
require_tool curl
require_tool addr2line
build=${top_builddir:-$TESTS_DIR/../build}
build=$(cd "$build" && pwd)
page=${top_srcdir:-$TESTS_DIR/..}/doc/finding-memory.md
quarry=$build/tools/quarry/quarry
[ -x "$quarry" ] || skip "no quarry command here"
for library in libdw libjansson; do
    ldd "$quarry" | grep -q "$library" || skip "quarry was built without $library"
done
unset QUARRY_OPTIONS QUARRY_PROF || true

# As the reader has them: the library where the loader finds it, the command in PATH, the programs here.
cp "$build"/tools/examples/memory-{burst,fragment,leak,reference} .
mkdir bin
ln -s "$quarry" bin/quarry
export PATH="$WORK/bin:$PATH" LD_LIBRARY_PATH="${QUARRY_LIB%/*}"
"$TESTS_DIR/transcripts.py" "$page" >transcripts.log || {
    cat transcripts.log >&2
    fail "the page says something else"
}
cat transcripts.log

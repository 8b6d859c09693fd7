#!/bin/sh
# Records what happens when an IFUNC resolver of a linked library calls malloc. The loader relocates such a library before a
# preloaded one, so the resolver calls into code that is not relocated yet; no preloaded malloc can promise to survive that.
# Works: passes. Ended by a signal: skipped, and said. Anything else is a failure.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

status=0
said=$(TEST_TIMEOUT=20 "$top_srcdir/tests/run_preloaded.sh" "$top_builddir/tests/start_ifunc_library" 2>&1) || status=$?
echo "$said"
case $said in
*"ended by signal"*)
    echo "malloc in an IFUNC resolver of a linked library: the loader had not relocated the allocator yet"
    exit 77
    ;;
esac
exit "$status"

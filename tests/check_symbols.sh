#!/bin/sh
# What the built libraries show to the outside: exactly the names of tests/exported-symbols.txt, the malloc family without
# a version (a preloaded malloc@@VERSION is silently not used); nothing needed but libc; the soname that LD_PRELOAD lines
# and linked programs name; nodelete; no executable stack, no text relocations. And no name in the static archive that is
# not ours.
#
# QUARRY_LIB     libquarry.so
# top_srcdir     the source tree (default: the parent of this folder)
# top_builddir   the build tree, for the archive
set -eu
LC_ALL=C
export LC_ALL

library=${QUARRY_LIB:?the library to look at}
expected=${top_srcdir:-$(dirname "$0")/..}/tests/exported-symbols.txt
archive=${top_builddir:-.}/libquarry.a
nm=${NM:-nm}
readelf=${READELF:-readelf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

complain()
{
    echo "check_symbols: $*"
    status=1
}

if ! [ -f "$library" ]; then
    echo "check_symbols: no library at $library" >&2
    exit 99
fi

# --- Names of the shared library ----------------------------------------------------------------------------------------

# NM may carry flags of libtool's choosing, so only the last two columns (type, name) are relied on.
$nm -D --defined-only "$library" | awk '{ print $NF }' | sort >"$work/exported"
grep -v '^#' "$expected" | sort >"$work/expected"
if ! cmp -s "$work/expected" "$work/exported"; then
    comm -23 "$work/expected" "$work/exported" | while read -r name; do echo "check_symbols: not exported: $name"; done
    comm -13 "$work/expected" "$work/exported" |
        while read -r name; do echo "check_symbols: exported, but not in exported-symbols.txt: $name"; done
    status=1
fi
# Whatever the list says:
grep -qx malloc "$work/exported" || complain "there is no unversioned malloc"
if grep -v '^qy_' "$work/exported" | grep '@'; then
    complain "the names above carry a version: a preloaded program would not use them"
fi

# --- What the loader is told --------------------------------------------------------------------------------------------

$readelf -dW "$library" >"$work/dynamic"
$readelf -lW "$library" >"$work/segments"
sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' "$work/dynamic" >"$work/needed"
grep -qx 'libc\.so\.6' "$work/needed" || complain "does not need libc.so.6"
if grep -vE '^(libc\.so\.6|ld-linux[-.a-z0-9]*\.so\.[0-9]+)$' "$work/needed"; then
    complain "the libraries above are needed beside libc"
fi
grep -q '(SONAME).*\[libquarry\.so\.1\]' "$work/dynamic" || complain "the soname is not libquarry.so.1"
grep -q 'NODELETE' "$work/dynamic" || complain "not marked nodelete: dlclose would unmap it under live blocks"
! grep -q 'TEXTREL' "$work/dynamic" || complain "has text relocations"
! grep -qE '\((RPATH|RUNPATH)\)' "$work/dynamic" || complain "carries a run path of the build tree"
# The heap's pointer must be one load: no __tls_get_addr, which allocates.
! $nm -D --undefined-only "$library" | grep -q '__tls_get_addr' || complain "calls __tls_get_addr: not initial-exec TLS"
grep -q 'GNU_STACK.* RW ' "$work/segments" || complain "wants an executable stack"

# --- The static archive -------------------------------------------------------------------------------------------------

if [ -f "$archive" ]; then
    $nm --defined-only --extern-only "$archive" 2>"$work/nm-errors" | awk 'NF >= 3 { print $NF }' | sort -u >"$work/archive"
    [ -s "$work/archive" ] || complain "libquarry.a defines nothing"
    # The anchor of the probes is <sys/sdt.h>'s own, hidden, and one in all objects.
    if grep -vE '^(qy_|qyi_|_\.stapsdt\.base$)' "$work/archive"; then
        complain "libquarry.a defines the names above, which are not Quarry's to take"
    fi
    # Every public name of the shared library is in the archive too.
    sed -n 's/^\(qy_[a-z0-9_]*\)@.*/\1/p' "$work/exported" | sort >"$work/public"
    if comm -23 "$work/public" "$work/archive" | grep .; then
        complain "libquarry.a lacks the names above"
    fi
else
    complain "no static archive at $archive"
fi

[ "$status" != 0 ] || echo "check_symbols: $(wc -l <"$work/exported") names, as listed; $(wc -l <"$work/archive") in the archive"
exit "$status"

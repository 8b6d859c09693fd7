#!/bin/sh
# The installed files as a user meets them: preloaded into a real program, linked with pkg-config's flags as a shared
# library, linked as a static archive beside libc's malloc. Run by "make installcheck", which installs into ROOT first.
#
# ROOT                                       where it was installed (DESTDIR)
# LIBDIR INCLUDEDIR PKGCONFIGDIR MANDIR BINDIR   below ROOT
# VERSION                                    of the package
# CC PKG_CONFIG                              the programs
set -eu

: "${ROOT:?}" "${LIBDIR:?}" "${INCLUDEDIR:?}" "${PKGCONFIGDIR:?}" "${MANDIR:?}" "${BINDIR:?}" "${VERSION:?}"
: "${CC:=cc}" "${PKG_CONFIG:=pkg-config}"
libdir=$ROOT$LIBDIR
library=$libdir/libquarry.so.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL
unset LD_PRELOAD LD_LIBRARY_PATH QUARRY_STATS QUARRY_ONLY QUARRY_OPTIONS

fail()
{
    echo "installcheck: $*" >&2
    exit 1
}

ok()
{
    echo "installcheck: ok: $*"
}

# bound_to_quarry LOG SYMBOL: did the loader bind a use of SYMBOL outside the library to the library?
bound_to_quarry()
{
    grep -E "binding file .* to [^ ]*libquarry\.so\.1 .*symbol \`$2'" "$1" | grep -qvE 'binding file [^ ]*libquarry'
}

# --- The files ------------------------------------------------------------------------------------------------------------

for file in "$library" "$libdir/libquarry.so" "$libdir/libquarry.a" "$ROOT$INCLUDEDIR/quarry/quarry.h" \
    "$ROOT$PKGCONFIGDIR/quarry.pc" "$ROOT$MANDIR/man3/libquarry.3" "$ROOT$MANDIR/man7/quarry.7" \
    "$ROOT$MANDIR/man1/quarry.1" "$ROOT$BINDIR/quarry"; do
    [ -s "$file" ] || fail "not installed: $file"
done
[ ! -e "$libdir/libquarry-core.a" ] || fail "the convenience library is installed"
for name in qy_malloc qy_release qy_slice_sub qy_builder_append qy_cursor_peek qy_chain_push qy_pool_trim qy_zerocopy_reap; do
    [ -s "$ROOT$MANDIR/man3/$name.3" ] || fail "no manual page by the name of $name"
done
ok "all files are there"

# --- Preloaded ------------------------------------------------------------------------------------------------------------

# sort is in every Debian and an ELF program; it allocates buffers, starts threads and frees.
seq 1 200000 | sort -R >"$work/shuffled" 2>/dev/null || fail "cannot make input"
sort -n "$work/shuffled" >"$work/expected"
env LD_PRELOAD="$library" LD_DEBUG=bindings LD_DEBUG_OUTPUT="$work/bindings" \
    sort -n --parallel=2 "$work/shuffled" >"$work/sorted" || fail "sort fails with the library preloaded"
cmp "$work/expected" "$work/sorted" || fail "sort gives another result with the library preloaded"
cat "$work"/bindings.* >"$work/bindings"
for name in malloc free; do
    bound_to_quarry "$work/bindings" "$name" || fail "sort's $name is not bound to the preloaded library"
done
ok "preloaded into sort, which uses its malloc and free"

# --- The command ----------------------------------------------------------------------------------------------------------

# Where everything has been moved, as here below ROOT, the library beside the command's folder is found if the prefix is the usual.
quarry=$ROOT$BINDIR/quarry
[ "$("$quarry" --version)" = "quarry $VERSION" ] || fail "quarry --version says $("$quarry" --version)"
"$quarry" run --library="$library" -- sleep 60 &
sleeper=$!
tries=100
# Before it has become sleep, it is the command itself, which has Quarry in it too.
shows_sleep()
{
    "$quarry" stat "$sleeper" >"$work/report" 2>/dev/null &&
        grep -q "^quarry $VERSION: sleep (pid $sleeper)" "$work/report"
}
until shows_sleep || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.05
done
shows_sleep || fail "quarry stat does not show a program that quarry run has started"
kill "$sleeper"
ok "quarry run starts a program, and quarry stat looks into it"

# --- Linked with pkg-config ---------------------------------------------------------------------------------------------

PKG_CONFIG_PATH=$ROOT$PKGCONFIGDIR
PKG_CONFIG_SYSROOT_DIR=$ROOT
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
[ "$($PKG_CONFIG --modversion quarry)" = "$VERSION" ] || fail "quarry.pc has another version than $VERSION"

cat >"$work/program.c" <<'PROGRAM'
#include <quarry/quarry.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    if (qy_version() != QY_VERSION)
        return 4;
    printf("%d.%d.%d\n", QY_VERSION_MAJOR, QY_VERSION_MINOR, QY_VERSION_PATCH);

    char *block = qy_malloc(100);
    if (block == NULL || qy_usable_size(block) < 100)
        return 1;
    memset(block, 'q', 100);
    block = qy_realloc(block, 100000);
    if (block == NULL || block[99] != 'q')
        return 2;

    /* Quarry's own only when the program is linked with the shared library. */
    char *other = malloc(100);
    if (other == NULL)
        return 3;
    strcpy(other, "malloc works too");
    puts(other);
    free(other);
    qy_free(block);
    return 0;
}
PROGRAM

# shellcheck disable=SC2046,SC2086 # lists of flags
$CC $($PKG_CONFIG --cflags quarry) -Wall -Werror -o "$work/shared" "$work/program.c" $($PKG_CONFIG --libs quarry) ||
    fail "cannot link with $($PKG_CONFIG --libs quarry)"
env LD_LIBRARY_PATH="$libdir" LD_DEBUG=bindings LD_DEBUG_OUTPUT="$work/shared-bindings" "$work/shared" >"$work/out" ||
    fail "a program linked with -lquarry ends with status $?"
grep -qx 'malloc works too' "$work/out" || fail "a program linked with -lquarry prints something else"
[ "$(head -n 1 "$work/out")" = "$VERSION" ] || fail "quarry.h says version $(head -n 1 "$work/out"), configure.ac $VERSION"
cat "$work"/shared-bindings.* >"$work/shared-bindings"
for name in qy_malloc malloc free; do
    bound_to_quarry "$work/shared-bindings" "$name" || fail "with -lquarry, $name is not bound to the library"
done
ok "linked with pkg-config's flags: malloc is Quarry's"

# --- The static archive, position-independent and not --------------------------------------------------------------------

archive=$($PKG_CONFIG --variable=static_archive quarry)
# pkg-config puts the sysroot in front of flags only, pkgconf also in front of variables.
case $archive in "$ROOT"*) ;; *) archive=$ROOT$archive ;; esac
for mode in "-fPIE -pie" "-fno-pie -no-pie"; do
    # shellcheck disable=SC2046,SC2086 # lists of flags
    $CC $mode $($PKG_CONFIG --cflags quarry) -Wall -Werror -o "$work/static" "$work/program.c" "$archive" -pthread ||
        fail "cannot link $archive with $mode"
    env LD_DEBUG=bindings LD_DEBUG_OUTPUT="$work/static-bindings" "$work/static" >"$work/out" ||
        fail "a program linked with libquarry.a ($mode) ends with status $?"
    grep -qx 'malloc works too' "$work/out" || fail "a program linked with libquarry.a ($mode) prints something else"
    cat "$work"/static-bindings.* >"$work/static-bindings"
    grep -qE "binding file .* to [^ ]*libc\.so\.6 .*symbol \`malloc'" "$work/static-bindings" ||
        fail "with libquarry.a ($mode), malloc is not libc's"
    rm -f "$work"/static-bindings*
done
ok "linked with libquarry.a: qy_malloc beside libc's malloc"

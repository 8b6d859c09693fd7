#!/bin/sh
# A small program has in memory what it runs: of the library at most 100 KiB, and nothing of the code that stands apart (pages.ld).
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

# Headers of up to 20 KiB let the hot code end within one window of the kernel's (64 KiB).
hot=$(LC_ALL=C readelf -lW "$top_builddir/.libs/libquarry.so" | awk '$1 == "LOAD" && / R E / { print $3, $6; exit }')
start=${hot% *} size=${hot#* }
echo "hot code: from $start, $size bytes"
packed=yes
LC_ALL=C readelf -dW "$top_builddir/.libs/libquarry.so" | grep -q RELR || packed=no
[ $packed = yes ] || echo "relocations are not packed here, so it may end beyond the first 64 KiB"
[ $packed = no ] || [ $((start + size)) -le 65536 ] || { echo "it ends beyond the first 64 KiB"; exit 1; }

library=$(cd "$top_builddir/.libs" && pwd)/libquarry.so
maps=$(unset QUARRY_OPTIONS QUARRY_STATS QUARRY_PROF QUARRY_ONLY; LD_PRELOAD=$library cat /proc/self/smaps)
# A line per mapping of the library: its permissions, and how many KiB of it are resident.
printf '%s\n' "$maps" | awk '
    $1 ~ /^[0-9a-f]+-[0-9a-f]+$/ { ours = $6 ~ /libquarry/; permissions = $2 }
    ours && $1 == "Rss:" { print permissions, $2 }
' >"${TMPDIR:-/tmp}/memory_small.$$"
trap 'rm -f "${TMPDIR:-/tmp}/memory_small.$$"' EXIT
awk '
    { total += $2; print }
    $1 == "r-xp" { code[++codes] = $2 }
    END {
        print total, "KiB in all"
        if (codes == 1)
            print "this linker did not set rarely wanted code apart"
        else if (codes != 2 || code[1] == 0 || code[2] != 0 || total > 100)
            exit 1
    }
' "${TMPDIR:-/tmp}/memory_small.$$"

# And what Quarry itself has in memory for a program that allocates nothing: the first pages of its tables, one for all heaps' records,
# none for magazines that nobody uses.
ours=$(unset QUARRY_OPTIONS QUARRY_PROF QUARRY_ONLY; QUARRY_STATS=1 LD_PRELOAD=$library /bin/true 2>&1 | awk '$1 == "ours" { print $2 }')
echo "$ours bytes for true"
[ "$(getconf PAGESIZE)" != 4096 ] || [ "$ours" -le 32768 ]

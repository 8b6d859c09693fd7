#!/usr/bin/env bash
# tar and xz: an archive compressed by two threads is the same file as without the library, and unpacks to the same tree.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require TAR tar
require XZ xz

mkdir -p tree/deep/er
for i in $(seq 1 60); do seq "$i" "$((i * 90))" >"tree/deep/file-$i"; done
awk 'BEGIN { x = 1; for (i = 0; i < 60000; i++) { x = x * 16807 % 2147483647; printf "%d %d\n", x, i } }' >tree/random
truncate -s 5M tree/deep/er/sparse
echo end >>tree/deep/er/sparse
ln -s ../random tree/deep/link
ln tree/random tree/hard
mkdir "tree/$(printf 'long-%.0s' $(seq 40))"
: >"tree/$(printf 'long-%.0s' $(seq 40))/$(printf 'name-%.0s' $(seq 40))"

run_both_ok archive "$TAR" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --sparse -cf - tree
mv archive.plain.out archive.tar
for options in "-T2 --block-size=300KiB -1" "-T2 --block-size=1MiB -6" "-T1 -4 --format=lzma" \
    "-T2 -2 --x86 --lzma2=dict=256KiB"; do
    # shellcheck disable=SC2086 # several options
    run_both_ok squeezed "$XZ" $options -k -c archive.tar
    # shellcheck disable=SC2086
    preloaded "$XZ" -d -c -T2 <squeezed.preloaded.out | cmp - archive.tar
done
run_both_ok list "$XZ" --robot -lvv "$(mv squeezed.preloaded.out some.xz && echo some.xz)"
preloaded "$XZ" -t some.xz
# A damaged file is refused.
head -c 5000 some.xz >cut.xz
run_both cut "$XZ" -t cut.xz
assert_equal 1 "$RUN_STATUS" "status of xz on a damaged file"

# tar starts the preloaded xz by itself.
preloaded "$TAR" --sort=name -I "xz -T2 -1 --block-size=500KiB" -cf tree.tar.xz tree
mkdir unpacked
preloaded "$TAR" -C unpacked -xJf tree.tar.xz
diff -r tree unpacked/tree
assert_equal "../random" "$(readlink unpacked/tree/deep/link)" "link"
run_both_ok listing "$TAR" -tvf archive.tar
preloaded "$TAR" --compare -f archive.tar >compare.log || [ "$(grep -cv -e 'Mod time' -e 'Uid' -e 'Gid' compare.log)" = 0 ] ||
    fail "tar --compare"

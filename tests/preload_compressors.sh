#!/usr/bin/env bash
# gzip, bzip2 and zstd: round trips; zstd with two threads, a long window and a trained dictionary.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

awk 'BEGIN {
    x = 1
    for (i = 0; i < 50000; i++) { x = x * 16807 % 2147483647; printf "%d line %d of the text, %d\n", x % 1000, i, x }
}' >data

# round_trip PROGRAM UNPACK-OPTIONS PACK-OPTIONS…: the same compressed bytes with and without, and the data back.
round_trip()
{
    local program=$1 unpack=$2
    shift 2
    run_both_ok packed "$program" "$@" -c data
    # shellcheck disable=SC2086 # several options
    preloaded "$program" -d -c $unpack <packed.preloaded.out | cmp - data
    preloaded "$program" -c "$@" </dev/null | preloaded "$program" -d -c | cmp - /dev/null
    head -c 20000 packed.preloaded.out >cut-off
    if preloaded "$program" -t -q <cut-off >>damaged.log 2>&1; then
        fail "$program does not notice that the file is cut off"
    fi
}

require GZIP gzip
# GZIP would be taken for options by gzip itself.
gzip_elf=$GZIP
unset GZIP
for level in 1 9; do round_trip "$gzip_elf" "" -n "-$level"; done
ran=gzip
if BZIP2_ELF=$(find_elf bzip2); then
    assert_preloadable "$BZIP2_ELF"
    round_trip "$BZIP2_ELF" "" -1
    round_trip "$BZIP2_ELF" "-s" -9
    ran="$ran bzip2"
fi
if ZSTD=$(find_elf zstd); then
    assert_preloadable "$ZSTD"
    round_trip "$ZSTD" "" -q -3 -T2 -B256K
    round_trip "$ZSTD" "-q --long=27" -q -9 -T2 --long=27
    round_trip "$ZSTD" "-q" -q --adapt=min=1,max=1 -T1
    mkdir samples
    split -l 200 -d -a 4 data samples/part-
    preloaded "$ZSTD" -q --train --maxdict=20000 -o dictionary samples/part-*
    preloaded "$ZSTD" -q -D dictionary -19 -c samples/part-0007 |
        preloaded "$ZSTD" -q -D dictionary -d -c >unpacked-sample
    assert_same samples/part-0007 unpacked-sample
    mkdir packed unpacked
    preloaded "$ZSTD" -q -T2 --output-dir-flat=packed samples/part-*
    preloaded "$ZSTD" -q -d --output-dir-flat=unpacked packed/*.zst
    diff -r samples unpacked
    ran="$ran zstd"
fi
echo "$TEST_NAME: $ran"

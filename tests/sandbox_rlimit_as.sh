#!/bin/sh
# Runs sandbox_rlimit_as under limits of the address space set before exec: 4 GiB, 512 MiB, 64 MiB.
set -eu
: "${top_srcdir:?}" "${top_builddir:?}"

for kib in 4194304 524288 65536; do
    echo "ulimit -v $kib"
    (
        # shellcheck disable=SC3045 # every sh on Linux knows -v
        ulimit -v "$kib"
        exec "$top_srcdir/tests/run_preloaded.sh" "$top_builddir/tests/sandbox_rlimit_as"
    )
done

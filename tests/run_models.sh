#!/bin/sh
# Lets spin look at every interleaving of tests/models/remote.pml: the protocol as it is must hold, and every mutation
# of it must be found out.
#
# MODEL_FLAGS    other bounds for the protocol as it is, say "-DMOVES=2 -DREUSES=2" (a minute, and a few gigabytes)
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
model=$folder/models/remote.pml
cc=${CC:-cc}

if ! command -v spin >/dev/null 2>&1; then
    echo "SKIP: no spin (Debian: apt-get install spin)"
    exit 77
fi
if ! command -v "${cc%% *}" >/dev/null 2>&1; then
    echo "SKIP: no C compiler ($cc)"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$model" .

# Search all states of the model with these definitions; prints what pan has to say.
search()
{
    rm -f pan ./*.trail
    # shellcheck disable=SC2086 # one word per definition
    spin -a "$@" remote.pml >spin.log 2>&1 || { cat spin.log; return 1; }
    # shellcheck disable=SC2086 # CC may have options
    $cc "$optimize" -w -DSAFETY -o pan pan.c
    timeout 300 ./pan -m10000 -w22
}

failed=0

must_hold()
{
    optimize=-O2
    search "$@" >pan.log 2>&1 || true
    # A truncated search has proved nothing.
    if grep -q 'errors: 0$' pan.log && ! grep -qE 'max search depth too small|out of memory|not completed' pan.log; then
        echo "ok: the protocol holds ($*; $(awk '/states, stored/ { print $1 }' pan.log) states)"
    else
        echo "FAILED: the protocol does not hold ($*)"
        cat pan.log
        [ ! -f remote.pml.trail ] || spin -t -p "$@" remote.pml | tail -n 60
        failed=1
    fi
}

must_fail()
{
    optimize=-O0 # compiling would take longer than the search
    search -DMOVES=1 "-D$1" >pan.log 2>&1 || true
    if grep -qE 'errors: [1-9]' pan.log; then
        echo "ok: $1 is found out ($(sed -n 's/^pan:1: //p' pan.log))"
    else
        echo "FAILED: the model does not notice $1"
        cat pan.log
        failed=1
    fi
}

if [ -n "${MODEL_FLAGS-}" ]; then
    # shellcheck disable=SC2086 # one word per definition
    must_hold $MODEL_FLAGS
else
    must_hold -DMOVES=1 -DREUSES=1
    must_hold -DMOVES=2 -DREUSES=0
fi

# As the model's head explains them.
for mutation in DELETE_UNANNOUNCED NEXT_AFTER_COLLECT COUNT_AFTER_BITS ANNOUNCE_BEFORE_BITS \
    DROP_FOREIGN_NEWS PUSH_WITHOUT_CAS PUSH_ALWAYS COUNT_NOT_TAKEN; do
    must_fail "$mutation"
done
exit "$failed"

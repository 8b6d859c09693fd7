#!/bin/sh
# Lets spin look at every interleaving of the models in tests/models: each protocol as it is must hold, and every mutation
# of it must be found out. As many searches at once as there are processors.
#
# MODEL_SOAK    not empty: wider bounds (minutes, and some gigabytes)
set -eu

folder=$(cd "$(dirname "$0")" && pwd)
cc=${CC:-cc}

if ! command -v spin >/dev/null 2>&1; then
    echo "SKIP: no spin (Debian: apt-get install spin)"
    exit 77
fi
if ! command -v "${cc%% *}" >/dev/null 2>&1; then
    echo "SKIP: no C compiler ($cc)"
    exit 77
fi

# Search all states of a model with these definitions; prints what pan has to say.
#     search OPTIMIZE MODEL DEFINITION…
search()
{
    optimize=$1
    model=$2
    shift 2
    spin -a "$@" "$model.pml" >spin.log 2>&1 || { cat spin.log; return 1; }
    # shellcheck disable=SC2086 # CC may have options
    $cc "$optimize" -w -DSAFETY -DNOFAIR -o pan pan.c
    timeout 600 ./pan -m10000 -w22
}

must_hold()
{
    search -O1 "$@" >pan.log 2>&1 || true
    # A truncated search has proved nothing.
    if grep -q 'errors: 0$' pan.log && ! grep -qE 'max search depth too small|out of memory|not completed' pan.log; then
        echo "ok: the protocol holds ($*; $(awk '/states, stored/ { print $1 }' pan.log) states)"
        return
    fi
    echo "FAILED: the protocol does not hold ($*)"
    cat pan.log
    model=$1
    shift
    [ ! -f "$model.pml.trail" ] || spin -t -p "$@" "$model.pml" | tail -n 60
    return 1
}

must_fail()
{
    search -O0 "$@" >pan.log 2>&1 || true # compiling better would take longer than the search
    if grep -qE 'errors: [1-9]' pan.log; then
        echo "ok: found out ($*; $(sed -n 's/^pan:1: //p' pan.log))"
        return
    fi
    echo "FAILED: the model does not notice ($*)"
    cat pan.log
    return 1
}

# One search, in a folder of its own.
if [ "${1-}" = --one ]; then
    shift
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    cp "$folder"/models/*.pml .
    "$@" || exit 1
    exit 0
fi

# The longest first. The mutations are those that the models' heads explain.
searches()
{
    echo must_hold remote -DMOVES=1 -DREUSES=1
    echo must_hold remote -DMOVES=2 -DREUSES=0
    echo must_hold count -DTHREADS=3 -DADDS=2 -DREUSES=0
    echo must_hold count -DTHREADS=2 -DADDS=2 -DREUSES=1
    echo must_hold cells
    echo must_hold pool -DROUNDS=4
    for mutation in DELETE_UNANNOUNCED NEXT_AFTER_COLLECT COUNT_AFTER_BITS ANNOUNCE_BEFORE_BITS \
        DROP_FOREIGN_NEWS PUSH_WITHOUT_CAS PUSH_ALWAYS COUNT_NOT_TAKEN; do
        echo must_fail remote -DMOVES=1 "-D$mutation"
    done
    for mutation in ADD_NOT_ATOMIC SUB_NOT_ATOMIC LOOK_NOT_ACQUIRE SUB_NOT_RELEASE SUB_NOT_ACQUIRE LAST_UNNOTICED \
        NO_RESET NO_RESET_OF_MANY RESET_AFTER_FREE; do
        echo must_fail count -DTHREADS=2 -DADDS=2 "-D$mutation"
    done
    for mutation in ONE_ROUND NOT_CLOSED FLAG_NOT_RELEASE FLAG_NOT_ACQUIRE OPEN_NOT_RELEASE OPEN_NOT_ACQUIRE \
        NO_LOCK; do
        echo must_fail cells "-D$mutation"
    done
    for mutation in NO_BARRIER NO_WAIT LOOK_FIRST LEAVE_EARLY; do
        echo must_fail pool "-D$mutation"
    done
    if [ -n "${MODEL_SOAK-}" ]; then
        echo must_hold remote -DMOVES=2 -DREUSES=1
        echo must_hold count -DTHREADS=3 -DADDS=2 -DREUSES=1
        echo must_hold count -DTHREADS=2 -DADDS=4 -DREUSES=1
    fi
}

searches | xargs -P "$(nproc)" -L 1 "$folder/run_models.sh" --one

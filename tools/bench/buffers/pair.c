/* The bare atomic pair as two functions of a shared library, which is what a library that counts references cannot beat. */
#include "pair.h"

#include <stdlib.h>

void bench_pair_add(_Atomic uint32_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void bench_pair_drop(_Atomic uint32_t *count)
{
    if (atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1)
        abort();
}

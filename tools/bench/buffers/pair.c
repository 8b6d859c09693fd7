/*
 * What a library that counts references cannot beat: the bare atomic pair as two functions of a shared library; and two functions
 * that take and give what clone and drop do, and do nothing.
 */
#include "pair.h"

#include <stdlib.h>

struct iovec bench_empty_clone(struct iovec slice)
{
    return slice;
}

void bench_empty_drop(struct iovec *slice)
{
    __asm__ volatile("" : : "r"(slice) : "memory");
}

void bench_pair_add(_Atomic uint32_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void bench_pair_drop(_Atomic uint32_t *count)
{
    if (atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1)
        abort();
}

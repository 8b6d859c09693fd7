#ifndef QUARRY_BENCH_PAIR_H
#define QUARRY_BENCH_PAIR_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/uio.h>

void bench_pair_add(_Atomic uint32_t *count);
void bench_pair_drop(_Atomic uint32_t *count);
struct iovec bench_empty_clone(struct iovec slice);
void bench_empty_drop(struct iovec *slice);

#endif

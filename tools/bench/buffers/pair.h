#ifndef QUARRY_BENCH_PAIR_H
#define QUARRY_BENCH_PAIR_H

#include <stdatomic.h>
#include <stdint.h>

void bench_pair_add(_Atomic uint32_t *count);
void bench_pair_drop(_Atomic uint32_t *count);

#endif

/*
 * What every workload of the benchmark shares: the clock, a cheap generator of fixed seed, block sizes as programs ask
 * for them, and allocation that touches what it gets.
 *
 * The workloads call plain malloc, calloc, realloc and free; the allocator under test is preloaded. The program is
 * compiled with -fno-builtin-malloc and friends: otherwise the compiler removes pairs whose block is never read, and
 * the benchmark measures an empty loop.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A workload measures itself: run() returns the seconds of the part that counts, without set-up and tear-down. */
struct workload {
    const char *name;
    const char *summary;
    double (*run)(double scale);
};

/* One table per file, each ended by an entry without a name. */
extern const struct workload hot_workloads[];
extern const struct workload cold_workloads[];
extern const struct workload structure_workloads[];
extern const struct workload number_workloads[];
extern const struct workload logic_workloads[];
extern const struct workload server_workloads[];
extern const struct workload queue_workloads[];
extern const struct workload sharing_workloads[];
extern const struct workload stress_workloads[];
extern const struct workload large_workloads[];
extern const struct workload growth_workloads[];
extern const struct workload churn_workloads[];

/* Ends the program with one line. A benchmark that computes the wrong thing must not report a time. */
_Noreturn void fail(const char *what);

static inline void check(bool condition, const char *what)
{
    if (__builtin_expect(!condition, 0))
        fail(what);
}

static inline double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The number of operations at this scale: at least one. */
static inline size_t scaled(size_t count, double scale)
{
    double value = (double)count * scale;
    return value < 1 ? 1 : (size_t)value;
}

/* The size of a working set at this scale. It shrinks for a quick run but never grows: hot stays hot. */
static inline size_t shrunk(size_t count, double scale)
{
    return scaled(count, scale < 1 ? scale : 1);
}

/*
 * xorshift64*: three shifts and a multiplication, small beside any allocator's work. It has a cache line to itself: those of
 * several threads in one array would share lines, or not, as the array happens to lie.
 */
struct random {
    _Alignas(64) uint64_t state;
};

static inline struct random random_seeded(uint64_t seed)
{
    return (struct random){(seed + 1) * 0x9e3779b97f4a7c15u};
}

static inline uint32_t random_next(struct random *random)
{
    uint64_t x = random->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    random->state = x;
    return (uint32_t)((x * 0x2545f4914f6cdd1du) >> 32);
}

/* Uniform in [0, limit). */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)(((uint64_t)random_next(random) * limit) >> 32);
}

/* A size that is uniform on a logarithmic scale from 8 bytes to 2^top: small blocks are common, large ones are rare. */
static inline size_t random_size(struct random *random, unsigned top)
{
    uint32_t limit = UINT32_C(1) << (4 + random_below(random, top - 3));
    return 8 + random_below(random, limit - 7);
}

/* Allocates at least eight bytes and writes the first word, as every user of a block does. */
static inline void *take(size_t size)
{
    uint64_t *block = malloc(size);
    check(block != NULL, "malloc returned NULL");
    *block = size;
    return block;
}

/* Starts `count` threads on body(context), context i at contexts + i * stride, and waits for them all. */
void run_threads(size_t count, void *(*body)(void *), void *contexts, size_t stride);

#endif

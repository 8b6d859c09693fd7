/*
 * Mixed-size stress with 2, 4 and 8 threads. Each thread keeps some blocks for long and some for a moment, and swaps
 * blocks with the others through shared slots, so that many are freed by a thread that did not allocate them. Most
 * blocks are small, a few reach 64 KiB. Threads end and are started anew several times; blocks in the shared slots
 * stay.
 */
#include "workload.h"

#include <stdatomic.h>

enum {
    THREAD_LIMIT = 8,
    SHARED_COUNT = 1000,
    KEPT_COUNT = 400,
    ITERATION_COUNT = 10,
    STEPS_PER_ITERATION = 1800000, /* over all threads */
    SMALL_TOP_SHIFT = 10,
    LARGE_TOP_SHIFT = 16,
};

struct block {
    uint32_t word_count;
    uint32_t cookie; /* derived from the address: a block handed out twice is noticed */
    uint64_t word[];
};

struct worker {
    struct random random;
    size_t step_count;
};

static _Atomic(struct block *) shared[SHARED_COUNT];

static uint32_t cookie_of(const struct block *block)
{
    return (uint32_t)(((uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static struct block *block_new(struct random *random)
{
    size_t size = random_size(random, random_below(random, 128) == 0 ? LARGE_TOP_SHIFT : SMALL_TOP_SHIFT);
    struct block *block = take(sizeof *block + size);
    block->word_count = (uint32_t)(size / sizeof block->word[0]);
    block->cookie = cookie_of(block);
    /* Eight words of each page: what is used of a block is written, but writing is not what is measured. */
    for (size_t i = 0; i < block->word_count; i += i % 512 < 8 ? 1 : 512 - i % 512)
        block->word[i] = i ^ block->cookie;
    return block;
}

static void block_free(struct block *block)
{
    if (!block)
        return;
    check(block->cookie == cookie_of(block), "a block's cookie is wrong");
    check(block->word[0] == block->cookie, "a block's contents changed");
    block->cookie = 0;
    free(block);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct random *random = &worker->random;
    struct block *kept[KEPT_COUNT] = {NULL};

    for (size_t step = 0; step < worker->step_count; step++) {
        uint32_t draw = random_next(random);
        struct block *block = block_new(random);
        if (draw % 8 < 4) {
            block_free(block);
        } else if (draw % 8 < 6) {
            struct block **slot = &kept[(draw >> 8) % KEPT_COUNT];
            block_free(*slot);
            *slot = block;
        } else {
            block_free(atomic_exchange(&shared[(draw >> 8) % SHARED_COUNT], block));
        }
    }
    for (size_t i = 0; i < KEPT_COUNT; i++)
        block_free(kept[i]);
    return NULL;
}

static double run_stress(size_t threads, double scale)
{
    struct worker workers[THREAD_LIMIT];

    double start = now_seconds();
    for (size_t iteration = 0; iteration < ITERATION_COUNT; iteration++) {
        for (size_t i = 0; i < threads; i++) {
            workers[i].random = random_seeded(100 * iteration + i);
            workers[i].step_count = scaled(STEPS_PER_ITERATION, scale) / threads;
        }
        run_threads(threads, work, workers, sizeof workers[0]);
    }
    double seconds = now_seconds() - start;

    for (size_t i = 0; i < SHARED_COUNT; i++)
        block_free(shared[i]);
    return seconds;
}

static double run_stress_2(double scale)
{
    return run_stress(2, scale);
}

static double run_stress_4(double scale)
{
    return run_stress(4, scale);
}

static double run_stress_8(double scale)
{
    return run_stress(8, scale);
}

const struct workload stress_workloads[] = {
    {"stress-2", "mixed sizes, kept, dropped and swapped between 2 threads", run_stress_2},
    {"stress-4", "mixed sizes, kept, dropped and swapped between 4 threads", run_stress_4},
    {"stress-8", "mixed sizes, kept, dropped and swapped between 8 threads", run_stress_8},
    {0},
};

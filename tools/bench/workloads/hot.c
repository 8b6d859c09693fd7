/*
 * Hot paths: a few blocks that stay in the cache, allocated and freed again and again.
 *
 * The pair workloads differ in the order of the frees alone, all with the same mixed small sizes. The batch workloads
 * hold 25 to 1600 blocks before they free any, so they overrun whatever an allocator caches per thread. Some hundred
 * blocks stay live all the while, as in any program: an allocator's page or slab is hardly ever left empty.
 */
#include "workload.h"

enum {
    SIZE_COUNT = 4096,
    SIZE_TOP_SHIFT = 9,
    STACK_DEPTH = 8,
    QUEUE_LENGTH = 32,
    RING_LENGTH = 64,
    POOL_SIZE = 256,
    HELD_COUNT = 500,
    BATCH_BLOCK_SIZE = 64
};

/* Drawn beforehand, so that the loops measure little but the allocator. */
static uint16_t sizes[SIZE_COUNT];

static void *held[HELD_COUNT + 1];

static void prepare(void)
{
    struct random random = random_seeded(1);
    for (size_t i = 0; i < SIZE_COUNT; i++)
        sizes[i] = (uint16_t)random_size(&random, SIZE_TOP_SHIFT);
    for (size_t i = 0; i < HELD_COUNT; i++)
        held[i] = take(sizes[SIZE_COUNT - 1 - i]);
    held[HELD_COUNT] = take(BATCH_BLOCK_SIZE);
}

static double run_lifo(double scale)
{
    void *stack[STACK_DEPTH];
    size_t next = 0;
    prepare();

    double start = now_seconds();
    for (size_t round = scaled(8000000, scale); round > 0; round--) {
        for (size_t i = 0; i < STACK_DEPTH; i++)
            stack[i] = take(sizes[next++ % SIZE_COUNT]);
        for (size_t i = STACK_DEPTH; i-- > 0;)
            free(stack[i]);
    }
    return now_seconds() - start;
}

static double run_fifo(double scale)
{
    void *queue[QUEUE_LENGTH];
    size_t next = 0;
    prepare();

    double start = now_seconds();
    for (size_t round = scaled(1500000, scale); round > 0; round--) {
        for (size_t i = 0; i < QUEUE_LENGTH; i++)
            queue[i] = take(sizes[next++ % SIZE_COUNT]);
        for (size_t i = 0; i < QUEUE_LENGTH; i++)
            free(queue[i]);
    }
    return now_seconds() - start;
}

/* Every block lives for exactly RING_LENGTH allocations. */
static double run_ring(double scale)
{
    void *ring[RING_LENGTH] = {NULL};
    size_t count = scaled(50000000, scale);
    prepare();

    double start = now_seconds();
    for (size_t i = 0; i < count; i++) {
        free(ring[i % RING_LENGTH]);
        ring[i % RING_LENGTH] = take(sizes[i % SIZE_COUNT]);
    }
    double seconds = now_seconds() - start;

    for (size_t i = 0; i < RING_LENGTH; i++)
        free(ring[i]);
    return seconds;
}

static double run_random(double scale)
{
    void *pool[POOL_SIZE] = {NULL};
    struct random random = random_seeded(2);
    prepare();

    double start = now_seconds();
    for (size_t count = scaled(50000000, scale); count > 0; count--) {
        uint32_t draw = random_next(&random);
        void **slot = &pool[draw % POOL_SIZE];
        free(*slot);
        *slot = take(sizes[(draw >> 16) % SIZE_COUNT]);
    }
    double seconds = now_seconds() - start;

    for (size_t i = 0; i < POOL_SIZE; i++)
        free(pool[i]);
    return seconds;
}

/* Allocates `length` blocks, then frees them in the same order; `blocks` blocks in all. */
static double run_batches(size_t length, size_t blocks, bool mixed, double scale)
{
    void **batch = calloc(length, sizeof *batch);
    check(batch != NULL, "calloc returned NULL");
    size_t next = 0;
    prepare();

    double start = now_seconds();
    for (size_t round = scaled(blocks / length, scale); round > 0; round--) {
        for (size_t i = 0; i < length; i++)
            batch[i] = take(mixed ? sizes[next++ % SIZE_COUNT] : BATCH_BLOCK_SIZE);
        for (size_t i = 0; i < length; i++)
            free(batch[i]);
    }
    double seconds = now_seconds() - start;

    free(batch);
    return seconds;
}

static double run_batch_25(double scale)
{
    return run_batches(25, 100000000, false, scale);
}

static double run_batch_100(double scale)
{
    return run_batches(100, 100000000, false, scale);
}

static double run_batch_400(double scale)
{
    return run_batches(400, 100000000, false, scale);
}

static double run_batch_1600(double scale)
{
    return run_batches(1600, 100000000, false, scale);
}

static double run_batch_mixed(double scale)
{
    return run_batches(800, 60000000, true, scale);
}

const struct workload hot_workloads[] = {
    {"pairs-lifo", "8 blocks of mixed small sizes, freed last in, first out", run_lifo},
    {"pairs-fifo", "32 blocks of mixed small sizes, freed first in, first out", run_fifo},
    {"pairs-ring", "a ring of 64 blocks, the oldest replaced", run_ring},
    {"pairs-random", "256 blocks, a random one replaced", run_random},
    {"batch-25", "25 blocks of 64 bytes, then all freed in order", run_batch_25},
    {"batch-100", "100 blocks of 64 bytes, then all freed in order", run_batch_100},
    {"batch-400", "400 blocks of 64 bytes, then all freed in order", run_batch_400},
    {"batch-1600", "1600 blocks of 64 bytes, then all freed in order", run_batch_1600},
    {"batch-mixed", "800 blocks of mixed small sizes, then all freed in order", run_batch_mixed},
    {0},
};

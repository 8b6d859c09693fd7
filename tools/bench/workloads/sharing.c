/*
 * False sharing. Active: does the allocator give blocks of one cache line to two threads that allocate at the same
 * time? Passive: when one thread hands such neighbours to two others and they free them, do those then get the parts
 * of one line back, and keep them?
 */
#include "workload.h"

enum { THREAD_COUNT = 2, BLOCK_SIZE = 8, BLOCK_COUNT = 4, WRITE_COUNT = 200 };

struct worker {
    _Alignas(128) void *inherited[BLOCK_COUNT]; /* freed at the start; NULL for active sharing */
    size_t round_count;
};

/*
 * Stores alone, through pointers in registers: each needs the block's line and nothing else. Reading back what was just written, or
 * the pointers from memory between the stores, would measure how well the processor guesses which store a load depends on: it made
 * the same stores take 0.7 or 1.8 s with any allocator.
 */
static void write_often(uint64_t *const blocks[BLOCK_COUNT])
{
    _Static_assert(BLOCK_COUNT == 4 && WRITE_COUNT % BLOCK_COUNT == 0, "as below");
    volatile uint64_t *first = blocks[0], *second = blocks[1], *third = blocks[2], *fourth = blocks[3];
    for (size_t i = 0; i < WRITE_COUNT; i += BLOCK_COUNT) {
        *first = i;
        *second = i;
        *third = i;
        *fourth = i;
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    uint64_t *blocks[BLOCK_COUNT];
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        free(worker->inherited[i]);
    for (size_t round = worker->round_count; round > 0; round--) {
        for (size_t i = 0; i < BLOCK_COUNT; i++)
            blocks[i] = take(BLOCK_SIZE);
        write_often(blocks);
        for (size_t i = 0; i < BLOCK_COUNT; i++)
            free(blocks[i]);
    }
    return NULL;
}

static double run_workers(bool passive, double scale)
{
    struct worker workers[THREAD_COUNT];
    /* In turn, so that neighbours go to different threads. */
    for (size_t i = 0; i < THREAD_COUNT * BLOCK_COUNT; i++)
        workers[i % THREAD_COUNT].inherited[i / THREAD_COUNT] = passive ? take(BLOCK_SIZE) : NULL;
    for (size_t i = 0; i < THREAD_COUNT; i++)
        workers[i].round_count = scaled(3000000, scale);

    double start = now_seconds();
    run_threads(THREAD_COUNT, work, workers, sizeof workers[0]);
    return now_seconds() - start;
}

static double run_active(double scale)
{
    return run_workers(false, scale);
}

static double run_passive(double scale)
{
    return run_workers(true, scale);
}

const struct workload sharing_workloads[] = {
    {"sharing-active", "2 threads allocate a few blocks of 8 bytes, write them often and free them", run_active},
    {"sharing-passive", "the same, after each freed a neighbour that a third had allocated", run_passive},
    {0},
};

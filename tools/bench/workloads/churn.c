/*
 * Thread churn: thousands of short-lived threads, four at a time. Each allocates some hundred blocks, frees most of
 * them and leaves the rest to the main thread, which frees them when the thread is gone.
 */
#include "workload.h"

enum { THREADS_AT_ONCE = 4, BLOCK_COUNT = 200, LEFT_COUNT = 20, SIZE_TOP_SHIFT = 11 };

struct visitor {
    struct random random;
    void *left[LEFT_COUNT];
};

static void *visit(void *context)
{
    struct visitor *visitor = context;
    void *blocks[BLOCK_COUNT];
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        blocks[i] = take(random_size(&visitor->random, SIZE_TOP_SHIFT));
    for (size_t i = LEFT_COUNT; i < BLOCK_COUNT; i++)
        free(blocks[i]);
    for (size_t i = 0; i < LEFT_COUNT; i++)
        visitor->left[i] = blocks[i];
    return NULL;
}

static double run_churn(double scale)
{
    struct visitor visitors[THREADS_AT_ONCE];
    for (size_t i = 0; i < THREADS_AT_ONCE; i++)
        visitors[i].random = random_seeded(11 + i);

    double start = now_seconds();
    for (size_t wave = scaled(4000, scale); wave > 0; wave--) {
        run_threads(THREADS_AT_ONCE, visit, visitors, sizeof visitors[0]);
        for (size_t i = 0; i < THREADS_AT_ONCE; i++)
            for (size_t j = 0; j < LEFT_COUNT; j++)
                free(visitors[i].left[j]);
    }
    return now_seconds() - start;
}

const struct workload churn_workloads[] = {
    {"thread-churn", "16,000 short-lived threads, four at a time, each allocating", run_churn},
    {0},
};

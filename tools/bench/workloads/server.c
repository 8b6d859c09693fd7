/*
 * A server's threads, after Larson and Krishnan: each works on a set of blocks, replacing random ones, then hands the
 * set to a new thread and dies. So blocks outlive the thread that allocated them and are freed by its successors.
 */
#include "workload.h"

enum { CHAIN_COUNT = 4, SLOT_COUNT = 5000, OPERATIONS_PER_THREAD = 50000, SIZE_LOWEST = 8, SIZE_RANGE = 993 };

/* A line of threads, one alive at a time. */
struct chain {
    struct random random;
    size_t threads_left;
    void *slots[SLOT_COUNT];
};

static struct chain chains[CHAIN_COUNT];

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t finished;
    size_t chains_left;
} gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER};

static void start_thread(struct chain *chain);

static void *serve(void *context)
{
    struct chain *chain = context;
    for (size_t i = 0; i < OPERATIONS_PER_THREAD; i++) {
        void **slot = &chain->slots[random_below(&chain->random, SLOT_COUNT)];
        free(*slot);
        *slot = take(SIZE_LOWEST + random_below(&chain->random, SIZE_RANGE));
    }
    if (--chain->threads_left > 0) {
        start_thread(chain);
    } else {
        pthread_mutex_lock(&gate.mutex);
        gate.chains_left--;
        pthread_cond_signal(&gate.finished);
        pthread_mutex_unlock(&gate.mutex);
    }
    return NULL;
}

static void start_thread(struct chain *chain)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, serve, chain) == 0, "pthread_create failed");
    pthread_detach(thread);
}

static double run_larson(double scale)
{
    for (size_t i = 0; i < CHAIN_COUNT; i++) {
        chains[i].random = random_seeded(6 + i);
        chains[i].threads_left = scaled(90, scale);
        for (size_t j = 0; j < SLOT_COUNT; j++)
            chains[i].slots[j] = take(SIZE_LOWEST + random_below(&chains[i].random, SIZE_RANGE));
    }
    gate.chains_left = CHAIN_COUNT;

    double start = now_seconds();
    for (size_t i = 0; i < CHAIN_COUNT; i++)
        start_thread(&chains[i]);
    pthread_mutex_lock(&gate.mutex);
    while (gate.chains_left > 0)
        pthread_cond_wait(&gate.finished, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    return now_seconds() - start;
}

const struct workload server_workloads[] = {
    {"larson", "4 chains of threads that replace random blocks, pass them on and die", run_larson},
    {0},
};

/*
 * Asymmetric producer and consumer: one thread only allocates, the other only frees. Between them is a ring of batches
 * with two semaphores, which count those that are empty and those that are full.
 */
#include "workload.h"

#include <semaphore.h>

enum { BATCH_COUNT = 8, BATCH_LENGTH = 1024, SIZE_TOP_SHIFT = 9, SPIN_LIMIT = 5000 };

static struct {
    void *blocks[BATCH_COUNT][BATCH_LENGTH];
    sem_t empty;
    sem_t full;
    size_t total; /* batches */
} ring;

/* Spins for about as long as a batch takes before it sleeps: waking up costs more than what is measured. */
static void wait_for(sem_t *semaphore)
{
    for (size_t i = 0; i < SPIN_LIMIT; i++)
        if (sem_trywait(semaphore) == 0)
            return;
    while (sem_wait(semaphore) != 0)
        ;
}

static void *produce(void *context)
{
    struct random random = random_seeded(7);
    for (size_t batch = 0; batch < ring.total; batch++) {
        wait_for(&ring.empty);
        for (size_t i = 0; i < BATCH_LENGTH; i++) {
            uint64_t *block = take(random_size(&random, SIZE_TOP_SHIFT));
            *block = batch + i;
            ring.blocks[batch % BATCH_COUNT][i] = block;
        }
        sem_post(&ring.full);
    }
    return context;
}

static void *consume(void *context)
{
    for (size_t batch = 0; batch < ring.total; batch++) {
        wait_for(&ring.full);
        for (size_t i = 0; i < BATCH_LENGTH; i++) {
            uint64_t *block = ring.blocks[batch % BATCH_COUNT][i];
            check(*block == batch + i, "a block changed on its way");
            free(block);
        }
        sem_post(&ring.empty);
    }
    return context;
}

static double run_producer_consumer(double scale)
{
    pthread_t producer, consumer;
    ring.total = scaled(20000, scale);
    sem_init(&ring.empty, 0, BATCH_COUNT);
    sem_init(&ring.full, 0, 0);

    double start = now_seconds();
    check(pthread_create(&producer, NULL, produce, NULL) == 0, "pthread_create failed");
    check(pthread_create(&consumer, NULL, consume, NULL) == 0, "pthread_create failed");
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    return now_seconds() - start;
}

const struct workload queue_workloads[] = {
    {"producer-consumer", "one thread allocates, another frees, a queue between them", run_producer_consumer},
    {0},
};

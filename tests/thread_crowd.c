/* 200 threads at once, all holding blocks at the same time, several times: resident memory afterwards as in thread_churn. */
#include "thread_churn.h"

enum { CROWD = 200 };
static pthread_barrier_t barrier;

static void *body(void *argument)
{
    void *held[50];
    for (size_t i = 0; i < BB_COUNT(held); i++) {
        CHECK((held[i] = malloc(i * 40 + 1)) != NULL);
        memset(held[i], 1, i * 40 + 1);
    }
    thread_work((uintptr_t)argument);
    pthread_barrier_wait(&barrier); /* now everybody holds blocks */
    for (size_t i = 0; i < BB_COUNT(held); i++)
        free(held[i]);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void)
{
    size_t before = rss_in_steady_state();
    pthread_barrier_init(&barrier, NULL, CROWD);
    for (size_t round = 0; round < 5; round++) {
        static pthread_t threads[CROWD];
        for (size_t i = 0; i < CROWD; i++)
            threads[i] = bb_start(body, (void *)(round * CROWD + i));
        for (size_t i = 0; i < CROWD; i++)
            bb_join(threads[i]);
    }
    expect_rss_returns_to(before);
    return 0;
}

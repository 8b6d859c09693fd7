/* Threads cancelled at arbitrary cancellation points between allocations: no lock stays held, cleanup handlers may free. */
#include "blackbox.h"

static void clean(void *argument)
{
    char ***blocks = argument;
    for (size_t i = 0; i < 100; i++)
        free((*blocks)[i]);
    free(*blocks);
}

static void *body(void *unused)
{
    char **blocks = calloc(100, sizeof(*blocks));
    CHECK(blocks != NULL);
    pthread_cleanup_push(clean, &blocks);
    uint64_t state = (uintptr_t)&blocks;
    for (;;) {
        size_t i = bb_random(&state) % 100;
        blocks[i] = realloc(blocks[i], bb_random(&state) % (i == 0 ? 300000 : 2000) + 1);
        CHECK(blocks[i] != NULL);
        if (i % 10 == 0)
            pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return unused;
}

int main(void)
{
    for (int round = 0; round < 200; round++) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            threads[i] = bb_start(body, NULL);
        if (round % 4 == 0)
            bb_sleep_ms(1);
        for (int i = 0; i < 3; i++)
            CHECK(pthread_cancel(threads[i]) == 0);
        for (int i = 0; i < 3; i++)
            CHECK(bb_join(threads[i]) == PTHREAD_CANCELED);
    }
    return 0;
}

/*
 * The library that start_loader_lock opens: its constructor, which runs under the loader's lock, starts threads and waits for
 * them; their first malloc and their end must not need that lock.
 */
#define BLACKBOX_MODULE
#include "blackbox.h"

static void *body(void *unused)
{
    void *blocks[300];
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        CHECK((blocks[i] = malloc(i * 40)) != NULL);
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return unused;
}

static __attribute__((constructor)) void start(void)
{
    for (int round = 0; round < 5; round++) {
        pthread_t threads[3];
        for (size_t i = 0; i < BB_COUNT(threads); i++)
            threads[i] = bb_start(body, NULL);
        for (size_t i = 0; i < BB_COUNT(threads); i++)
            bb_join(threads[i]);
    }
}

/*
 * What thread_sleeping_owner and thread_exited_owner share: one thread allocates 256 MiB in small blocks, another one frees
 * them all, then malloc_trim(0): the memory must come back although the owner never calls malloc again.
 */
#ifndef BLACKBOX_THREAD_OWNER_H
#define BLACKBOX_THREAD_OWNER_H

#include "blackbox.h"
#include <malloc.h>

enum { OWNER_TOTAL = 256 << 20 };

struct owned {
    struct owned *next;
};

/* A chain of blocks of one size after another. */
static BB_UNUSED struct owned *owner_allocate(void)
{
    static const size_t sizes[] = {48, 64, 100, 256, 700, 2000};
    struct owned *chain = NULL;
    for (size_t i = 0; i < BB_COUNT(sizes); i++) {
        for (size_t total = 0; total < OWNER_TOTAL / BB_COUNT(sizes); total += sizes[i]) {
            struct owned *block = malloc(sizes[i]);
            CHECK(block != NULL);
            memset(block, 1, sizes[i]);
            block->next = chain;
            chain = block;
        }
    }
    return chain;
}

static BB_UNUSED void *owner_free_all(void *argument)
{
    struct owned *chain = argument;
    while (chain != NULL) {
        struct owned *next = chain->next;
        free(chain);
        chain = next;
    }
    return NULL;
}

/* Within some seconds, and after malloc_trim, at least nine tenths have to be gone. */
static BB_UNUSED void owner_expect_returned(size_t before)
{
    size_t peak = bb_rss_bytes(), after = peak;
    for (int tenths = 0; tenths < 50; tenths++) {
        malloc_trim(0);
        after = bb_rss_bytes();
        if (after < before + OWNER_TOTAL / 10)
            break;
        bb_sleep_ms(100);
    }
    bb_note("resident before %zu MiB, after freeing %zu MiB, after trimming %zu MiB", before >> 20, peak >> 20,
            after >> 20);
    CHECK(after < before + OWNER_TOTAL / 10, "resident before %zu MiB, after %zu MiB", before >> 20, after >> 20);
}

#endif

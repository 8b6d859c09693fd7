/*
 * What the memory_returned programs share: 1 GiB is allocated, touched and freed; at least 95% of it must leave the process.
 */
#ifndef BLACKBOX_MEMORY_RETURNED_H
#define BLACKBOX_MEMORY_RETURNED_H

#include "blackbox.h"
#include <malloc.h>

static const size_t RETURNED_TOTAL = (size_t)1 << 30;

struct held {
    struct held *next;
};

/* Blocks of the given sizes by turns, every page touched. */
static BB_UNUSED struct held *returned_take(const size_t *sizes, size_t size_count, size_t total)
{
    struct held *chain = NULL;
    for (size_t taken = 0, i = 0; taken < total; i++) {
        size_t size = sizes[i % size_count];
        struct held *block = malloc(size);
        CHECK(block != NULL);
        for (size_t at = 0; at < size; at += 4096)
            ((char *)block)[at] = 1;
        block->next = chain;
        chain = block;
        taken += size;
    }
    return chain;
}

static BB_UNUSED void returned_give(struct held *chain)
{
    while (chain != NULL) {
        struct held *next = chain->next;
        free(chain);
        chain = next;
    }
}

static BB_UNUSED void returned_check(const char *what, size_t before, size_t full)
{
    size_t after = bb_rss_bytes();
    bb_note("%s: resident %zu MiB, then %zu MiB, after freeing %zu MiB", what, before >> 20, full >> 20, after >> 20);
    CHECK(after <= before || after - before <= (full - before) / 20, "%s: resident %zu, then %zu, after freeing %zu",
          what, before, full, after);
}

#endif

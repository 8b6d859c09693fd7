/*
 * large.h: blocks that have a run of granules for themselves. Layer 5.
 */
#ifndef QYI_LARGE_H
#define QYI_LARGE_H

#include "base.h"
#include "count.h"
#include "region.h"

/* The record of a large run's first granule. */
struct qyi_large {
    size_t bytes;         /* usable: what was asked for, rounded up to pages */
    size_t granules;      /* of the run: room for bytes, and perhaps headroom */
    struct qyi_cell cell; /* its references */
    bool moved;           /* its pages came by mremap: their mapping does not merge with its neighbours */
};

static_assert(sizeof(struct qyi_large) <= QYI_RECORD_BYTES, "a large run's record is a granule's record");

/* A block of at least bytes bytes, aligned to align (a power of two), zeroed if wanted; NULL when out of memory. */
void *qyi_large_take(size_t bytes, size_t align, bool zero);

/* p's granule has the large flag; function is for messages. Aborts unless p is the start of the block. */
struct qyi_large *qyi_large_at(const void *p, const char *function);

void qyi_large_give(void *p);

/*
 * Change the size of a large block, in place if possible, else by moving its pages or bytes. bytes is more than 0.
 * NULL: out of memory, and the block is as before.
 */
void *qyi_large_resize(void *p, size_t bytes);

/* The counter that qyi_large_calls reads. */
extern QYI_HIDDEN const struct qyi_extent qyi_large_extent;

/* Calls of qyi_large_take that gave a block. */
uint64_t qyi_large_calls(void);

#endif

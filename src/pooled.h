/*
 * pooled.h: runs of granules cut into the buffers of one pool, or of an arena. Layer 5.
 *
 *     entries: pooled, counted       cells: one per buffer, found as those of slabs (count.h)
 *     record:  the pool, the distance from buffer to buffer
 *
 * The counts make retain and release of a pooled buffer what they are for any block. Only the last release looks at the pooled
 * flag, and hands the buffer to its pool instead of freeing it.
 */
#ifndef QYI_POOLED_H
#define QYI_POOLED_H

#include "base.h"
#include "count.h"
#include "region.h"

struct qy_pool;
struct qy_arena;

/* The record of a run's first granule; its first line, for the second is zero in free granules. */
struct qyi_pooled {
    /* constant while the run lives; any thread */
    struct qy_pool *pool;   /* NULL: an arena's */
    struct qy_arena *arena; /* NULL: a pool's */
    size_t stride;
    uint32_t granules;
    uint32_t count; /* buffers that there is room for */
    /* under the pool's lock */
    uint32_t made;       /* bits set in the granule's bitmap: the buffers that exist, in use or idle */
    uint32_t next, prev; /* first granules: the pool's runs with room */
};

static_assert(sizeof(struct qyi_pooled) <= QYI_CACHE_LINE, "the second line stays zero");

/* Beyond that, a stride is too much for struct qyi_counts. */
static const size_t QYI_POOLED_BYTES_MAX = (size_t)1 << 31;

/* p's entry has the pooled flag. */
QYI_INLINE struct qyi_pooled *qyi_pooled_of(const void *p, uint64_t entry)
{
    const uint32_t granule = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
    const uint32_t offset = qyi_entry_offset(entry);
    return qyi_granule_record(QYI_LIKELY(offset < QYI_ENTRY_OFFSET_MAX) ? granule - offset : qyi_run_first(granule));
}

/* The number of the buffer around p; at least the run's count in its unused rest. *in_run: how far p is from the run's start. */
QYI_INLINE uint32_t qyi_pooled_find(const void *p, uint64_t *in_run)
{
    const size_t offset = qyi_region_offset(p);
    const struct qyi_counts *counts = qyi_counts_at(offset >> QYI_GRANULE_SHIFT);
    *in_run = offset - counts->start;
    return (uint32_t)(*in_run * counts->reciprocal >> QYI_RECIPROCAL_SHIFT);
}

QYI_INLINE uint32_t qyi_pooled_number(const void *p)
{
    uint64_t in_run;
    return qyi_pooled_find(p, &in_run);
}

/* The start of the buffer around p; NULL if there is none. */
QYI_INLINE void *qyi_pooled_start(const void *p, const struct qyi_pooled *run)
{
    uint64_t in_run;
    const uint32_t number = qyi_pooled_find(p, &in_run);
    if (QYI_UNLIKELY(number >= run->count))
        return NULL;
    if (QYI_LIKELY(number * run->stride == in_run))
        return (void *)p; /* p itself: whoever gets it next does not wait for multiplications */
    return qyi_granule_address(qyi_record_granule(run)) + number * run->stride;
}

/* Called with a buffer whose last reference is gone. Set by the pools, before there is such a run. */
extern QYI_HIDDEN void (*qyi_pooled_last)(struct qy_pool *pool, void *buffer);

/* The same for a buffer of an arena, or something in one that is none. */
extern QYI_HIDDEN void (*qyi_pooled_arena_last)(struct qyi_pooled *run, void *buffer);

/* Hand a buffer whose last reference is gone to whose it is. */
QYI_INLINE void qyi_pooled_end(struct qyi_pooled *run, void *buffer)
{
    if (run->pool != NULL)
        qyi_pooled_last(run->pool, buffer);
    else
        qyi_pooled_arena_last(run, buffer);
}

/* The same, for callers that do not know whether p is the start of a buffer; aborts if it is not. */
struct qyi_pooled *qyi_pooled_at(const void *p, uint64_t entry, const char *function);

/* A run for buffers of stride bytes (a multiple of 64, and of their alignment), none of them made. NULL: out of memory. */
struct qyi_pooled *qyi_pooled_new(struct qy_pool *pool, size_t stride);

/* Make a run of these granules, whose cells can be accessed; owner says whose it is, and the size of its buffers. */
struct qyi_pooled *qyi_pooled_carve(uint32_t first, size_t granules, struct qyi_pooled owner);

/* None of its buffers is made any more. */
void qyi_pooled_delete(struct qyi_pooled *run);

/* Make one of the run's buffers; there is room. */
void *qyi_pooled_take(struct qyi_pooled *run);

bool qyi_pooled_is_made(const struct qyi_pooled *run, const void *buffer);

/* The reverse. */
void qyi_pooled_give(struct qyi_pooled *run, const void *buffer);

/* In a forked child, which may have come in the middle of either: make `made` what the bits say. */
void qyi_pooled_recount(struct qyi_pooled *run);

#endif

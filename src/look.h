/*
 * look.h: looking at slabs, runs and magazines that other threads change meanwhile. Layer 6.
 *
 * What is seen may be of slightly different moments, but nothing worse:
 *
 * I1  every record, bitmap and magazine can be read, whatever lies there now, and no pointer in them is followed.
 * I2  every number is clamped by what holds it.
 */
#ifndef QYI_LOOK_H
#define QYI_LOOK_H

#include "base.h"
#include "heap.h"
#include "region.h"

/* On functions that look at what other threads change meanwhile. Not inlined, or it would be lost. */
#define QYI_RACY __attribute__((noinline, no_sanitize("thread")))

/* A run starts at a granule with this entry. */
QYI_INLINE bool qyi_look_starts(uint64_t entry)
{
    return entry != 0 && qyi_entry_offset(entry) == 0 && qyi_entry_class(entry) < QYI_CLASS_COUNT;
}

QYI_INLINE bool qyi_look_is_slab(uint64_t entry)
{
    return (entry & (QYI_ENTRY_LARGE | QYI_ENTRY_POOLED)) == 0;
}

/* The granules of the run that starts here, up to the end. */
uint32_t qyi_look_length(uint32_t granule, uint32_t end);

/* Blocks of a slab. */
struct qyi_look_slab {
    size_t carved, free;
    size_t uncollected; /* freed by others, and the owner does not know */
};

struct qyi_look_slab qyi_look_slab(uint32_t granule, unsigned class);

/* In use, or in magazines. */
QYI_INLINE size_t qyi_look_out(struct qyi_look_slab slab)
{
    return slab.carved - slab.free - slab.uncollected;
}

/* Usable bytes of the large block that has a run of so many granules. */
size_t qyi_look_large(uint32_t granule, size_t granules);

/* There may be something in the heap's magazines; if not, looking at them would bring back pages that were given away. */
bool qyi_look_has_magazines(const struct qyi_heap *heap);

/* A magazine, of a heap that has any. */
struct qyi_look_magazine {
    size_t held;
    uint64_t calls;
};

struct qyi_look_magazine qyi_look_magazine(const struct qyi_heap *heap, unsigned class);

/* What else the slow paths of the heap's threads have counted. */
struct qyi_look_work {
    uint64_t refills, flushes, remote_frees, drains;
};

struct qyi_look_work qyi_look_work(const struct qyi_heap *heap);

/*
 * Blocks that the heap's thread has freed and not announced: how many of the word at this place, from 0 to QYI_REMOTE_WORDS; *entry is
 * that of their slab. 0: none, or they are no slab's.
 */
size_t qyi_look_remote(const struct qyi_heap *heap, unsigned place, uint64_t *entry);

/* The remote buffer is not empty. */
bool qyi_look_has_remote(const struct qyi_heap *heap);

#endif

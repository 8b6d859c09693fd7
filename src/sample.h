/*
 * sample.h: the heap profile's tables: stacks, and the live blocks among those that were sampled. Layer 5.
 *
 * Which allocations are sampled, meter.h says. Sampled blocks lie among the others; what is known of them stands in a table, by
 * their address, and their slab's entries have bits of their hashes, so that free looks there.
 */
#ifndef QYI_SAMPLE_H
#define QYI_SAMPLE_H

#include "base.h"
#include "magazine.h"
#include "meter.h"
#include "region.h"

QYI_INLINE bool qyi_is_profiling(void)
{
    return QYI_UNLIKELY(qyi_meter_rate != 0);
}

/* At start, when the allocator works: from here on. False: there is no memory for it, or no way to unwind stacks. */
bool qyi_sample_start(size_t rate, uint64_t seed);

/* ---- events. All of them keep errno, and are called without a lock ---- */

/* The program is about to get this block, which was taken past the magazines: count it, and perhaps sample it. */
void qyi_sample_pass(void *p, size_t bytes);

/* The program is about to get this block, which belongs into the profile. */
void qyi_sample_taken(void *p, size_t bytes);

/* The block is about to be freed. Nothing happens if it is in no profile. */
void qyi_sample_freed(void *p);

/* What the block was is elsewhere from here on; its old memory is not free yet. */
void qyi_sample_moved(void *from, void *to);

/* realloc has changed the size of a large block. */
void qyi_sample_resized(void *p, size_t old_bytes, size_t bytes);

/* ---- the tables, for reports ---- */

/* This thread is changing them: a signal handler has interrupted it, and must not ask. */
bool qyi_sample_is_mine(void);

/* Estimates: what the samples stand for. Objects in 1/1024. */
struct qyi_weight {
    uint64_t objects;
    uint64_t bytes;
};

enum { QYI_WEIGHT_SHIFT = 10 };

struct qyi_stack {
    struct qyi_stack *next;  /* in the bucket */
    struct qyi_stack *older; /* all stacks; the oldest has NULL */
    struct qyi_weight allocated, live;
    uint64_t samples;      /* live ones */
    uint64_t peak_bytes;   /* live at the peak, if since then the stack has been touched */
    uint64_t peak;         /* the number of that peak */
    uint64_t pinned_bytes; /* since qyi_sample_pin */
    uint32_t depth;
    uint32_t place[]; /* numbers of places, innermost first */
};

struct qyi_stack_values {
    struct qyi_weight allocated, live;
    uint64_t samples;
    uint64_t pinned_bytes;
    uint64_t peak_bytes;
};

enum { QYI_LIFETIMES = 64 };

struct qyi_sample_totals {
    struct qyi_weight allocated, live;
    uint64_t peak_bytes;              /* the largest live.bytes ever */
    uint64_t samples, live_samples;   /* taken, and of blocks that live */
    uint64_t lost;                    /* samples that found no room */
    uint64_t forgotten;               /* live samples that a fork has lost: another thread was changing the tables */
    uint64_t lifetime[QYI_LIFETIMES]; /* by log2 of microseconds: objects that have been freed, in 1/1024 */
};

void qyi_sample_totals(struct qyi_sample_totals *totals);

/* Compute what every stack pins: reads the slabs of all live samples. */
void qyi_sample_pin(void);

/* All stacks, from the newest to the oldest, by their field `older`; they are never removed. */
const struct qyi_stack *qyi_sample_stacks(void);
void qyi_sample_read(const struct qyi_stack *stack, struct qyi_stack_values *values);

/* Places are numbered from 1; a place is the address of a call. */
uint32_t qyi_sample_place_count(void);
uintptr_t qyi_sample_place(uint32_t number);

/* What a sample of a block of so many bytes stands for. */
struct qyi_weight qyi_sample_weight(size_t bytes);

#endif

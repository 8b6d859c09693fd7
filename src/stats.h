/*
 * stats.h: what the memory is used for, as numbers and as a report. Layer 6.
 *
 * Numbers are gathered on demand by walking entries, slabs and magazines; nothing is counted on the way but calls.
 * Other threads go on meanwhile, so the numbers of a busy process are those of slightly different moments; the states
 * still sum to what is mapped.
 */
#ifndef QYI_STATS_H
#define QYI_STATS_H

#include "base.h"
#include "sizeclass.h"

/* One size class. Blocks, not bytes. */
struct qyi_stats_class {
    size_t slabs;
    uint64_t calls; /* blocks handed out since start */
    size_t live;    /* in the program's hands */
    size_t cached;  /* in magazines, or on the way to their owners from the threads that freed them */
    size_t free;    /* in slabs: freed ones and ones never carved */
    size_t freed;   /* of these, the ones that have been in use */
};

/* Pools of objects and of buffers, all together. Objects, not bytes. */
struct qyi_stats_pools {
    uint64_t pools;
    uint64_t objects;    /* that exist, in use or idle */
    uint64_t in_use;     /* of these */
    uint64_t high_water; /* the most that were in use, added up over the pools */
    uint64_t misses;     /* an object had to be made */
    uint64_t waits;      /* a thread had to wait for one */
};

/* One heap: what belongs to a thread, or to none. */
enum qyi_stats_heap {
    QYI_HEAP_RUNNING, /* a thread's */
    QYI_HEAP_IDLE,    /* its thread has ended, and it waits for another */
    QYI_HEAP_COMMON,  /* everybody's: larger blocks, and what ended threads left */
};

struct qyi_stats_thread {
    uint32_t heap; /* its id, from 1 up */
    uint32_t
        tid; /* the kernel's number of the thread; 0: none, or the process's first thread, whose number is the pid */
    enum qyi_stats_heap state;
    uint64_t calls;      /* blocks handed out; of the threads that have had the heap, since it was last emptied */
    size_t live;         /* bytes of the heap's slabs in the program's hands, whichever thread's */
    size_t cached_bytes; /* in its thread's magazines, or freed by it and not announced to their owners yet */
    size_t slabs, slab_bytes;
};

/*
 * Bytes. mapped == live + free_in_slabs + cached + dirty + clean + metadata.
 */
struct qyi_stats {
    size_t mapped;         /* accessible memory that is Quarry's */
    size_t live;           /* blocks in use, large ones included */
    size_t free_in_slabs;  /* free or never carved blocks, and what is left over at the end of a slab or run */
    size_t freed_in_slabs; /* the part of it that has been in use, so that it is likely resident */
    size_t cached;
    size_t dirty; /* free, resident until purged */
    size_t clean; /* free, not resident */
    size_t metadata;
    size_t counted_slabs;    /* slabs with reference counts */
    size_t shared_blocks;    /* blocks with more than one reference */
    size_t extra_references; /* to these, beyond the first of each */
    size_t pinned_bytes;     /* of these blocks */
    size_t large_live;       /* the part of live in large blocks */
    size_t large_count;      /* their number now */
    uint64_t large_calls;
    /* by qyi_stats_measure; of the whole process, as the kernel says; 0 when unknown */
    size_t resident;
    size_t resident_peak;
    size_t resident_ours;          /* the part of resident that is Quarry's, at most all of it */
    uint64_t purges, purged_bytes; /* free memory given back to the system */
    uint64_t refills, flushes, remote_frees;
    uint64_t drains; /* looks at what other threads have freed */
    uint32_t heaps;
    uint64_t started_ms; /* the start of the program, by qyi_os_now_ms; 0: not known, see history.h */
    struct qyi_stats_pools pools;
    struct qyi_stats_class classes[QYI_CLASS_COUNT];
};

/* Fill in *stats, but for what is resident. Allocates nothing, opens nothing; takes locks for short times. */
void qyi_stats_collect(struct qyi_stats *stats);

/*
 * Fill in rows for the heaps from the id first on, count at most; each call walks all of memory. Returns how many there are rows for:
 * less than count at the end of the heaps.
 */
uint32_t qyi_stats_threads(struct qyi_stats_thread *rows, uint32_t first, uint32_t count);

/* The bytes of a slab of this class. */
QYI_INLINE size_t qyi_stats_slab_bytes(unsigned class)
{
    return (size_t)qyi_classes[class].granule_count << QYI_GRANULE_SHIFT;
}

/* Set by the pools, as soon as there are any. */
extern QYI_HIDDEN void (*_Atomic qyi_stats_count_pools)(struct qyi_stats_pools *pools);

/* What is resident of the process, or 0. Reads /proc; but for that, it is quick. A point where a thread can be cancelled. */
size_t qyi_stats_resident(void);

/* Fill in what is resident: reads /proc, and looks at all memory, page by page. */
void qyi_stats_measure(struct qyi_stats *stats);

/* Blocks handed out since start, large ones included. */
uint64_t qyi_stats_calls(const struct qyi_stats *stats);

/* How long the process has run. */
uint64_t qyi_stats_uptime_ms(const struct qyi_stats *stats);

/* Resident memory that is not Quarry's; 0 when it is not known. */
size_t qyi_stats_not_ours(const struct qyi_stats *stats);

/* Write the report as text to fd. Allocates nothing. */
void qyi_stats_print(int fd);

#endif

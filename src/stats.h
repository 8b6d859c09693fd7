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
    size_t resident_ours; /* the part of resident that is Quarry's, at most all of it */
    uint64_t purged_bytes;
    uint64_t refills, flushes, remote_frees;
    uint32_t heaps;
    struct qyi_stats_class classes[QYI_CLASS_COUNT];
};

/* Fill in *stats, but for what is resident. Allocates nothing, opens nothing; takes locks for short times. */
void qyi_stats_collect(struct qyi_stats *stats);

/* Fill in what is resident: reads /proc, and looks at all memory, page by page. */
void qyi_stats_measure(struct qyi_stats *stats);

/* Blocks handed out since start, large ones included. */
uint64_t qyi_stats_calls(const struct qyi_stats *stats);

/* Resident memory that is not Quarry's; 0 when it is not known. */
size_t qyi_stats_not_ours(const struct qyi_stats *stats);

/* Write the report as text to fd. Allocates nothing. */
void qyi_stats_print(int fd);

#endif

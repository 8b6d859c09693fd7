/*
 * track.h: who made, retained and released buffers, with QUARRY_OPTIONS=buf_track. Layer 5.
 *
 * Off, it costs nothing: slabs whose blocks are tracked have a flag of their own in place of the counted one, so that every
 * fast path hands them to its slow half, and new buffers are longer than qyi_slice_fast_max, which is 0 then. Only
 * slow paths call in here, and only for such blocks.
 *
 * A reference is known by the address of its first byte and, if the program said it, its length.
 */
#ifndef QYI_TRACK_H
#define QYI_TRACK_H

#include "base.h"
#include "region.h"
#include "site.h"

/* The longest slice that is made at once: QYI_TABLE_BYTES, or 0 when references are tracked. */
extern QYI_HIDDEN size_t qyi_slice_fast_max;

QYI_INLINE bool qyi_is_tracking(void)
{
    return QYI_UNLIKELY(qyi_slice_fast_max == 0);
}

/* After the options, and when the allocator has started. */
void qyi_track_start(void);

/* ---- events; nothing happens unless tracking ---- */

/* A block for a buffer, from slabs that hold nothing else; NULL: no memory, or a case for qyi_aligned. align is a power of two. */
void *qyi_track_take(size_t align, size_t bytes);

/* The block of block_bytes at start, whose only reference the caller has, is a buffer from here on; its owner uses length bytes. */
void qyi_track_made(void *start, size_t block_bytes, size_t length);

/* count references have been added for the bytes at p; length 0: not known. */
void qyi_track_retained(void *start, size_t block_bytes, const void *p, size_t length, uint32_t count);

/* The reference for the bytes at p is for length bytes at other now. */
void qyi_track_resized(void *start, const void *p, const void *other, size_t length);

/* count references are about to be dropped, of p. Aborts if nobody has one. by_free: it was free that was called. */
void qyi_track_released(void *start, const void *p, uint32_t count, bool by_free);

/* Nothing is allocated at p, whose reference somebody drops. True: a block that is remembered was there. */
bool qyi_track_released_gone(const void *p, uint32_t count);

/* The last reference has been dropped, and the block is about to be freed. */
void qyi_track_freed(void *start);

/* realloc has moved the block, which has one owner. */
void qyi_track_moved(void *from, void *to, size_t block_bytes);

/* ---- the tables, for reports ---- */

enum { QYI_TRACK_RELEASES = 4 };

struct qyi_reference {
    uint32_t next; /* of the block; 0 ends */
    qyi_site site; /* where it was made */
    uint32_t count;
    uint32_t epoch;
    uintptr_t start;
    size_t length; /* 0: not known */
};

struct qyi_tracked {
    uint32_t next;         /* in the bucket */
    uint32_t newer, older; /* in the queue of dead ones */
    uint32_t references;   /* the first, which is the oldest; 0: none */
    uintptr_t start;
    size_t bytes;
    qyi_site made;  /* 0: by malloc, or elsewhere unseen */
    uint32_t epoch; /* of the process that made it */
    bool live;
    bool implicit;              /* its allocator's reference is not in the list, and not dropped yet */
    qyi_site last, before_last; /* releases */
    struct qyi_track_release {
        qyi_site site;
        uint32_t count;
    } release[QYI_TRACK_RELEASES]; /* the places that released most recently */
};

struct qyi_track_totals {
    size_t blocks;      /* with references */
    size_t references;  /* to them */
    size_t bytes;       /* of them */
    size_t referenced;  /* of these, bytes that a reference is for, as far as lengths are known */
    uint64_t lost;      /* events that found no room */
    uint64_t forgotten; /* records of blocks, when the process was forked and another thread was changing the tables */
};

/* False: not tracking, or somebody holds the tables and does not let go. */
bool qyi_track_lock(void);
void qyi_track_unlock(void);

/* The caller has the lock: the block around p, dead or alive. Takes as long as there are blocks. */
bool qyi_track_find(const void *p, struct qyi_tracked *found);

/* The caller has the lock. Blocks are numbered from 1; only references and blocks of the current epoch are this process's. */
uint32_t qyi_track_block_count(void);
const struct qyi_tracked *qyi_track_block(uint32_t number);
const struct qyi_reference *qyi_track_reference(uint32_t number);
uint32_t qyi_track_epoch(void);
void qyi_track_totals(struct qyi_track_totals *totals);

/* Memory for a report, of the tables' own; NULL: none. */
void *qyi_track_scratch(size_t bytes);

#endif

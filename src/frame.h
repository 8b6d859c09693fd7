/*
 * frame.h: which granules are free, which of those may hold old bytes, and where there is room. Layer 2.
 *
 * A frame is 2 MiB, one huge page, 64 granules: the bits of a word. Frames are kept where their words say they belong:
 *
 *     partial[n]   frames with n free granules, 1 to 63
 *     whole        bitmap of the frames that are free altogether
 *     aging[]      frames with dirty granules, least recently visited first: one queue for whole frames, one for others
 *
 * A free granule is dirty from the time it is given back until it is purged; only dirty ones can hold old bytes. A
 * frame in a queue is visited every half of the purge delay: granules that were dirty at the last visit already, and
 * not used since, are ripe; those that have become dirty since are marked aged for the next visit. Where a page is larger than
 * a granule, only granules that make up whole pages can go back; the others stay dirty.
 *
 * This is bookkeeping and nothing else: no locks (the caller holds the region's) and no system calls.
 */
#ifndef QYI_FRAME_H
#define QYI_FRAME_H

#include "base.h"
#include "region.h"

#define QYI_ALL_GRANULES UINT64_MAX

struct qyi_frame {
    uint64_t free;                   /* a bit per granule */
    uint64_t dirty;                  /* of these, the ones that may hold old bytes */
    uint64_t aged;                   /* of these, the ones that were dirty at the last visit */
    uint32_t next, prev;             /* in partial[] */
    uint32_t aging_next, aging_prev; /* in a queue */
    uint16_t visited;                /* when it was put into its queue: milliseconds >> 4; wraps */
    uint8_t count;                   /* free granules, as the lists know it */
    uint8_t queue;                   /* 1 + number of the queue it is in, or 0 */
};

static_assert(sizeof(struct qyi_frame) <= QYI_CACHE_LINE, "small beside what it describes");

struct qyi_frame_queue {
    uint32_t head, tail;
};

enum { QYI_WHOLE_FRAMES, QYI_PART_FRAMES, QYI_FRAME_QUEUES };

/* Frame numbers count from the region's base; 0 is none, since that frame holds tables. */
struct qyi_frames {
    size_t base;             /* the region's, in frames: alignment counts from address 0 */
    size_t page_granules;    /* of a page; 0 or 1: it is no larger than a granule */
    struct qyi_frame *table; /* by number */
    uint64_t *whole;         /* a bit per frame */
    uint32_t first, end;     /* of the payload's frames, up to the frontier */
    size_t free_granules, dirty_granules;
    uint32_t partial[QYI_FRAME_GRANULES];
    struct qyi_frame_queue aging[QYI_FRAME_QUEUES];
};

/* How many bytes of the table, and of the bitmap, are needed for frames below end. */
QYI_INLINE size_t qyi_frames_table_bytes(size_t end)
{
    return end * sizeof(struct qyi_frame);
}

QYI_INLINE size_t qyi_frames_whole_bytes(size_t end)
{
    return qyi_div_up(end, 64) * sizeof(uint64_t);
}

/* Where a run could be taken: its first granule, or 0. Prefers the fullest frame that fits, and dirty granules in it. */
uint32_t qyi_frames_find(const struct qyi_frames *frames, size_t granules, size_t align);

/* How many frames must be added at the frontier so that such a run can be found. */
size_t qyi_frames_missing(const struct qyi_frames *frames, size_t granules, size_t align);

/* Granules from first on, all of them before the frontier and free. */
bool qyi_frames_have(const struct qyi_frames *frames, uint32_t first, size_t granules);

/* Take them. Returns whether none was dirty. */
bool qyi_frames_take(struct qyi_frames *frames, uint32_t first, size_t granules);

/* Give them back, dirty. */
void qyi_frames_give(struct qyi_frames *frames, uint32_t first, size_t granules);

/* The same for granules of one frame: those that it takes are free; dirty ones are among those that it gives. */
void qyi_frames_take_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits);
void qyi_frames_give_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits, uint64_t dirty);

/* Move the frontier to end: new frames, clean and free. */
void qyi_frames_append(struct qyi_frames *frames, uint32_t end);

/* Of each of count frames from first on, the same granules: whole frames, or some of one. */
struct qyi_ripe {
    uint32_t first;
    size_t count;
    uint64_t bits;
};

/*
 * Take what is ripe in the next frame of a queue that is due and, of whole frames, in at most so many neighbours that are whole and due
 * too. Age 0: all that is dirty. False: no frame is due; ripe->count may be 0 even if one was.
 */
bool qyi_frames_take_ripe(struct qyi_frames *frames, unsigned queue, uint64_t now_ms, uint64_t age_ms, size_t most,
                          struct qyi_ripe *ripe);

/* Forget what frames there are, up to end; qyi_frames_give_bits tells anew what is free. */
void qyi_frames_reset(struct qyi_frames *frames, uint32_t end);

/* Debug builds: abort unless words, lists and counts agree. */
void qyi_frames_validate(const struct qyi_frames *frames);

#endif

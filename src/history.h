/*
 * history.h: the past of a process, as a few points in time. Layer 6.
 *
 * Always kept, so that somebody who looks later sees how it came about. The points come from the tick in the slow paths: the first
 * a second after the start, so that short programs pay nothing, then one a second. When there is no room for more, every second
 * one goes, and they are taken half as often: the whole past is always there, at a resolution of at least an 84th of it.
 */
#ifndef QYI_HISTORY_H
#define QYI_HISTORY_H

#include "base.h"

struct qyi_history_point {
    uint64_t time_ms; /* of qyi_os_now_ms */
    uint64_t mapped, live, dirty;
    uint64_t resident; /* 0: unknown. Only with live:page or QUARRY_STATS, for it takes opening a file */
    uint64_t calls;    /* blocks handed out so far, large ones included */
};

enum {
    QYI_HISTORY_POINTS = 168, /* with the header just below two pages; even, for halves */
    QYI_HISTORY_FIRST_MS = 1000,
};

struct qyi_history_ring {
    _Atomic uint32_t sequence; /* odd while somebody writes */
    _Atomic uint32_t count;
    uint64_t interval_ms; /* between points, at least */
    struct qyi_history_point points[QYI_HISTORY_POINTS];
};

struct qyi_history {
    /*
     * The start of the program, by qyi_os_now_ms; a forked child keeps its parent's, and its past. Unless statistics are asked for, that is
     * the first look at the clock, and 0 before: reading it earlier would cost every small program 24 KiB of libc.
     */
    uint64_t started_ms;
    struct qyi_history_ring *_Atomic ring; /* of metadata; NULL: no point yet */
};

extern QYI_HIDDEN struct qyi_history qyi_history;

/* At start, or the first look at the clock: what time it is. */
void qyi_history_start(void);

/* For the tick: add a point if it is time, or do a part of the work for it. Returns when to call again. One thread at a time. */
uint64_t qyi_history_step(uint64_t now_ms);

/*
 * Copy the points, oldest first, with times since the start of the program and ever later. Returns how many. Any thread; a ring that
 * is being written for ever (of a process that died in the middle) is read as it is.
 */
unsigned qyi_history_read(struct qyi_history_point points[QYI_HISTORY_POINTS]);

/* The same, of a ring that has been copied from another process. */
unsigned qyi_history_read_ring(const struct qyi_history_ring *ring, uint64_t started_ms,
                               struct qyi_history_point points[QYI_HISTORY_POINTS]);

#endif

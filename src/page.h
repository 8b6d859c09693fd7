/*
 * page.h: numbers for readers with little privilege: a page in shared memory, kept up to date. Layer 6.
 *
 * QUARRY_OPTIONS=live:page. The page is a sealed file in memory, which nobody but the process itself can write. Readers open it through
 * /proc/PID/fd, where a link to "/memfd:quarry-live" stands: that takes the right to read the process's files, not to trace it.
 *
 *     writer    sequence odd; contents; sequence even          from the tick, at most every 100 ms
 *     reader    sequence; contents; sequence again: the same, and even?
 */
#ifndef QYI_PAGE_H
#define QYI_PAGE_H

#include "base.h"
#include "history.h"
#include "stats.h"

enum { QYI_PAGE_VERSION = 1, QYI_PAGE_INTERVAL_MS = 100 };

#define QYI_PAGE_MAGIC "QYLIVE\0"
#define QYI_PAGE_NAME "quarry-live"

struct qyi_page {
    /* constant */
    char magic[8]; /* QYI_PAGE_MAGIC */
    uint32_t version, page_bytes, library_version;
    int32_t pid; /* a forked child makes a page of its own at its first tick; until then it has its parent's */
    char program[16];
    /* under the sequence */
    _Atomic uint64_t sequence;
    uint64_t updates;
    uint64_t started_ms; /* as qyi_history.started_ms */
    uint64_t now_ms;     /* CLOCK_MONOTONIC, of the contents */
    uint64_t unix_ms;    /* the same moment */
    struct qyi_stats stats;
    uint64_t history_count;
    struct qyi_history_point history[QYI_HISTORY_POINTS]; /* as qyi_history_read gives them */
};

/* After the options: make the page, if it is wanted, and have the tick keep it and the history up to date. */
void qyi_page_start(void);

/* Bring the page up to date at once; for tests, and before long pauses. */
void qyi_page_update(void);

enum qyi_page_fit {
    QYI_PAGE_READ,
    QYI_PAGE_NONE,          /* something else */
    QYI_PAGE_OTHER_VERSION, /* of the page, or of the library */
    QYI_PAGE_BUSY,          /* always being written: the process died, or was stopped, in the middle */
};

/* Make a consistent copy of a page of another process that is mapped here: bytes of it. */
enum qyi_page_fit qyi_page_read(const struct qyi_page *shared, size_t bytes, struct qyi_page *copy);

#endif

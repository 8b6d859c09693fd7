/*
 * numbers.h: what the sub-commands show: the numbers of a target at one moment.
 */
#ifndef QUARRY_NUMBERS_H
#define QUARRY_NUMBERS_H

#include "history.h"
#include "region.h"
#include "stats.h"
#include "target.h"

struct numbers {
    struct qyi_stats stats;
    struct qyi_stats_thread *threads;
    uint32_t thread_count;
    struct qyi_history_point history[QYI_HISTORY_POINTS];
    unsigned history_count;
    char *map; /* QYI_FRAME_GRANULES characters a frame */
    uint32_t frame_count;
    uint64_t taken_ms; /* by qyi_os_now_ms */
};

enum { WITH_MAP = 1, WITH_THREADS = 2 };

/* What is wanted beside stats and history. *numbers is zero, or from the last time. Ends with a message if it cannot be. */
void numbers_take(struct target *target, struct numbers *numbers, unsigned wanted);

/* The same, for who is in the middle of an image_look. */
void numbers_collect(struct target *target, struct numbers *numbers, unsigned wanted);

#endif

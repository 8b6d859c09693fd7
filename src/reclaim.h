/*
 * reclaim.h: giving memory back while the program runs, and on demand. Layer 4.
 */
#ifndef QYI_RECLAIM_H
#define QYI_RECLAIM_H

#include "base.h"

struct qyi_magazines;

/* Called at the end of slow paths, with no lock held: looks at the clock now and then, and reclaims when it is time.
 * mine may be NULL. */
void qyi_reclaim_tick(struct qyi_magazines *mine);

/* The same, for calls that are slow anyway: always looks at the clock. */
void qyi_reclaim_tick_now(struct qyi_magazines *mine);

/*
 * Called, if set, from ticks, with no lock held and by one thread at a time: when it is time, which is what the last call returned, by
 * qyi_os_now_ms. For the layers above.
 */
extern QYI_HIDDEN uint64_t (*_Atomic qyi_reclaim_watcher)(uint64_t now_ms);

/* Give back everything that can be given back, of all threads. Returns the bytes given to the system. */
size_t qyi_reclaim_all(void);

/* The calling thread will be idle: give back what it keeps for itself. */
void qyi_reclaim_thread(void);

/* In a forked child. */
void qyi_reclaim_after_fork(void);

#endif

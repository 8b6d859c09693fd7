/*
 * watch.h: dumps of the statistics while the program runs: at intervals, at peaks, near a limit, for a signal. Layer 6.
 */
#ifndef QYI_WATCH_H
#define QYI_WATCH_H

#include "base.h"

/* At start, after qyi_dump_start: begin to watch if the options ask for it. */
void qyi_watch_start(void);

#endif

/*
 * live.h: the live page of a process.
 */
#ifndef QUARRY_LIVE_H
#define QUARRY_LIVE_H

#include <sys/types.h>

struct qyi_page;

/* Copy the page. Returns NULL, or why there is none, as the end of a sentence about the process. */
const char *live_read(pid_t pid, struct qyi_page *page);

#endif

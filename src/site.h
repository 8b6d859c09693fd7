/*
 * site.h: places in the program, as small numbers. Layer 3.
 *
 * A site is where the program called a public function of Quarry's: one return address, or a stack of them. Equal ones
 * have the same number, so that they can be kept, compared and counted cheaply. For diagnostics only: a site costs a
 * microsecond or several.
 */
#ifndef QYI_SITE_H
#define QYI_SITE_H

#include "base.h"
#include "fatal.h"

typedef uint32_t qyi_site; /* 0: not known */

enum { QYI_SITE_FRAMES = 16 };

/* Before the first qyi_site_here, by one thread, when the allocator works: frames per site, 1 to QYI_SITE_FRAMES. Loads the
 * unwinder. False: there is none, and every site will be 0. */
bool qyi_site_start(unsigned frames);

/* The place that called into the library. The caller holds no lock. Allocates nothing; keeps errno. */
qyi_site qyi_site_here(void);

/* "relay+0x1234 (/usr/bin/relay)": frame 0 is the call into the library, the others those outside of it. */
void qyi_site_put(struct qyi_line *line, qyi_site site, unsigned frame);

/* How many frames are known; 0 of an unknown one. */
unsigned qyi_site_frames(qyi_site site);

/* Sites that found no room. */
uint64_t qyi_site_lost(void);

/* In a forked child. */
void qyi_site_after_fork(void);

#endif

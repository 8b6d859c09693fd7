/*
 * meta.h: memory for Quarry's own records. Layer 2.
 *
 * Heaps and magazines come from a span of their own, never from a page that holds payload. They are never freed: what
 * serves threads is used again for other threads. Chunks start at a cache line, those of a page or more at a page.
 */
#ifndef QYI_META_H
#define QYI_META_H

#include "base.h"
#include "lock.h"

/* What meta.c keeps for itself. */
extern QYI_HIDDEN const struct qyi_extent qyi_meta_extent;

/* Set up by the region, which lays out the reservation. */
void qyi_meta_init(char *start, size_t bytes);

/* Zeroed memory, or NULL. Takes the meta lock. */
void *qyi_meta_take(size_t bytes);

/* Bytes made accessible. */
size_t qyi_meta_committed(void);

/* Of these, bytes that have pages at this moment. */
size_t qyi_meta_resident(void);

struct qyi_lock *qyi_meta_lock(void);

/* Unmap what the frontier has not reached. The caller holds the meta lock. */
void qyi_meta_unreserve(void);

void qyi_meta_after_fork(void);

#endif

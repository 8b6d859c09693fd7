/*
 * meta.c: memory for Quarry's own records. Layer 2.
 *
 *     span:  [ small small small | page-aligned chunk | small ... frontier
 *
 * I1  every critical section ends in one store that publishes it, so a lock found held after fork can simply be
 * dropped.
 */
#include "meta.h"

#include "os.h"
#include "span.h"

static const size_t GROWTH_BYTES = 256 << 10;

static struct {
    struct qyi_lock lock;
    struct qyi_span span;
    size_t used;
} meta;

const struct qyi_extent qyi_meta_extent = {&meta, sizeof meta};

void qyi_meta_init(char *start, size_t bytes)
{
    meta.span = (struct qyi_span){.start = start, .bytes = bytes};
    meta.used = 0;
}

void *qyi_meta_take(size_t bytes)
{
    const size_t align = bytes >= qyi_os_page_bytes ? qyi_os_page_bytes : QYI_CACHE_LINE;
    qyi_lock(&meta.lock);
    const size_t start = qyi_align_up(meta.used, align);
    char *chunk = NULL;
    if (qyi_span_reach(&meta.span, start + bytes, GROWTH_BYTES)) {
        chunk = meta.span.start + start;
        meta.used = start + bytes;
    }
    qyi_unlock(&meta.lock);
    return chunk;
}

/* Without the lock, which may be held by a thread that did not survive a fork: one word, a moment old. */
__attribute__((noinline, no_sanitize("thread"))) size_t qyi_meta_committed(void)
{
    return *(const volatile size_t *)&meta.span.committed;
}

size_t qyi_meta_resident(void)
{
    return qyi_os_resident(meta.span.start, qyi_meta_committed());
}

struct qyi_lock *qyi_meta_lock(void)
{
    return &meta.lock;
}

void qyi_meta_unreserve(void)
{
    qyi_os_unmap(meta.span.start + meta.span.committed, meta.span.bytes - meta.span.committed);
}

void qyi_meta_after_fork(void)
{
    qyi_lock_after_fork(&meta.lock); /* I1 */
}

/*
 * span.c: advancing the frontier of a span. Layer 2.
 */
#include "span.h"

#include "fatal.h"
#include "os.h"

bool qyi_span_reserved = true;

static bool advance(struct qyi_span *span, size_t target)
{
    char *frontier = span->start + span->committed;
    const size_t bytes = target - span->committed;
    if (!(qyi_span_reserved || span->mapped ? qyi_os_commit(frontier, bytes) : qyi_os_map_at(frontier, bytes)))
        return false;
    span->committed = target;
    return true;
}

bool qyi_span_reach(struct qyi_span *span, size_t needed, size_t step)
{
    qyi_assert(qyi_is_power_of_two(step));
    if (needed <= span->committed)
        return true;
    if (needed > span->bytes)
        return false;
    const size_t generous = qyi_min(span->bytes, qyi_align_up(needed, step));
    return advance(span, generous) || advance(span, qyi_min(span->bytes, qyi_align_up(needed, qyi_os_page_bytes)));
}

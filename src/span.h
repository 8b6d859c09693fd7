/*
 * span.h: a part of the reservation that is accessible from its start up to a frontier. Layer 2.
 *
 *     start                     start + committed              start + bytes
 *       | readable and writable       | no access, or nothing mapped |
 *
 * Everything that Quarry keeps lies in a few spans, side by side with inaccessible gaps, so the process has a handful
 * of mappings however much it allocates. Normally the whole reservation is one inaccessible mapping and the frontier
 * advances by mprotect. Where address space is limited (RLIMIT_AS counts reservations), nothing is reserved: the
 * addresses are merely chosen, and the frontier advances by mapping pages where nothing may be mapped yet.
 */
#ifndef QYI_SPAN_H
#define QYI_SPAN_H

#include "base.h"

struct qyi_span {
    char *start;
    size_t committed;
    size_t bytes;
    bool mapped; /* the rest is mapped even where nothing is reserved */
};

/* False where address space is limited. */
extern QYI_HIDDEN bool qyi_span_reserved;

/*
 * Make at least the first needed bytes accessible, advancing by step bytes at a time if the system lets us. False: not
 * all of them. The caller holds the lock that guards the span.
 */
bool qyi_span_reach(struct qyi_span *span, size_t needed, size_t step);

#endif

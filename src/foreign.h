/*
 * foreign.h: memory of another origin that references may point into. Layer 6.
 *
 *     registry:  [static range]   [foreign range, count]     [foreign range, count]      sorted by address
 *
 * Quarry's own memory needs none of this: its counts are found by arithmetic. For everything else, a reference is a
 * look-up in a sorted array under a lock, some tens of nanoseconds.
 */
#ifndef QYI_FOREIGN_H
#define QYI_FOREIGN_H

#include "base.h"

enum qyi_foreign_kind {
    QYI_FOREIGN_COUNTED,  /* may be written to by a sole owner */
    QYI_FOREIGN_CONSTANT, /* counted, never written to */
    QYI_FOREIGN_STATIC,   /* neither: it outlives everybody */
};

typedef void qyi_foreign_release_fn(void *p, size_t bytes, void *context);

struct qyi_foreign {
    void *base;
    size_t bytes;
    uint32_t references; /* 1 for static memory */
    enum qyi_foreign_kind kind;
    qyi_foreign_release_fn *release;
    void *context;
};

/*
 * Register a range, with one reference. Static ranges may overlap each other, and are joined then. Returns 0, EINVAL (empty, our own
 * memory, overlaps another) or ENOMEM.
 */
int qyi_foreign_add(void *p, size_t bytes, enum qyi_foreign_kind kind, qyi_foreign_release_fn *release, void *context);

/* What p lies in; false: nothing that is registered. */
bool qyi_foreign_find(const void *p, struct qyi_foreign *found);

/* False: not registered. Aborts on overflow. */
bool qyi_foreign_retain(const void *p, uint32_t count);

/* False: not registered. The last reference unregisters the range and calls its release function, with no lock held. */
bool qyi_foreign_release(const void *p, uint32_t count);

#endif

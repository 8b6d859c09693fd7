/*
 * ref.h: references to any memory that can be retained, by a pointer into it. Layer 6.
 *
 * The fast paths are inline, so that slices contain them. All of them leave errno alone unless they fail.
 */
#ifndef QYI_REF_H
#define QYI_REF_H

#include "alloc.h"
#include "base.h"
#include "count.h"
#include "magazine.h"
#include "region.h"
#include "slab.h"

int qyi_retain_slow(const void *p, uint32_t count);
int qyi_retain_sized(const void *p, uint32_t count,
                     size_t length); /* length: of the bytes at p that it is for; 0: not known */
int qyi_release_slow(const void *p, uint32_t count);
int qyi_release_last(const void *p, uint64_t entry); /* free the block around p, a slab's; returns 0 */
_Noreturn void qyi_too_many_references(const void *p);

/* The cell of p's block if it is a slab's that has cells; NULL otherwise. */
QYI_INLINE struct qyi_cell *qyi_counted_cell(const void *p, uint64_t entry)
{
    return QYI_LIKELY((entry & QYI_ENTRY_COUNTED) != 0) ? qyi_cell_of(p) : NULL;
}

/* True: done. Otherwise it is a case for qyi_retain_slow. */
QYI_INLINE bool qyi_retain_fast(const void *p, uint32_t count)
{
    const size_t offset = qyi_region_offset(p);
    if (QYI_UNLIKELY(!qyi_region_has(offset)))
        return false;
    struct qyi_cell *cell = qyi_counted_cell(p, qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT));
    if (QYI_UNLIKELY(cell == NULL))
        return false;
    if (QYI_UNLIKELY(!qyi_count_add(cell, count)))
        qyi_too_many_references(p);
    return true;
}

/* 0 or -1 and errno. */
QYI_INLINE int qyi_retain(const void *p, uint32_t count)
{
    return QYI_LIKELY(qyi_retain_fast(p, count)) ? 0 : qyi_retain_slow(p, count);
}

/* 0 or -1 and errno. */
QYI_INLINE int qyi_release(const void *p)
{
    const size_t offset = qyi_region_offset(p);
    if (QYI_UNLIKELY(!qyi_region_has(offset)))
        return qyi_release_slow(p, 1);
    const uint64_t entry = qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT);
    if ((entry & QYI_ENTRY_COUNTED) != 0) {
        struct qyi_cell *cell = qyi_cell_of(p);
        if (QYI_UNLIKELY(cell == NULL))
            return qyi_release_slow(p, 1);
        if (QYI_UNLIKELY(qyi_count_drop(cell, 1) != QYI_DROPPED)) /* the last: see C4 */
            return qyi_release_last(p, entry);
        return 0;
    }
    struct qyi_magazines *mine = qyi_my_magazines();
    if (QYI_UNLIKELY((entry ^ mine->key) >= QYI_ENTRY_PLAIN_LIMIT))
        return qyi_release_slow(p, 1);
    const struct qyi_place place = qyi_place_of(p, entry);
    struct qyi_magazine *magazine =
        (struct qyi_magazine *)((char *)mine->magazine + (entry & 0xff << QYI_ENTRY_CLASS_SHIFT));
    if (!qyi_place_is_block(&place) || QYI_UNLIKELY(!qyi_magazine_push(magazine, qyi_place_start(&place))))
        return qyi_release_slow(p, 1);
    return 0;
}

/* What a pointer points into. */
struct qyi_ref_target {
    void *base;
    size_t bytes;
    uint32_t references;
    bool writable; /* by a sole owner */
    bool foreign;  /* not Quarry's own */
};

/* False and EINVAL: nothing that can be retained. */
bool qyi_ref_find(const void *p, struct qyi_ref_target *target);

/* The caller, who has a reference, is the only owner, and may write. */
bool qyi_ref_is_unique(const void *p);

#endif

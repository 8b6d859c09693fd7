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
/* Of any memory. Ends the process if nothing is allocated at an address of ours. 0, or -1 and errno. */
int qyi_release_slow(const void *p, uint32_t count);
/* Where the entry is 0: of registered memory. 0, or -1 and EINVAL. */
int qyi_release_elsewhere(const void *p, uint32_t count);
int qyi_release_last(const void *p, uint64_t entry);      /* free the block around p, a slab's; returns 0 */
int qyi_release_uncounted(const void *p, uint64_t entry); /* p's granule has no counted flag; 0, or -1 and errno */
_Noreturn void qyi_too_many_references(const void *p);
_Noreturn void qyi_too_many_releases(const void *p);

/* The offset of p in the region, and the entry of its granule; 0 for memory that is not ours. */
QYI_INLINE uint64_t qyi_ref_entry(const void *p, size_t *offset)
{
    *offset = qyi_region_offset(p);
    return QYI_LIKELY(qyi_region_has(*offset)) ? qyi_entry_acquire(*offset >> QYI_GRANULE_SHIFT) : 0;
}

/* True: done. Otherwise it is a case for qyi_retain_slow. */
QYI_INLINE bool qyi_retain_fast(const void *p, uint32_t count)
{
    size_t offset;
    struct qyi_counted counted;
    if (QYI_UNLIKELY((qyi_ref_entry(p, &offset) & QYI_ENTRY_COUNTED) == 0) ||
        QYI_UNLIKELY(!qyi_counted_to_share(&counted, offset)))
        return false;
    if (QYI_UNLIKELY(!qyi_count_add(qyi_counted_cell(&counted), count)))
        qyi_too_many_references(p);
    return true;
}

/* 0 or -1 and errno. */
QYI_INLINE int qyi_retain(const void *p, uint32_t count)
{
    return QYI_LIKELY(qyi_retain_fast(p, count)) ? 0 : qyi_retain_slow(p, count);
}

/*
 * 0 or -1 and errno. told: the caller is told of a release where nothing is allocated (any more). Slices, chains and the like have
 * nobody to tell: there it ends the process, as free does.
 */
QYI_INLINE int qyi_release_telling(const void *p, bool told)
{
    size_t offset;
    const uint64_t entry = qyi_ref_entry(p, &offset);
    if ((entry & QYI_ENTRY_COUNTED) != 0) {
        struct qyi_counted counted;
        if (QYI_UNLIKELY(!qyi_counted_at(&counted, offset)))
            return qyi_release_slow(p, 1);
        if (QYI_UNLIKELY(qyi_count_drop(qyi_counted_cell(&counted), 1) != QYI_DROPPED)) /* the last: see C4 */
            return qyi_release_last(p, entry);
        return 0;
    }
    const uint64_t difference = entry ^ qyi_my_paths.key;
    if (QYI_LIKELY(difference < QYI_ENTRY_PLAIN_LIMIT)) {
        /* A thread's own slabs are of one granule each. Usually p is the start of a block, and pushed as it is: what malloc
         * returns next does not wait for a multiplication then. */
        const struct qyi_interior *interior = (const struct qyi_interior *)((const char *)qyi_interiors + difference);
        if (QYI_LIKELY(qyi_block_starts(interior, offset % QYI_GRANULE_BYTES)) &&
            QYI_LIKELY(qyi_magazine_push(qyi_my_magazine_by(difference), (void *)p)))
            return 0;
    }
    if (told && QYI_UNLIKELY(entry == 0))
        return qyi_release_elsewhere(p, 1);
    return qyi_release_uncounted(p, entry);
}

QYI_INLINE int qyi_release(const void *p)
{
    return qyi_release_telling(p, false);
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

/* Whoever has a reference to it is the only owner, and may write. */
QYI_INLINE bool qyi_ref_is_sole(const struct qyi_ref_target *target)
{
    return target->references == 1 && target->writable;
}

#endif

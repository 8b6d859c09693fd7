/*
 * ref.c: references to blocks, by any pointer into them. Layer 6.
 *
 *     slab with cells     the block's cell                       (inline)
 *     slab without        all its blocks have one owner each; retaining one gives the slab cells
 *     large run           the cell in its record
 *     pooled buffers      the buffer's cell, found in the same way as a slab's
 *     other memory        the registry, or EINVAL
 */
#include "ref.h"

#include "quarry/ref.h"

#include "fatal.h"
#include "foreign.h"
#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "large.h"
#include "pooled.h"
#include "sizeclass.h"
#include "start.h"
#include "track.h"

#include <errno.h>

void qyi_too_many_references(const void *p)
{
    qyi_start_anchor();
    qyi_fatal_pointer("qy_retain", p, 0, "too many references");
}

void qyi_too_many_releases(const void *p)
{
    qyi_fatal_pointer("qy_release", p, 0, "released more often than retained");
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* The entry of p's granule; 0: not ours, or nothing is allocated there. */
static uint64_t entry_of(const void *p)
{
    const size_t offset = qyi_region_offset(p);
    return qyi_region_has(offset) ? qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT) : 0;
}

static uint32_t granule_of(const void *p)
{
    return (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
}

/* The record of the large run around p, and its start; NULL when p lies behind the block's end. */
static struct qyi_large *large_around(const void *p, char **start)
{
    const uint32_t first = qyi_run_first(granule_of(p));
    struct qyi_large *large = qyi_granule_record(first);
    *start = qyi_granule_address(first);
    return (size_t)((const char *)p - *start) < large->bytes ? large : NULL;
}

static void add(struct qyi_cell *cell, const void *p, uint32_t count)
{
    if (!qyi_count_add(cell, count))
        qyi_too_many_references(p);
}

QYI_NOINLINE int qyi_retain_slow(const void *p, uint32_t count)
{
    return qyi_retain_sized(p, count, 0);
}

QYI_NOINLINE int qyi_retain_sized(const void *p, uint32_t count, size_t length)
{
    const uint64_t entry = entry_of(p);
    if (entry == 0)
        return qyi_foreign_retain(p, count) ? 0 : fail(EINVAL);
    if ((entry & QYI_ENTRY_LARGE) != 0) {
        char *start;
        struct qyi_large *large = large_around(p, &start);
        if (large == NULL)
            return fail(EINVAL);
        add(&large->cell, p, count);
        if (qyi_is_tracking())
            qyi_track_retained(start, large->bytes, p, length, count);
        return 0;
    }
    if ((entry & QYI_ENTRY_POOLED) != 0)
        return fail(EINVAL); /* between the buffers, or in none, or qyi_retain_fast would have found the cell */
    const struct qyi_place place = qyi_place_of(p, entry);
    if (!qyi_place_is_block(&place))
        return fail(EINVAL);
    if (count == 0)
        return 0;
    qyi_fork_check();
    if (!qyi_heap_count_slab(granule_of(p) - qyi_entry_offset(entry)))
        return fail(ENOMEM);
    add(qyi_cell_of(p), p, count);
    if (qyi_is_tracking())
        qyi_track_retained(qyi_place_start(&place), place.interior->bytes, p, length, count);
    return 0;
}

/* The caller has the last reference to the block. It may start in another granule than the one that led to it. */
static int free_block(void *start)
{
    const uint64_t entry = qyi_entry(granule_of(start));
    if (QYI_UNLIKELY(entry == 0)) /* another thread has taken itself for the last one, too */
        qyi_too_many_releases(start);
    return qyi_free_last(start, entry);
}

/* The same for the block of a slab around p, whose granule has this entry. */
static QYI_NOINLINE int free_around(const void *p, uint64_t entry)
{
    const struct qyi_place place = qyi_place_of(p, entry);
    if (QYI_LIKELY(qyi_block_starts(place.interior, place.bytes)))
        return qyi_free_last((void *)p, entry); /* p itself: whoever gets it next does not wait for multiplications */
    if (QYI_UNLIKELY(!qyi_place_is_block(&place)))
        return fail(EINVAL);
    void *start = qyi_place_start(&place);
    return QYI_LIKELY(granule_of(start) == granule_of(p)) ? qyi_free_last(start, entry) : free_block(start);
}

/* Drop count references to the block that starts at start; p is what the caller gave. */
static void drop(struct qyi_cell *cell, uint32_t count, const void *p, void *start)
{
    if (qyi_is_tracking())
        qyi_track_released(start, p, count, false);
    const enum qyi_dropped dropped = cell != NULL ? qyi_count_drop(cell, count)
                                     : count == 1 ? QYI_DROPPED_LAST
                                                  : QYI_DROPPED_MORE;
    if (dropped == QYI_DROPPED_MORE)
        qyi_too_many_releases(p);
    if (dropped == QYI_DROPPED_LAST) {
        if (qyi_is_tracking())
            qyi_track_freed(start);
        (void)free_block(start);
    }
}

QYI_NOINLINE int qyi_release_last(const void *p, uint64_t entry)
{
    if ((entry & QYI_ENTRY_POOLED) == 0)
        return free_around(p, entry);
    struct qyi_pooled *run = qyi_pooled_of(p, entry);
    qyi_pooled_end(run, qyi_pooled_start(p, run));
    return 0;
}

/* The entry is a slab's. What qyi_place_of does, but for the block's number: that p is the start of a block is all that is needed. */
QYI_INLINE bool starts_block(const void *p, uint64_t entry)
{
    const struct qyi_interior *interior =
        (const struct qyi_interior *)((const char *)qyi_interiors + (entry & 0xff << QYI_ENTRY_CLASS_SHIFT));
    return QYI_LIKELY(qyi_block_starts(interior, qyi_entry_bytes(entry, p)));
}

QYI_LINE_ALIGNED QYI_NOINLINE int qyi_release_uncounted(const void *p, uint64_t entry)
{
    /* A block of the common heap's own classes, in a slab without flags: most of those that come here. An entry of 0 has class 0: then
     * there may be no common heap yet. */
    const unsigned class = qyi_entry_class(entry);
    if (qyi_class_is_common(class) && (entry ^ qyi_owner_key(qyi_common->id)) < QYI_ENTRY_LARGE &&
        starts_block(p, entry) && QYI_LIKELY(qyi_magazines_push_common(qyi_my_magazines(), class, (void *)p)))
        return 0;
    if (QYI_UNLIKELY(!qyi_entry_is_plain(entry)))
        return qyi_release_slow(p, 1);
    return starts_block(p, entry) ? qyi_free_plain((void *)p, entry) : free_around(p, entry);
}

QYI_NOINLINE int qyi_release_elsewhere(const void *p, uint32_t count)
{
    if (p == NULL || count == 0 || qyi_foreign_release(p, count))
        return 0;
    if (qyi_is_tracking() && qyi_track_released_gone(p, count))
        qyi_too_many_releases(p);
    return fail(EINVAL);
}

QYI_NOINLINE int qyi_release_slow(const void *p, uint32_t count)
{
    if (p == NULL || count == 0)
        return 0;
    const uint64_t entry = entry_of(p);
    if (entry == 0) {
        const int result = qyi_release_elsewhere(p, count);
        if (result != 0 && qyi_region_has(qyi_region_offset(p)))
            qyi_too_many_releases(p);
        return result;
    }
    if ((entry & QYI_ENTRY_LARGE) != 0) {
        char *start;
        struct qyi_large *large = large_around(p, &start);
        if (large == NULL)
            return fail(EINVAL);
        drop(&large->cell, count, p, start);
        return 0;
    }
    if ((entry & QYI_ENTRY_POOLED) != 0) {
        void *start = qyi_pooled_start(p, qyi_pooled_of(p, entry));
        if (start == NULL)
            return fail(EINVAL);
        drop(qyi_cell_of(p), count, p, start);
        return 0;
    }
    const struct qyi_place place = qyi_place_of(p, entry);
    if (!qyi_place_is_block(&place))
        return fail(EINVAL);
    drop((entry & QYI_ENTRY_HAS_CELLS) != 0 ? qyi_cell_of(p) : NULL, count, p, qyi_place_start(&place));
    return 0;
}

static uint32_t references_in(const struct qyi_cell *cell)
{
    /* acquire: pairs with the release of those who have dropped theirs */
    return cell == NULL ? 1 : atomic_load_explicit(&cell->extra, memory_order_acquire) + 1;
}

bool qyi_ref_find(const void *p, struct qyi_ref_target *target)
{
    const uint64_t entry = entry_of(p);
    struct qyi_foreign foreign;
    if (entry == 0) {
        if (!qyi_foreign_find(p, &foreign))
            return fail(EINVAL) == 0;
        *target = (struct qyi_ref_target){.base = foreign.base,
                                          .bytes = foreign.bytes,
                                          .references = foreign.references,
                                          .writable = foreign.kind == QYI_FOREIGN_COUNTED,
                                          .foreign = true};
    } else if ((entry & QYI_ENTRY_LARGE) != 0) {
        char *start;
        const struct qyi_large *large = large_around(p, &start);
        if (large == NULL)
            return fail(EINVAL) == 0;
        *target = (struct qyi_ref_target){
            .base = start, .bytes = large->bytes, .references = references_in(&large->cell), .writable = true};
    } else if ((entry & QYI_ENTRY_POOLED) != 0) {
        const struct qyi_pooled *run = qyi_pooled_of(p, entry);
        void *start = qyi_pooled_start(p, run);
        if (start == NULL)
            return fail(EINVAL) == 0;
        *target = (struct qyi_ref_target){
            .base = start, .bytes = run->stride, .references = references_in(qyi_cell_of(p)), .writable = true};
    } else {
        const struct qyi_place place = qyi_place_of(p, entry);
        if (!qyi_place_is_block(&place))
            return fail(EINVAL) == 0;
        const struct qyi_cell *cell = (entry & QYI_ENTRY_HAS_CELLS) != 0 ? qyi_cell_of(p) : NULL;
        *target = (struct qyi_ref_target){.base = qyi_place_start(&place),
                                          .bytes = place.interior->bytes,
                                          .references = references_in(cell),
                                          .writable = true};
    }
    return true;
}

/* ---- public names ---- */

int qy_retain(const void *p)
{
    return qyi_retain(p, 1);
}

int qy_retain_n(const void *p, uint32_t count)
{
    return qyi_retain(p, count);
}

int qy_release(const void *p)
{
    return qyi_release_telling(p, true);
}

int qy_release_n(const void *p, uint32_t count)
{
    return entry_of(p) == 0 ? qyi_release_elsewhere(p, count) : qyi_release_slow(p, count);
}

bool qy_is_unique(const void *p)
{
    struct qyi_ref_target target;
    const int saved_errno = errno;
    const bool unique = qyi_ref_find(p, &target) && qyi_ref_is_sole(&target);
    errno = saved_errno;
    return unique;
}

uint32_t qy_refcount(const void *p)
{
    struct qyi_ref_target target;
    return qyi_ref_find(p, &target) ? target.references : 0;
}

void *qy_base(const void *p)
{
    struct qyi_ref_target target;
    return qyi_ref_find(p, &target) ? target.base : NULL;
}

size_t qy_capacity(const void *p)
{
    struct qyi_ref_target target;
    return qyi_ref_find(p, &target) ? target.bytes : 0;
}

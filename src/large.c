/*
 * large.c: blocks that have a run of granules for themselves. Layer 5.
 *
 * A large block grows in place when the next granules are free; else its pages move to another run by mremap, which
 * costs a page-table entry per page instead of a copy. Moved pages keep a mapping of their own until they are freed, so
 * their number is bounded.
 *
 *     run     |<---------------- granules ---------------->|
 *     block   |<---------- bytes ---------->|   headroom   |     never touched: address space only
 *
 * A block that had to move once will have to again: it gets headroom, inside its mapping, so that a block that grows in
 * small steps moves a number of times that is logarithmic in its size. mremap moves a single mapping only, so a moved
 * block does not grow in place beyond its headroom.
 */
#include "large.h"

#include "fatal.h"
#include "os.h"
#include "sample.h"
#include "track.h"

#include <string.h>

/* Below this, copying is cheaper than changing mappings (measured: about equal at 512 KiB). */
static const size_t MOVE_BYTES_MIN = 1 << 20;
/* Of the size of a block that moves: 47 moves from 1 MiB to 256 MiB. */
static const size_t HEADROOM_SHARE = 8;
/* Every moved run adds two mappings at most; Linux allows 65530 in all, and other people need some. */
static const uint32_t MOVED_MAX = 256;
/* Beyond this, calloc lets the kernel zero memory that was used before, page by page when it is touched. */
static const size_t CLEAR_BYTES_MAX = 1 << 20;

static _Atomic uint32_t moved_count;
static _Atomic uint64_t calls;

const struct qyi_extent qyi_large_extent = {&calls, sizeof calls};

uint64_t qyi_large_calls(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

static uint32_t granule_of(const void *p)
{
    return (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
}

static size_t granules_for(size_t bytes)
{
    return qyi_div_up(bytes, QYI_GRANULE_BYTES);
}

void *qyi_large_take(size_t bytes, size_t align, bool zero)
{
    if (bytes > QYI_SIZE_LIMIT)
        return NULL;
    const size_t usable = qyi_align_up(bytes + (bytes == 0), qyi_os_page_bytes);
    const size_t granules = granules_for(usable);
    const size_t align_granules = qyi_max(1, align >> QYI_GRANULE_SHIFT);
    bool zeroed;
    const uint32_t first = qyi_run_take(granules, align_granules, QYI_ENTRY_LARGE, &zeroed);
    if (first == 0)
        return NULL;
    struct qyi_large *large = qyi_granule_record(first);
    *large = (struct qyi_large){.bytes = usable, .granules = granules};
    void *p = qyi_granule_address(first);
    if (zero && !zeroed && (usable <= CLEAR_BYTES_MAX || !qyi_os_purge(p, usable)))
        memset(p, 0, bytes);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed); /* a counter */
    return p;
}

struct qyi_large *qyi_large_at(const void *p, const char *function)
{
    const uint32_t granule = granule_of(p);
    if (qyi_run_first(granule) != granule || qyi_granule_address(granule) != p)
        qyi_fatal_pointer(function, p, 1, "not the start of the block");
    return qyi_granule_record(granule);
}

/* The run's pages get an ordinary mapping again. */
static void forget_move(void *p, struct qyi_large *large)
{
    if (!large->moved)
        return;
    large->moved = false;
    if (qyi_os_refresh(p, large->granules << QYI_GRANULE_SHIFT))
        atomic_fetch_sub_explicit(&moved_count, 1, memory_order_relaxed); /* a counter */
}

/* False: somebody else, who has freed the block at the same time, has it in hand, or has given it back and nobody has taken its place.
 * What stays in the cell is no number of references. */
static bool claim(struct qyi_large *large)
{
    uint32_t none = 0;
    /* relaxed: nothing is handed over; it is the only one that goes on */
    return atomic_compare_exchange_strong_explicit(&large->cell.extra, &none, UINT32_MAX, memory_order_relaxed,
                                                   memory_order_relaxed);
}

void qyi_large_give(void *p)
{
    struct qyi_large *large = qyi_large_at(p, "free");
    bool given = (qyi_entry(granule_of(p)) & QYI_ENTRY_LARGE) != 0 && claim(large);
    if (QYI_LIKELY(given)) {
        if (qyi_is_profiling())
            qyi_sample_freed(p);
        forget_move(p, large);
        given = qyi_run_give_large(granule_of(p), large->granules);
    }
    if (QYI_UNLIKELY(!given))
        qyi_fatal_pointer("free", p, 1, "double free"); /* by two threads at once */
}

/*
 * The first bytes of the target's pages have come from p; make the rest of its run part of their mapping, or give the
 * headroom up. False: the target's memory has been lost, and the contents are at p again.
 */
static QYI_COLD bool widen(void *p, void *target, struct qyi_large *large, size_t bytes)
{
    const size_t used = granules_for(large->bytes);
    switch (qyi_os_widen(target, bytes, large->granules << QYI_GRANULE_SHIFT)) {
    case QYI_MOVED: return true;
    case QYI_NOT_MOVED: /* the block lies in two mappings: it will be copied the next time */
        if (used < large->granules)
            qyi_run_give(granule_of(target) + (uint32_t)used, large->granules - used);
        large->granules = used;
        return true;
    default: memcpy(p, target, bytes); return false;
    }
}

/* Bring the contents to the target, a new large block. False: the target's memory has been lost. */
static QYI_COLD bool transfer(void *p, void *target, size_t bytes)
{
    struct qyi_large *large = qyi_granule_record(granule_of(target));
    const size_t run_bytes = large->granules << QYI_GRANULE_SHIFT;
    /* relaxed: a bound that may be exceeded a little */
    if (bytes >= MOVE_BYTES_MIN && qyi_os_page_bytes <= QYI_GRANULE_BYTES &&
        atomic_load_explicit(&moved_count, memory_order_relaxed) < MOVED_MAX) {
        switch (qyi_os_move(p, target, bytes)) {
        case QYI_MOVED:
            large->moved = true;
            atomic_fetch_add_explicit(&moved_count, 1, memory_order_relaxed);
            return bytes == run_bytes || widen(p, target, large, bytes);
        case QYI_NOT_MOVED: break;
        case QYI_MOVE_LOST: return false;
        }
    }
    memcpy(target, p, bytes);
    if (run_bytes - large->bytes >= QYI_GRANULE_BYTES) /* headroom: nothing that was there before stays resident */
        (void)qyi_os_purge((char *)target + large->bytes, run_bytes - large->bytes);
    return true;
}

/* Move the contents to a new run; the old one is given back. */
static QYI_COLD void *relocate(void *p, struct qyi_large *large, size_t bytes)
{
    const size_t usable = qyi_align_up(bytes, qyi_os_page_bytes);
    const size_t headroom = bytes < MOVE_BYTES_MIN ? 0 : bytes / HEADROOM_SHARE;
    void *target = qyi_large_take(usable + headroom, 1, false);
    if (target == NULL && headroom != 0)
        target = qyi_large_take(usable, 1, false);
    if (target == NULL)
        return NULL;
    struct qyi_large *target_large = qyi_granule_record(granule_of(target));
    target_large->bytes = usable;
    if (!transfer(p, target, qyi_min(large->bytes, usable)))
        return NULL; /* the target's granules are never used again: nothing is mapped there */
    /* before p's memory can become another block */
    if (qyi_is_tracking())
        qyi_track_moved(p, target, target_large->bytes);
    if (qyi_is_profiling())
        qyi_sample_moved(p, target);
    qyi_large_give(p);
    return target;
}

/* Grow to granules where it is. False: it has to move. */
static bool extend(uint32_t first, struct qyi_large *large, size_t granules)
{
    bool zeroed;
    if (granules <= large->granules)
        return true;
    if (large->moved || !qyi_run_extend(first, large->granules, granules - large->granules, &zeroed))
        return false;
    large->granules = granules;
    return true;
}

/* Give back what lies behind the first granules of the run. */
static void shorten(uint32_t first, struct qyi_large *large, size_t granules)
{
    const size_t surplus = large->granules - granules;
    large->granules = granules;
    if (large->moved) /* if that is refused, the rest keeps a mapping of its own */
        (void)qyi_os_refresh(qyi_granule_address(first + (uint32_t)granules), surplus << QYI_GRANULE_SHIFT);
    qyi_run_give(first + (uint32_t)granules, surplus);
}

void *qyi_large_resize(void *p, size_t bytes)
{
    struct qyi_large *large = qyi_large_at(p, "realloc");
    const size_t usable = qyi_align_up(bytes, qyi_os_page_bytes);
    const size_t granules = granules_for(usable);
    if (usable > large->bytes && !extend(granule_of(p), large, granules))
        return relocate(p, large, bytes);
    if (usable < large->bytes && granules < large->granules)
        shorten(granule_of(p), large, granules);
    large->bytes = usable;
    return p;
}

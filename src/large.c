/*
 * large.c: blocks that have a run of granules for themselves. Layer 5.
 *
 * A large block grows in place when the next granules are free; else its pages move to another run by mremap, which
 * costs a page-table entry per page instead of a copy. Moved pages keep a mapping of their own until they are freed, so
 * their number is bounded.
 */
#include "large.h"

#include "fatal.h"
#include "os.h"

#include <string.h>

/* Below this, copying is cheaper than changing mappings (measured: about equal at 512 KiB). */
static const size_t MOVE_BYTES_MIN = 1 << 20;
/* Every moved run adds two mappings at most; Linux allows 65530 in all, and other people need some. */
static const uint32_t MOVED_MAX = 256;
/* Beyond this, calloc lets the kernel zero memory that was used before, page by page when it is touched. */
static const size_t CLEAR_BYTES_MAX = 1 << 20;

static _Atomic uint32_t moved_count;
static _Atomic uint64_t calls;

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

void qyi_large_give(void *p)
{
    struct qyi_large *large = qyi_large_at(p, "free");
    forget_move(p, large);
    qyi_run_give(granule_of(p), large->granules);
}

/* Bring the contents to the target, a new large block. False: the target's memory has been lost. */
static bool transfer(void *p, const struct qyi_large *large, void *target, size_t bytes)
{
    /* relaxed: a bound that may be exceeded a little */
    if (bytes >= MOVE_BYTES_MIN && !large->patched &&
        atomic_load_explicit(&moved_count, memory_order_relaxed) < MOVED_MAX) {
        switch (qyi_os_move(p, target, qyi_align_up(bytes, qyi_os_page_bytes))) {
        case QYI_MOVED: {
            struct qyi_large *target_large = qyi_granule_record(granule_of(target));
            target_large->moved = true;
            target_large->patched = target_large->bytes > bytes; /* what lies behind is still of the old mapping */
            atomic_fetch_add_explicit(&moved_count, 1, memory_order_relaxed);
            return true;
        }
        case QYI_NOT_MOVED: break;
        case QYI_MOVE_LOST: return false;
        }
    }
    memcpy(target, p, bytes);
    return true;
}

/* Move the contents to a new run; the old one is given back. */
static void *relocate(void *p, struct qyi_large *large, size_t bytes)
{
    void *target = qyi_large_take(bytes, 1, false);
    if (target == NULL)
        return NULL;
    if (!transfer(p, large, target, qyi_min(large->bytes, bytes)))
        return NULL; /* the target's granules are never used again: nothing is mapped there */
    qyi_large_give(p);
    return target;
}

void *qyi_large_resize(void *p, size_t bytes)
{
    struct qyi_large *large = qyi_large_at(p, "realloc");
    const size_t usable = qyi_align_up(bytes, qyi_os_page_bytes);
    const size_t granules = granules_for(usable);
    const uint32_t first = granule_of(p);
    if (granules < large->granules) {
        const size_t before = large->granules;
        large->granules = granules;
        if (large->moved) /* if that is refused, the rest keeps a mapping of its own */
            (void)qyi_os_refresh(qyi_granule_address(first + (uint32_t)granules), (before - granules)
                                                                                      << QYI_GRANULE_SHIFT);
        qyi_run_give(first + (uint32_t)granules, before - granules);
    } else if (granules > large->granules) {
        bool zeroed;
        if (!qyi_run_extend(first, large->granules, granules - large->granules, &zeroed))
            return relocate(p, large, bytes);
        large->granules = granules;
        large->patched = large->moved;
    }
    large->bytes = usable;
    return p;
}

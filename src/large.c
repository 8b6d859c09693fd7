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

/* Move the contents to a new run; the old one is given back. */
static void *relocate(void *p, struct qyi_large *large, size_t bytes)
{
    void *target = qyi_large_take(bytes, 1, false);
    if (target == NULL)
        return NULL;
    const size_t kept = qyi_min(large->bytes, bytes);
    /* relaxed: a bound that may be exceeded a little */
    if (kept >= MOVE_BYTES_MIN && atomic_load_explicit(&moved_count, memory_order_relaxed) < MOVED_MAX &&
        qyi_os_move(p, target, qyi_align_up(kept, qyi_os_page_bytes))) {
        struct qyi_large *new_large = qyi_granule_record(granule_of(target));
        new_large->moved = true;
        atomic_fetch_add_explicit(&moved_count, 1, memory_order_relaxed);
    } else {
        memcpy(target, p, kept);
    }
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
        qyi_run_give(first + (uint32_t)granules, before - granules);
    } else if (granules > large->granules) {
        bool zeroed;
        if (!qyi_run_extend(first, large->granules, granules - large->granules, &zeroed))
            return relocate(p, large, bytes);
        large->granules = granules;
    }
    large->bytes = usable;
    return p;
}

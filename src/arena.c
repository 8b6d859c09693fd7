/*
 * arena.c: memory that stays where it is; include/quarry/arena.h has the contracts. Layer 6.
 *
 *     one run of granules, taken from the region as a whole and given back as a whole
 *     granule:   idle (entry: pooled; record: the arena)
 *                cut into blocks of one size, or first of those of a larger block  (a run of pooled.h)
 *
 * I1  a granule's bit is set in `idle` if and only if it is idle; its entry has no counted flag then.
 * I2  a block's bit in its run is set while it is out. A run without bits is made idle, under the lock that took the
 *     last one off.
 * I3  partial[size] links the runs of that size that have room.
 * I4  the run is given back when the arena is destroyed, nothing is out and nothing is pinned.
 * I5  a block lies within one buffer: QY_ARENA_BUFFER_BYTES of the arena.
 *
 * Entries, records and bits are the truth; idle, partial and used are made from them anew in a child whose parent had
 * a thread in here.
 *
 * Lock: one per arena, and one for the list of all arenas; neither is held while another lock is
 * taken.
 */
#include "quarry/arena.h"

#include "alloc.h"
#include "fatal.h"
#include "fork.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "pooled.h"
#include "ref.h"
#include "region.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

enum { SMALL_BYTES = 32 << 10, SIZE_COUNT = 18, BUFFER_GRANULES = (1 << 30) / QYI_GRANULE_BYTES };

static const size_t ARENA_BYTES_MAX = (size_t)1 << 44;

struct qy_arena {
    /* constant */
    uint32_t first;
    uint32_t granules;
    bool huge, populated;
    bool (*recycle)(void *block, size_t bytes, void *context);
    void *context;
    struct qy_arena *next; /* of all arenas, under that list's lock */
    /* under the lock */
    struct qyi_lock lock;
    bool destroyed;
    unsigned pins;
    size_t blocks, used, idle_count;
    uint32_t partial[SIZE_COUNT]; /* first granules; 0: none */
    uint32_t idle_from;           /* no granule before is idle */
    uint64_t idle[];              /* a bit for each granule */
};

static struct {
    struct qyi_lock lock;
    struct qy_arena *first;
    bool hooked;
} arenas;

/* ---- sizes: powers of two, and one and a half of them ---- */

static unsigned size_number(size_t bytes)
{
    if (bytes <= QYI_CACHE_LINE)
        return 0;
    const unsigned log2 = qyi_log2(bytes - 1); /* bytes is in (2^log2, 2^(log2 + 1)] */
    const bool upper = bytes > (size_t)3 << (log2 - 1);
    return log2 == 6 ? 1 : 2 * (log2 - 6) + upper;
}

/* 64, 128, 192, 256, 384, 512 ...: of 96, there is no multiple of a cache line. */
static size_t size_of_number(unsigned number)
{
    if (number < 2)
        return (size_t)QYI_CACHE_LINE << number;
    return number % 2 == 0 ? (size_t)192 << (number / 2 - 1) : (size_t)256 << (number / 2 - 1);
}

/* ---- granules ---- */

static bool is_idle(const struct qy_arena *arena, uint32_t granule)
{
    return (arena->idle[granule / 64] >> granule % 64 & 1) != 0;
}

/* Granules are counted from the arena's first one here. */
static void set_idle(struct qy_arena *arena, uint32_t from, uint32_t count, bool idle)
{
    for (uint32_t i = from; i < from + count; i++) {
        const uint64_t bit = (uint64_t)1 << i % 64;
        arena->idle[i / 64] = idle ? arena->idle[i / 64] | bit : arena->idle[i / 64] & ~bit;
    }
    if (idle) {
        arena->idle_count += count;
        arena->idle_from = (uint32_t)qyi_min(arena->idle_from, from);
    } else {
        arena->idle_count -= count;
        if (arena->idle_from == from)
            arena->idle_from = from + count;
    }
}

static void make_idle(struct qy_arena *arena, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        struct qyi_pooled *run = qyi_granule_record(arena->first + i);
        *run = (struct qyi_pooled){.arena = arena, .stride = QYI_GRANULE_BYTES};
        qyi_run_set_entries(arena->first + i, 1, QYI_ENTRY_POOLED);
    }
    set_idle(arena, from, count, true);
}

/* The first of count idle granules in a row, within one buffer (I5); arena->granules if there are none. */
static uint32_t find_idle(const struct qy_arena *arena, uint32_t count)
{
    uint32_t length = 0;
    for (uint32_t i = arena->idle_from; i < arena->granules; i++) {
        if (length == 0 && i % 64 == 0 && arena->idle[i / 64] == 0) {
            i += 63;
            continue;
        }
        length = i % BUFFER_GRANULES == 0 ? 0 : length;
        length = is_idle(arena, i) ? length + 1 : 0;
        if (length == count)
            return i + 1 - count;
    }
    return arena->granules;
}

/* ---- runs ---- */

static struct qyi_pooled *run_at(uint32_t granule)
{
    return qyi_granule_record(granule);
}

static void link_run(struct qy_arena *arena, struct qyi_pooled *run)
{
    uint32_t *head = &arena->partial[size_number(run->stride)];
    run->prev = 0;
    run->next = *head;
    if (run->next != 0)
        run_at(run->next)->prev = qyi_record_granule(run);
    *head = qyi_record_granule(run);
}

static void unlink_run(struct qy_arena *arena, struct qyi_pooled *run)
{
    if (run->prev != 0)
        run_at(run->prev)->next = run->next;
    else
        arena->partial[size_number(run->stride)] = run->next;
    if (run->next != 0)
        run_at(run->next)->prev = run->prev;
}

static struct qyi_pooled *carve(struct qy_arena *arena, size_t stride)
{
    const uint32_t count = (uint32_t)qyi_div_up(stride, QYI_GRANULE_BYTES);
    const uint32_t from = find_idle(arena, count);
    if (from == arena->granules)
        return NULL;
    set_idle(arena, from, count, false);
    return qyi_pooled_carve(arena->first + from, count, (struct qyi_pooled){.arena = arena, .stride = stride});
}

static void *take(struct qy_arena *arena, size_t bytes)
{
    const bool small = bytes <= SMALL_BYTES;
    const size_t stride = small ? size_of_number(size_number(bytes)) : qyi_align_up(bytes, QYI_GRANULE_BYTES);
    const uint32_t partial = small ? arena->partial[size_number(bytes)] : 0;
    struct qyi_pooled *run = partial != 0 ? run_at(partial) : carve(arena, stride);
    if (run == NULL)
        return NULL;
    if (small && partial == 0)
        link_run(arena, run);
    void *block = qyi_pooled_take(run);
    if (small && run->made == run->count)
        unlink_run(arena, run);
    arena->blocks++;
    arena->used += run->stride;
    return block;
}

static void give(struct qy_arena *arena, struct qyi_pooled *run, void *block)
{
    const bool small = run->stride <= SMALL_BYTES;
    const bool was_full = run->made == run->count;
    arena->blocks--;
    arena->used -= run->stride;
    qyi_pooled_give(run, block);
    if (run->made == 0) { /* I2 */
        if (small && !was_full)
            unlink_run(arena, run);
        make_idle(arena, qyi_record_granule(run) - arena->first, run->granules);
    } else if (was_full) {
        link_run(arena, run);
    }
}

/* ---- the end ---- */

/* I4. Under the lock. */
static bool is_done(const struct qy_arena *arena)
{
    return arena->destroyed && arena->blocks == 0 && arena->pins == 0;
}

static void give_back(struct qy_arena *arena)
{
    char *start = qyi_granule_address(arena->first);
    const size_t bytes = (size_t)arena->granules << QYI_GRANULE_SHIFT;
    qyi_lock(&arenas.lock);
    struct qy_arena **link = &arenas.first;
    while (*link != arena)
        link = &(*link)->next;
    *link = arena->next;
    qyi_unlock(&arenas.lock);
    if (arena->huge && qyi_options.thp == QYI_THP_DEFAULT) /* no advice any more, as on the memory around it */
        (void)qyi_os_refresh(start, bytes);
    qyi_run_give(arena->first, arena->granules);
    qyi_free(arena);
}

static void unlock_or_give_back(struct qy_arena *arena)
{
    const bool done = is_done(arena);
    qyi_unlock(&arena->lock);
    if (done)
        give_back(arena);
}

/* The last reference to a block is gone. */
static void last_release(struct qyi_pooled *run, void *block)
{
    struct qy_arena *arena = run->arena;
    qyi_fork_check();
    if (run->count != 0 && arena->recycle != NULL && arena->recycle(block, run->stride, arena->context))
        return;
    qyi_lock(&arena->lock);
    if (!qyi_pooled_is_made(run, block))
        qyi_fatal_pointer("qy_release", block, run->stride, "this block of an arena is not in use");
    give(arena, run, block);
    unlock_or_give_back(arena);
}

/* ---- forked children ---- */

static void rebuild(struct qy_arena *arena)
{
    arena->blocks = arena->used = arena->idle_count = 0;
    arena->idle_from = arena->granules;
    memset(arena->partial, 0, sizeof arena->partial);
    memset(arena->idle, 0, qyi_div_up(arena->granules, 64) * sizeof *arena->idle);
    for (uint32_t i = 0; i < arena->granules;) {
        const uint64_t entry = qyi_entry(arena->first + i);
        struct qyi_pooled *run = run_at(arena->first + i);
        if ((entry & QYI_ENTRY_COUNTED) != 0 && qyi_entry_offset(entry) == 0)
            qyi_pooled_recount(run);
        if ((entry & QYI_ENTRY_COUNTED) == 0 || qyi_entry_offset(entry) != 0 || run->made == 0) {
            make_idle(arena, i, 1);
            i++;
            continue;
        }
        arena->blocks += run->made;
        arena->used += run->made * run->stride;
        if (run->made < run->count)
            link_run(arena, run);
        i += run->granules;
    }
}

static void in_child(void)
{
    (void)qyi_lock_after_fork(&arenas.lock); /* arenas enter and leave the list by one store */
    for (struct qy_arena *arena = arenas.first; arena != NULL; arena = arena->next) {
        if (qyi_lock_after_fork(&arena->lock))
            rebuild(arena);
    }
}

/* ---- the interface ---- */

static void enter_list(struct qy_arena *arena)
{
    qyi_lock(&arenas.lock);
    if (!arenas.hooked) {
        arenas.hooked = true;
        qyi_pooled_arena_last = last_release;
        qyi_fork_add_hook(in_child);
    }
    arena->next = arenas.first;
    arenas.first = arena;
    qyi_unlock(&arenas.lock);
}

qy_arena *qy_arena_new(const struct qy_arena_attr *attr)
{
    if (attr->bytes == 0 || attr->bytes > ARENA_BYTES_MAX || (attr->flags & ~(unsigned)QY_ARENA_HUGE) != 0) {
        errno = EINVAL;
        return NULL;
    }
    const bool huge = (attr->flags & QY_ARENA_HUGE) != 0;
    const size_t step = qyi_max(QYI_GRANULE_BYTES, qyi_os_page_bytes); /* it is populated by pages */
    const uint32_t granules = (uint32_t)(qyi_align_up(attr->bytes, step) >> QYI_GRANULE_SHIFT);
    struct qy_arena *arena = qyi_calloc(1, sizeof *arena + qyi_div_up(granules, 64) * sizeof *arena->idle);
    if (arena == NULL)
        return NULL;
    bool zeroed;
    qyi_fork_check();
    arena->first =
        qyi_run_take(granules, huge ? QYI_FRAME_GRANULES : step >> QYI_GRANULE_SHIFT, QYI_ENTRY_POOLED, &zeroed);
    if (arena->first == 0 || !qyi_region_reach_cells(arena->first, granules)) {
        if (arena->first != 0)
            qyi_run_give(arena->first, granules);
        qyi_free(arena);
        errno = ENOMEM;
        return NULL;
    }
    arena->granules = granules;
    arena->huge = huge;
    arena->recycle = attr->recycle;
    arena->context = attr->context;
    if (huge)
        qyi_os_advise_huge(qyi_granule_address(arena->first), (size_t)granules << QYI_GRANULE_SHIFT, true);
    arena->populated = qyi_os_populate(qyi_granule_address(arena->first), (size_t)granules << QYI_GRANULE_SHIFT);
    make_idle(arena, 0, granules);
    enter_list(arena);
    return arena;
}

qy_slice qy_arena_slice(qy_arena *arena, size_t length)
{
    void *block = NULL;
    if (length == 0)
        return QY_SLICE_EMPTY;
    qyi_fork_check();
    if (length <= QY_ARENA_BUFFER_BYTES) {
        qyi_lock(&arena->lock);
        block = take(arena, length);
        qyi_unlock(&arena->lock);
    }
    if (block == NULL) {
        errno = ENOMEM;
        return QY_SLICE_EMPTY;
    }
    return (qy_slice){.iov_base = block, .iov_len = length};
}

qy_arena *qy_arena_of(const void *p)
{
    const size_t offset = qyi_region_offset(p);
    const uint64_t entry = qyi_region_has(offset) ? qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT) : 0;
    return (entry & QYI_ENTRY_POOLED) != 0 ? qyi_pooled_of(p, entry)->arena : NULL;
}

int qy_arena_index(const qy_arena *arena, const void *p)
{
    const size_t offset = (uintptr_t)p - (uintptr_t)qyi_granule_address(arena->first);
    if (offset < (size_t)arena->granules << QYI_GRANULE_SHIFT)
        return (int)(offset / QY_ARENA_BUFFER_BYTES);
    errno = EINVAL;
    return -1;
}

size_t qy_arena_buffers(const qy_arena *arena, struct iovec *buffers, size_t max)
{
    const size_t bytes = (size_t)arena->granules << QYI_GRANULE_SHIFT;
    const size_t count = qyi_div_up(bytes, QY_ARENA_BUFFER_BYTES);
    for (size_t i = 0; i < qyi_min(count, max); i++) {
        const size_t start = i * QY_ARENA_BUFFER_BYTES;
        buffers[i] = (struct iovec){.iov_base = qyi_granule_address(arena->first) + start,
                                    .iov_len = qyi_min(bytes - start, QY_ARENA_BUFFER_BYTES)};
    }
    return count;
}

void qy_arena_pin(qy_arena *arena)
{
    qyi_fork_check();
    qyi_lock(&arena->lock);
    arena->pins++;
    qyi_unlock(&arena->lock);
}

void qy_arena_unpin(qy_arena *arena)
{
    qyi_fork_check();
    qyi_lock(&arena->lock);
    arena->pins--;
    unlock_or_give_back(arena);
}

struct qy_arena_stats qy_arena_get_stats(qy_arena *arena)
{
    qyi_fork_check();
    qyi_lock(&arena->lock);
    const struct qy_arena_stats stats = {.bytes = (size_t)arena->granules << QYI_GRANULE_SHIFT,
                                         .used = arena->used,
                                         .idle = arena->idle_count << QYI_GRANULE_SHIFT,
                                         .blocks = arena->blocks,
                                         .pins = arena->pins,
                                         .populated = arena->populated};
    qyi_unlock(&arena->lock);
    return stats;
}

void qy_arena_destroy(qy_arena *arena)
{
    if (arena == NULL)
        return;
    qyi_fork_check();
    qyi_lock(&arena->lock);
    arena->destroyed = true;
    unlock_or_give_back(arena);
}

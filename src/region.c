/*
 * region.c: the address range, runs of granules in it, and giving memory back. Layer 2.
 *
 * Which granules are free stands in frames (frame.h). A run shorter than a frame lies within one; a longer one starts at a
 * frame and may end within one. Placement fills the fullest frame that fits, so that other frames become free as a
 * whole.
 *
 * I1  a granule is free in its frame  <=>  its entry is 0 and no purge has it in hand.
 * I2  entries are written before a run's address is known to anybody, and cleared while nobody else has it.
 *
 * All of this is guarded by the region lock. After fork the frames are rebuilt from the entries if the lock was held
 * (I1).
 */
#include "region.h"

#include "fatal.h"
#include "frame.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "span.h"

#include <string.h>

/* Granules that a thread is purging, without the lock: they are taken in their frames, and no entry has them. */
struct purge {
    uint32_t thread; /* qyi_lock_me, or 0: none is under way here */
    struct qyi_ripe ripe;
};

enum { PURGES_MAX = 8 }; /* at a time; not on their threads' stacks, which a forked child may use for other threads */

QYI_LINE_ALIGNED struct qyi_region qyi_region = {.base = (uintptr_t)qyi_zeros};

static const size_t RESERVE_MIN = (size_t)64 << 30;  /* wanted at least ... */
static const size_t RESERVE_LAST = (size_t)64 << 20; /* ... and the last try */
static const size_t COMMIT_STEP = (size_t)4 << 20;
static const size_t COMMIT_STEP_MAX = (size_t)64 << 20;
static const size_t TABLE_STEP = (size_t)64 << 10;
static const size_t CELLS_STEP = (size_t)1 << 20;
static const size_t PURGE_FRAMES_AT_ONCE = 32;
static const size_t DIRTY_BYTES_MIN = (size_t)8 << 20;
static const size_t DIRTY_SHARE = 8;

static struct {
    struct qyi_lock lock;
    struct qyi_span entries, records, bitmaps, cells, table, whole, payload;
    _Atomic size_t cells_reached; /* what cells.committed was, for those without the lock */
    struct purge purges_under_way[PURGES_MAX];
    uint32_t survivor; /* in a forked child, until all other threads' purges have been dropped; else 0 */
    struct qyi_frames frames;
    uint64_t purges, purged_bytes;
} region;

const struct qyi_extent qyi_region_extent = {&region, sizeof region};

#define ALL_SPANS \
    &region.entries, &region.records, &region.bitmaps, &region.cells, &region.table, &region.whole, &region.payload

/* ---- entries ---- */

uint32_t qyi_run_first(uint32_t granule)
{
    for (;;) {
        const uint32_t offset = qyi_entry_offset(qyi_entry(granule));
        if (offset == 0)
            return granule;
        granule -= offset;
    }
}

void qyi_run_set_entries(uint32_t first, size_t granules, uint64_t entry)
{
    for (size_t i = 0; i < granules; i++) {
        const uint64_t offset = qyi_min(i, QYI_ENTRY_OFFSET_MAX);
        /* release: pairs with qyi_entry_acquire */
        atomic_store_explicit(qyi_entry_at(first + i), entry | offset << QYI_ENTRY_OFFSET_SHIFT, memory_order_release);
    }
}

static void clear_entries(uint32_t first, size_t granules)
{
    for (size_t i = 0; i < granules; i++)
        atomic_store_explicit(qyi_entry_at(first + i), 0, memory_order_relaxed);
}

/* ---- the frontier ---- */

static bool reach_tables(uint32_t frame_end)
{
    const size_t granules = (size_t)frame_end * QYI_FRAME_GRANULES;
    return qyi_span_reach(&region.entries, QYI_ZEROS_BYTES + granules * sizeof(uint64_t), TABLE_STEP) &&
           qyi_span_reach(&region.records, (granules - qyi_region.first) * QYI_RECORD_BYTES, TABLE_STEP) &&
           qyi_span_reach(&region.bitmaps, (granules - qyi_region.first) * QYI_BITMAP_BYTES, TABLE_STEP) &&
           qyi_span_reach(&region.table, qyi_frames_table_bytes(frame_end), TABLE_STEP) &&
           qyi_span_reach(&region.whole, qyi_frames_whole_bytes(frame_end), qyi_os_page_bytes);
}

bool qyi_region_reach_cells(uint32_t first, size_t granules)
{
    const size_t needed = (first - qyi_region.first + granules) * QYI_CELLS_BYTES;
    qyi_lock(&region.lock);
    const bool reached = qyi_span_reach(&region.cells, needed, CELLS_STEP);
    atomic_store_explicit(&region.cells_reached, region.cells.committed, memory_order_relaxed);
    qyi_unlock(&region.lock);
    return reached;
}

static void advise(char *start, size_t bytes)
{
    if (qyi_options.thp != QYI_THP_DEFAULT)
        qyi_os_advise_huge(start, bytes, qyi_options.thp == QYI_THP_ALWAYS);
}

/* Make at least so many more frames accessible. */
static bool advance_frontier(size_t more)
{
    struct qyi_frames *frames = &region.frames;
    const size_t before = region.payload.committed;
    const size_t needed = (frames->end - frames->first + more) * QYI_FRAME_BYTES;
    if (needed > region.payload.bytes || !reach_tables(frames->end + (uint32_t)more))
        return false;
    const size_t step = qyi_min(COMMIT_STEP_MAX, qyi_max(COMMIT_STEP, qyi_power_of_two_up(before / 8 + 1)));
    if (!qyi_span_reach(&region.payload, needed, step))
        return false;
    uint32_t end = frames->first + (uint32_t)(region.payload.committed / QYI_FRAME_BYTES);
    if (!reach_tables(end)) /* the generous part will be found again by the next advance */
        end = frames->end + (uint32_t)more;
    advise(region.payload.start + before, region.payload.committed - before);
    qyi_frames_append(frames, end);
    /* relaxed: for those who walk the entries, which are 0 beyond what is in use */
    atomic_store_explicit(&qyi_region.end, end * QYI_FRAME_GRANULES, memory_order_relaxed);
    return true;
}

/* ---- runs ---- */

uint32_t qyi_run_take(size_t granules, size_t align, uint64_t entry, bool *zeroed)
{
    if (granules > region.payload.bytes >> QYI_GRANULE_SHIFT || align > region.payload.bytes >> QYI_GRANULE_SHIFT)
        return 0;
    qyi_lock(&region.lock);
    uint32_t first = qyi_frames_find(&region.frames, granules, align);
    if (first == 0 && advance_frontier(qyi_frames_missing(&region.frames, granules, align)))
        first = qyi_frames_find(&region.frames, granules, align);
    if (first != 0) {
        *zeroed = qyi_frames_take(&region.frames, first, granules);
        qyi_run_set_entries(first, granules, entry);
    }
    qyi_unlock(&region.lock);
    return first;
}

/* The caller holds the lock. */
static void give(uint32_t first, size_t granules)
{
    clear_entries(first, granules);
    qyi_frames_give(&region.frames, first, granules);
}

void qyi_run_give(uint32_t first, size_t granules)
{
    qyi_lock(&region.lock);
    give(first, granules);
    qyi_unlock(&region.lock);
}

bool qyi_run_give_large(uint32_t first, size_t granules)
{
    qyi_lock(&region.lock);
    const uint64_t entry = qyi_entry(first);
    /* and not part of another block by now */
    const bool is_there = (entry & QYI_ENTRY_LARGE) != 0 && qyi_entry_offset(entry) == 0;
    if (QYI_LIKELY(is_there))
        give(first, granules);
    qyi_unlock(&region.lock);
    return is_there;
}

bool qyi_run_extend(uint32_t first, size_t granules, size_t more, bool *zeroed)
{
    const struct qyi_frames *frames = &region.frames;
    const uint32_t next = first + (uint32_t)granules;
    qyi_lock(&region.lock);
    const size_t end = qyi_div_up((size_t)next + more, QYI_FRAME_GRANULES);
    const bool done = qyi_frames_have(frames, next, qyi_min(more, (size_t)frames->end * QYI_FRAME_GRANULES - next)) &&
                      (end <= frames->end || advance_frontier(end - frames->end)) &&
                      qyi_frames_have(frames, next, more);
    if (done) {
        *zeroed = qyi_frames_take(&region.frames, next, more);
        const uint64_t entry = qyi_entry(first);
        for (size_t i = granules; i < granules + more; i++) {
            const uint64_t offset = qyi_min(i, QYI_ENTRY_OFFSET_MAX);
            atomic_store_explicit(qyi_entry_at(first + i), entry | offset << QYI_ENTRY_OFFSET_SHIFT,
                                  memory_order_relaxed);
        }
    }
    qyi_unlock(&region.lock);
    return done;
}

/* ---- giving memory back ---- */

/* The whole pages between. */
static QYI_COLD void purge_within(char *start, char *end)
{
    const uintptr_t from = qyi_align_up((uintptr_t)start, qyi_os_page_bytes);
    const uintptr_t to = qyi_align_down((uintptr_t)end, qyi_os_page_bytes);
    if (from < to)
        (void)qyi_os_purge((void *)from, to - from); /* NOLINT(performance-no-int-to-ptr) */
}

/* Records, bitmaps and cells of whole frames. A refusal does not matter: they are zero where it counts. */
static QYI_COLD void purge_tables(uint32_t first, size_t frames)
{
    const uint32_t granule = first * QYI_FRAME_GRANULES;
    const size_t granules = frames * QYI_FRAME_GRANULES;
    char *records = qyi_granule_record(granule);
    char *bitmaps = qyi_granule_bitmaps(granule);
    purge_within(records, records + granules * QYI_RECORD_BYTES);
    purge_within(bitmaps, bitmaps + granules * QYI_BITMAP_BYTES);
    char *cells = qyi_granule_cells(granule);
    char *end = cells + granules * QYI_CELLS_BYTES;
    if (end <= region.cells.start + atomic_load_explicit(&region.cells_reached, memory_order_relaxed))
        purge_within(cells, end);
}

static QYI_COLD bool purge_run(const struct qyi_ripe *ripe)
{
    uint64_t bits = ripe->bits;
    bool done = true;
    while (bits != 0) {
        const unsigned from = qyi_ctz(bits);
        const unsigned count = bits >> from == UINT64_MAX ? 64 : qyi_ctz(~(bits >> from));
        const size_t bytes = (ripe->count - 1) * QYI_FRAME_BYTES + ((size_t)count << QYI_GRANULE_SHIFT);
        done &= qyi_os_purge(qyi_granule_address(ripe->first * QYI_FRAME_GRANULES + from), bytes);
        bits &= ~qyi_mask64(from, count);
    }
    if (ripe->bits == QYI_ALL_GRANULES)
        purge_tables(ripe->first, ripe->count);
    return done;
}

/* The granules are free again. */
static QYI_COLD void end_purge(struct purge *purge, bool clean)
{
    const struct qyi_ripe *ripe = &purge->ripe;
    for (size_t i = 0; i < ripe->count; i++)
        qyi_frames_give_bits(&region.frames, ripe->first + (uint32_t)i, ripe->bits, clean ? 0 : ripe->bits);
    purge->thread = 0;
}

/* In a forked child: end the purges of threads that are gone as if refused, whose granules nobody would give back. */
static QYI_COLD void drop_purges_but(uint32_t thread)
{
    for (size_t i = 0; i < PURGES_MAX; i++) {
        struct purge *purge = &region.purges_under_way[i];
        if (purge->thread != 0 && purge->thread != thread)
            end_purge(purge, false);
    }
    region.survivor = 0;
}

/* Take granules in hand; NULL if there are none, or too many others at it. *visited: a frame was due. */
static struct purge *begin_purge(unsigned queue, uint64_t now_ms, uint64_t age_ms, size_t frames_most, bool *visited)
{
    *visited = false;
    if (QYI_UNLIKELY(region.survivor != 0))
        drop_purges_but(region.survivor);
    for (size_t i = 0; i < PURGES_MAX; i++) {
        struct purge *purge = &region.purges_under_way[i];
        if (purge->thread != 0)
            continue;
        *visited = qyi_frames_take_ripe(&region.frames, queue, now_ms, age_ms, frames_most, &purge->ripe);
        if (purge->ripe.count == 0)
            return NULL;
        purge->thread = qyi_lock_me();
        return purge;
    }
    return NULL;
}

/* The next purge of a queue of frames. Returns its bytes; *more: it was not the last one. */
static size_t purge_next(unsigned queue, uint64_t now_ms, uint64_t age_ms, size_t frames_most, bool *more)
{
    qyi_lock(&region.lock);
    struct purge *purge = begin_purge(queue, now_ms, age_ms, frames_most, more);
    qyi_unlock(&region.lock);
    if (purge == NULL)
        return 0;
    const bool done = purge_run(&purge->ripe);
    const size_t bytes = done ? purge->ripe.count * (size_t)qyi_popcount(purge->ripe.bits) << QYI_GRANULE_SHIFT : 0;
    qyi_lock(&region.lock);
    end_purge(purge, done);
    region.purges += done;
    region.purged_bytes += bytes;
    qyi_unlock(&region.lock);
    *more = done; /* refused: it would be refused again */
    return bytes;
}

size_t qyi_region_purge(uint64_t now_ms, uint64_t age_ms)
{
    size_t total = 0;
    for (unsigned queue = 0; queue < QYI_FRAME_QUEUES; queue++) {
        bool more = true;
        while (more)
            total += purge_next(queue, now_ms, age_ms, PURGE_FRAMES_AT_ONCE, &more);
    }
    return total;
}

/* What is dirty beyond this is purged without waiting: a share of what is in use, so that large processes need not purge
 * all the time, and room enough that small ones never do. */
static size_t dirty_limit(void)
{
    const struct qyi_frames *frames = &region.frames;
    const size_t used = (size_t)(frames->end - frames->first) * QYI_FRAME_GRANULES - frames->free_granules;
    return (DIRTY_BYTES_MIN >> QYI_GRANULE_SHIFT) + used / DIRTY_SHARE;
}

static bool exceeds_dirty_limit(void)
{
    qyi_lock(&region.lock);
    const bool exceeds = region.frames.dirty_granules > dirty_limit();
    qyi_unlock(&region.lock);
    return exceeds;
}

void qyi_region_limit_dirty(uint64_t now_ms)
{
    for (unsigned queue = 0; queue < QYI_FRAME_QUEUES; queue++) {
        bool more = true;
        while (more && exceeds_dirty_limit())
            (void)purge_next(queue, now_ms, 0, 1, &more);
    }
}

size_t qyi_region_dirty(void)
{
    qyi_lock(&region.lock);
    const size_t granules = region.frames.dirty_granules;
    qyi_unlock(&region.lock);
    return granules << QYI_GRANULE_SHIFT;
}

/* ---- start, limits, fork ---- */

/* Lay the tables out at base; sizes follow from the size of the whole range. */
static void lay_out(char *base, size_t bytes)
{
    const size_t granules = bytes >> QYI_GRANULE_SHIFT;
    const size_t frames = bytes >> QYI_FRAME_SHIFT;
    const size_t gap = qyi_max(QYI_GRANULE_BYTES, qyi_os_page_bytes);
    char *next = base;
    struct {
        struct qyi_span *span;
        size_t bytes;
    } tables[] = {
        {&region.entries, QYI_ZEROS_BYTES + granules * sizeof(uint64_t)},
        {&region.records, granules * QYI_RECORD_BYTES},
        {&region.bitmaps, granules * QYI_BITMAP_BYTES},
        {&region.cells, granules * QYI_CELLS_BYTES},
        {&region.table, qyi_frames_table_bytes(frames)},
        {&region.whole, qyi_frames_whole_bytes(frames)},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        *tables[i].span = (struct qyi_span){.start = next, .bytes = qyi_align_up(tables[i].bytes, gap)};
        tables[i].span->mapped = tables[i].span == &region.entries;
        next += tables[i].span->bytes + gap;
    }
    const size_t meta_bytes = bytes / 32; /* magazines and heaps: 128 KiB a thread */
    qyi_meta_init(next, meta_bytes);
    next += meta_bytes + gap;
    next = base + qyi_align_up((size_t)(next - base), QYI_FRAME_BYTES);
    region.payload = (struct qyi_span){.start = next, .bytes = bytes - (size_t)(next - base)};
    qyi_region.first = (uint32_t)((size_t)(next - base) >> QYI_GRANULE_SHIFT);
    qyi_region.records = region.records.start - (size_t)qyi_region.first * QYI_RECORD_BYTES;
    qyi_region.bitmaps = region.bitmaps.start - (size_t)qyi_region.first * QYI_BITMAP_BYTES;
    qyi_region.cells = region.cells.start - (size_t)qyi_region.first * QYI_CELLS_BYTES;
    region.frames.table = (struct qyi_frame *)region.table.start;
    region.frames.whole = (uint64_t *)region.whole.start;
    region.frames.base = (uintptr_t)base >> QYI_FRAME_SHIFT;
    region.frames.page_granules = qyi_os_page_bytes >> QYI_GRANULE_SHIFT;
    region.frames.first = region.frames.end = qyi_region.first / QYI_FRAME_GRANULES;
}

/* Every entry can be read from the start, so that free needs to compare with the whole range only; unused ones are 0.
 */
static bool show_entries(void)
{
    struct qyi_span *entries = &region.entries;
    return qyi_span_reserved ? qyi_os_show(entries->start, entries->bytes)
                             : qyi_os_show_at(entries->start, entries->bytes);
}

/* What an unsuccessful try has mapped, where there is no reservation. */
static QYI_COLD void unmap_spans(void)
{
    struct qyi_span *spans[] = {ALL_SPANS};
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        const size_t mapped = spans[i]->mapped ? spans[i]->bytes : spans[i]->committed;
        if (mapped != 0)
            qyi_os_unmap(spans[i]->start, mapped);
    }
}

static bool try_range(char *base, size_t bytes)
{
    if (base == NULL)
        return false;
    lay_out(base, bytes);
    if (!show_entries())
        region.entries.mapped = false;
    else if (advance_frontier(1)) {
        /* Only now: other threads may be on their fast paths, which read zeros at either base. */
        qyi_region.base = (uintptr_t)base;
        qyi_region.bytes = bytes;
        return true;
    }
    if (qyi_span_reserved)
        qyi_os_unmap(base, bytes);
    else
        unmap_spans();
    return false;
}

/* Choose addresses without reserving them: high up, far from where the kernel puts mappings of its own choice. */
static QYI_COLD bool init_limited(size_t limit)
{
    const size_t bytes = qyi_max(RESERVE_LAST, qyi_power_of_two_up(qyi_min(limit, (size_t)1 << 46)));
    qyi_span_reserved = false;
    static const unsigned address_bits[] = {45, 44, 43, 38, 37, 36};
    for (size_t i = 0; i < sizeof address_bits / sizeof address_bits[0]; i++) {
        const uintptr_t low = (uintptr_t)1 << address_bits[i];
        if (bytes > low / 2)
            continue;
        const uintptr_t place = low + (qyi_os_random() >> i) % (low / 2);
        if (try_range((char *)qyi_align_down(place, QYI_FRAME_BYTES), bytes)) /* NOLINT(performance-no-int-to-ptr) */
            return true;
    }
    qyi_span_reserved = true;
    return false;
}

bool qyi_region_init(void)
{
    if (qyi_region.bytes != 0)
        return true; /* it was what came after that failed */
    qyi_os_init();
    const size_t limit = qyi_os_address_space_limit();
    if (limit != SIZE_MAX && init_limited(limit))
        return true;
    size_t bytes = qyi_max(RESERVE_MIN, qyi_power_of_two_up(4 * qyi_os_memory_bytes()));
    for (; bytes >= RESERVE_LAST; bytes /= 2) {
        if (try_range(qyi_os_reserve(bytes, QYI_FRAME_BYTES), bytes))
            return true;
    }
    return false;
}

bool qyi_region_is_mine(void)
{
    return qyi_lock_is_mine(&region.lock);
}

void qyi_region_advise(void)
{
    qyi_lock(&region.lock);
    if (region.payload.committed != 0)
        advise(region.payload.start, region.payload.committed);
    qyi_unlock(&region.lock);
}

QYI_COLD void qyi_region_unreserve(void)
{
    qyi_lock(&region.lock);
    qyi_lock(qyi_meta_lock());
    if (qyi_span_reserved && qyi_region.bytes != 0) {
        struct qyi_span *spans[] = {ALL_SPANS};
        for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
            if (!spans[i]->mapped)
                qyi_os_unmap(spans[i]->start + spans[i]->committed, spans[i]->bytes - spans[i]->committed);
        qyi_meta_unreserve();
        qyi_span_reserved = false;
    }
    qyi_unlock(qyi_meta_lock());
    qyi_unlock(&region.lock);
}

/* I1: the entries say which granules are free; whether they are clean is not known, so all count as dirty. */
static QYI_COLD void rebuild_frames(void)
{
    struct qyi_frames *frames = &region.frames;
    qyi_frames_reset(frames, atomic_load_explicit(&qyi_region.end, memory_order_relaxed) / QYI_FRAME_GRANULES);
    for (uint32_t number = frames->first; number < frames->end; number++) {
        uint64_t free = 0;
        for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++) {
            if (qyi_entry((size_t)number * QYI_FRAME_GRANULES + i) == 0)
                free |= (uint64_t)1 << i;
        }
        if (free != 0)
            qyi_frames_give_bits(frames, number, free, free);
    }
}

/* One of this thread (fork in a signal handler) goes on: its granules stay in its hand. Rebuilding has freed what the others had. */
static QYI_COLD void keep_purges_of(uint32_t thread)
{
    for (size_t i = 0; i < PURGES_MAX; i++) {
        struct purge *purge = &region.purges_under_way[i];
        if (purge->thread != thread || thread == 0) {
            purge->thread = 0;
            continue;
        }
        for (size_t j = 0; j < purge->ripe.count; j++)
            qyi_frames_take_bits(&region.frames, purge->ripe.first + (uint32_t)j, purge->ripe.bits);
    }
    region.survivor = 0;
}

QYI_COLD bool qyi_region_after_fork(void)
{
    const bool rebuild = qyi_lock_after_fork(&region.lock);
    const uint32_t survivor = qyi_lock_newcomer ? 0 : qyi_lock_me();
    if (rebuild) {
        rebuild_frames();
        keep_purges_of(survivor);
    } else if (qyi_lock_is_mine(&region.lock)) {
        region.survivor = survivor; /* it is in the middle of something: later, with the lock */
    } else {
        drop_purges_but(survivor);
    }
    return rebuild;
}

void qyi_region_totals(struct qyi_region_totals *totals)
{
    qyi_lock(&region.lock);
    totals->payload = (size_t)(region.frames.end - region.frames.first) << QYI_FRAME_SHIFT;
    totals->dirty = region.frames.dirty_granules << QYI_GRANULE_SHIFT;
    totals->clean = (region.frames.free_granules - region.frames.dirty_granules) << QYI_GRANULE_SHIFT;
    totals->used = totals->payload - totals->dirty - totals->clean;
    totals->tables = region.entries.committed + region.records.committed + region.bitmaps.committed +
                     region.cells.committed + region.table.committed + region.whole.committed;
    totals->purges = region.purges;
    totals->purged_bytes = region.purged_bytes;
    qyi_unlock(&region.lock);
}

QYI_COLD uint64_t qyi_region_clean(uint32_t first)
{
    qyi_lock(&region.lock);
    const struct qyi_frame *frame = &region.frames.table[first / QYI_FRAME_GRANULES];
    const uint64_t clean = frame->free & ~frame->dirty;
    qyi_unlock(&region.lock);
    return clean;
}

QYI_COLD size_t qyi_region_resident(void)
{
    struct qyi_span *const spans[] = {ALL_SPANS};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        qyi_lock(&region.lock);
        char *start = spans[i]->start;
        const size_t committed = spans[i]->committed;
        qyi_unlock(&region.lock);
        bytes += qyi_os_resident(start, committed);
    }
    return bytes;
}

QYI_COLD void qyi_region_validate(void)
{
    qyi_lock(&region.lock);
    qyi_frames_validate(&region.frames);
    for (uint32_t number = region.frames.first; number < region.frames.end; number++) {
        for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++) {
            if (region.frames.table[number].free >> i & 1)
                qyi_assert(qyi_entry((size_t)number * QYI_FRAME_GRANULES + i) == 0); /* I1 */
        }
    }
    qyi_unlock(&region.lock);
}

/*
 * region.c: granule runs, the frames they lie in, and giving memory back. Layer 2.
 *
 * A frame is 2 MiB, one huge page, 64 granules. A run shorter than a frame lies within one; a longer one starts at a
 * frame and may end within one. Placement fills the fullest frame that fits, so that other frames become free as a
 * whole.
 *
 *     partial[n]   frames with n free granules, 1 to 63
 *     whole        bitmap of the frames that are free altogether
 *     aging[]      frames with dirty granules, least recently visited first: one queue for whole frames, one for others
 *
 * A free granule is dirty from the time it is given back until it is purged; only dirty ones can hold old bytes. A
 * frame in a queue is visited every half of the purge delay: granules that were dirty at the last visit already, and
 * not used since, are purged; those that have become dirty since are marked aged for the next visit.
 *
 * I1  free bit of a granule is set  <=>  its entry is 0 and no purge has it in hand.
 * I2  aged is a subset of dirty, dirty of free.
 * I3  a frame is on partial[popcount(free)] if that is 1 to 63, in `whole` if it is 64, and in one of the queues iff
 *     dirty != 0.
 * I4  entries are written before a run's address is known to anybody, and cleared while nobody else has it.
 *
 * All of this is guarded by the region lock. After fork the frames are rebuilt from the entries if the lock was held
 * (I1).
 */
#include "region.h"

#include "fatal.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "span.h"

#include <string.h>

#define ALL_GRANULES UINT64_MAX

enum { NO_FRAME = 0 }; /* frame 0 holds tables, never payload */

struct frame {
    uint64_t free;                   /* a bit per granule */
    uint64_t dirty;                  /* of these, the ones that may hold old bytes */
    uint64_t aged;                   /* of these, the ones that were dirty at the last visit */
    uint32_t next, prev;             /* in partial[] */
    uint32_t aging_next, aging_prev; /* in a queue */
    uint16_t visited;                /* when it was put into its queue: milliseconds >> VISITED_SHIFT; wraps */
    uint8_t count;                   /* free granules, as the lists know it */
    uint8_t queue;                   /* 1 + number of the queue it is in, or 0 */
};

static_assert(sizeof(struct frame) <= QYI_CACHE_LINE, "small beside what it describes");

struct queue {
    uint32_t head, tail;
};

enum { WHOLE_FRAMES, PART_FRAMES, QUEUE_COUNT };

static char no_region[QYI_ZEROS_BYTES]; /* never written; a page of zeros that is not of a file costs nothing */

/* Granules that a thread is purging, without the lock. They are on its stack. */
struct purge {
    struct purge *next;
    uint32_t thread; /* qyi_lock_me */
    uint32_t first;  /* a frame */
    size_t count;    /* whole frames, or 1 */
    uint64_t bits;   /* granules of each frame */
};

QYI_LINE_ALIGNED struct qyi_region qyi_region = {.base = (uintptr_t)no_region};

static const size_t RESERVE_MIN = (size_t)64 << 30;  /* wanted at least ... */
static const size_t RESERVE_LAST = (size_t)64 << 20; /* ... and the last try */
static const size_t COMMIT_STEP = (size_t)4 << 20;
static const size_t COMMIT_STEP_MAX = (size_t)64 << 20;
static const size_t TABLE_STEP = (size_t)64 << 10;
static const size_t CELLS_STEP = (size_t)1280 << 10;
static const unsigned FRAMES_TRIED = 8; /* of each fullness, before an emptier one is looked at */
static const size_t PURGE_FRAMES_AT_ONCE = 32;
static const size_t DIRTY_BYTES_MIN = (size_t)8 << 20;
static const size_t DIRTY_SHARE = 8;
enum { VISITED_SHIFT = 4 };

static struct {
    struct qyi_lock lock;
    struct qyi_span entries, records, bitmaps, cells, frames, whole, payload;
    _Atomic size_t cells_reached; /* what cells.committed was, for those without the lock */
    size_t dirty_granules, free_granules;
    struct purge *purges_under_way;  /* their granules are neither free nor used */
    uint32_t frame_first, frame_end; /* payload frames up to the frontier */
    uint32_t partial[QYI_FRAME_GRANULES];
    struct queue aging[QUEUE_COUNT];
    uint64_t purges, purged_bytes;
} region;

const struct qyi_extent qyi_region_extent = {&region, sizeof region};

#define ALL_SPANS \
    &region.entries, &region.records, &region.bitmaps, &region.cells, &region.frames, &region.whole, &region.payload

/* ---- small parts ---- */

static struct frame *frame_at(uint32_t number)
{
    return (struct frame *)region.frames.start + number;
}

static uint64_t *whole_word(uint32_t number)
{
    return (uint64_t *)region.whole.start + number / 64;
}

static bool is_whole(uint32_t number)
{
    return *whole_word(number) >> (number % 64) & 1;
}

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

/* ---- lists ---- */

static void partial_remove(uint32_t number)
{
    struct frame *frame = frame_at(number);
    if (frame->prev != NO_FRAME)
        frame_at(frame->prev)->next = frame->next;
    else
        region.partial[frame->count] = frame->next;
    if (frame->next != NO_FRAME)
        frame_at(frame->next)->prev = frame->prev;
}

static void partial_insert(uint32_t number)
{
    struct frame *frame = frame_at(number);
    frame->prev = NO_FRAME;
    frame->next = region.partial[frame->count];
    if (frame->next != NO_FRAME)
        frame_at(frame->next)->prev = number;
    region.partial[frame->count] = number;
}

static void aging_remove(uint32_t number)
{
    struct frame *frame = frame_at(number);
    struct queue *queue = &region.aging[frame->queue - 1];
    if (frame->aging_prev != NO_FRAME)
        frame_at(frame->aging_prev)->aging_next = frame->aging_next;
    else
        queue->head = frame->aging_next;
    if (frame->aging_next != NO_FRAME)
        frame_at(frame->aging_next)->aging_prev = frame->aging_prev;
    else
        queue->tail = frame->aging_prev;
    frame->queue = 0;
}

static void aging_append(uint32_t number, unsigned which)
{
    struct frame *frame = frame_at(number);
    struct queue *queue = &region.aging[which];
    frame->queue = (uint8_t)(which + 1);
    frame->aging_next = NO_FRAME;
    frame->aging_prev = queue->tail;
    if (queue->tail != NO_FRAME)
        frame_at(queue->tail)->aging_next = number;
    else
        queue->head = number;
    queue->tail = number;
}

/* Put the frame where its free and dirty bits say it belongs (I3). */
static void frame_relist(uint32_t number)
{
    struct frame *frame = frame_at(number);
    const unsigned count = qyi_popcount(frame->free);
    if (count != frame->count) {
        if (frame->count == QYI_FRAME_GRANULES)
            *whole_word(number) &= ~((uint64_t)1 << number % 64);
        else if (frame->count != 0)
            partial_remove(number);
        frame->count = (uint8_t)count;
        if (count == QYI_FRAME_GRANULES)
            *whole_word(number) |= (uint64_t)1 << number % 64;
        else if (count != 0)
            partial_insert(number);
    }
    const unsigned queue = frame->dirty == 0 ? 0 : 1 + (count == QYI_FRAME_GRANULES ? WHOLE_FRAMES : PART_FRAMES);
    if (queue != frame->queue) {
        if (frame->queue != 0)
            aging_remove(number);
        if (queue != 0)
            aging_append(number, queue - 1);
    }
}

/* Take granules of a frame; returns those of them that are dirty. */
static uint64_t frame_take(uint32_t number, uint64_t bits)
{
    struct frame *frame = frame_at(number);
    qyi_assert((frame->free & bits) == bits);
    const uint64_t dirty = frame->dirty & bits;
    frame->free &= ~bits;
    frame->dirty &= ~bits;
    frame->aged &= ~bits;
    region.free_granules -= (size_t)qyi_popcount(bits);
    region.dirty_granules -= (size_t)qyi_popcount(dirty);
    frame_relist(number);
    return dirty;
}

/* *now_ms: 0, or the time, read when the first frame needs it. */
static void frame_give(uint32_t number, uint64_t bits, uint64_t dirty, uint64_t *now_ms)
{
    struct frame *frame = frame_at(number);
    qyi_assert((frame->free & bits) == 0);
    frame->free |= bits;
    frame->dirty |= dirty;
    region.free_granules += (size_t)qyi_popcount(bits);
    region.dirty_granules += (size_t)qyi_popcount(dirty);
    if (frame->queue == 0 && dirty != 0) {
        if (*now_ms == 0)
            *now_ms = qyi_os_now_ms();
        frame->visited = (uint16_t)(*now_ms >> VISITED_SHIFT);
    }
    frame_relist(number);
}

/* The granules [first, first + count) of the region that lie in the frame of first. */
static uint64_t frame_bits(uint32_t first, size_t count, size_t *taken)
{
    const unsigned from = first % QYI_FRAME_GRANULES;
    *taken = qyi_min(count, QYI_FRAME_GRANULES - from);
    return qyi_mask64(from, (unsigned)*taken);
}

/* ---- finding room ---- */

/* The positions in a word where count consecutive bits are set. */
static uint64_t run_starts(uint64_t bits, size_t count)
{
    while (count > 1 && bits != 0) {
        const size_t half = count / 2;
        bits &= bits >> half;
        count -= half;
    }
    return bits;
}

/* The granules of a frame whose address is a multiple of align granules (at most a frame): frames are aligned themselves. */
static uint64_t aligned_positions(size_t align)
{
    QYI_NEAR static uint64_t every[] = {0xffffffffffffffff, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
                                        0x0001000100010001, 0x0000000100000001, 0x0000000000000001};
    return every[qyi_log2(align)];
}

/* A run within one frame, or 0. Dirty granules first: they are resident already. */
static uint32_t fit_in_frame(uint32_t number, size_t granules, size_t align)
{
    const struct frame *frame = frame_at(number);
    const uint64_t allowed = aligned_positions(align);
    uint64_t starts = run_starts(frame->dirty, granules) & allowed;
    if (starts == 0)
        starts = run_starts(frame->free, granules) & allowed;
    return starts == 0 ? 0 : number * QYI_FRAME_GRANULES + qyi_ctz(starts);
}

static uint32_t fit_in_partial(size_t granules, size_t align, unsigned tries)
{
    for (size_t count = granules; count < QYI_FRAME_GRANULES; count++) {
        unsigned tried = 0;
        for (uint32_t number = region.partial[count]; number != NO_FRAME && tried < tries;
             number = frame_at(number)->next, tried++) {
            const uint32_t first = fit_in_frame(number, granules, align);
            if (first != 0)
                return first;
        }
    }
    return 0;
}

/* The first number >= from whose `whole` bit is set (or clear); at most end. */
static uint32_t next_frame(uint32_t from, uint32_t end, bool set)
{
    while (from < end) {
        const uint64_t word = set ? *whole_word(from) : ~*whole_word(from);
        const uint64_t rest = word >> from % 64;
        if (rest != 0)
            return (uint32_t)qyi_min(end, from + qyi_ctz(rest));
        from = (from / 64 + 1) * 64;
    }
    return end;
}

/* The first frame at or after number whose address is a multiple of align granules; frames count from the base,
 * alignment from 0. */
static uint32_t aligned_frame(uint32_t number, size_t align)
{
    const size_t frames = align / QYI_FRAME_GRANULES;
    if (frames <= 1)
        return number;
    const size_t base = qyi_region.base >> QYI_FRAME_SHIFT;
    const size_t aligned = qyi_align_up(base + number, frames) - base;
    return aligned > UINT32_MAX ? UINT32_MAX : (uint32_t)aligned;
}

/* A run that starts at a whole frame, or 0. */
static uint32_t fit_in_whole(size_t granules, size_t align)
{
    const size_t frames = granules / QYI_FRAME_GRANULES;
    const size_t rest = granules % QYI_FRAME_GRANULES;
    const uint64_t rest_bits = rest == 0 ? 0 : qyi_mask64(0, (unsigned)rest);
    if (frames == 0 && align <= QYI_FRAME_GRANULES && region.aging[WHOLE_FRAMES].tail != NO_FRAME)
        return region.aging[WHOLE_FRAMES].tail *
               QYI_FRAME_GRANULES; /* the most recently freed: resident, perhaps in cache */
    const uint32_t end = region.frame_end;
    uint32_t number = region.frame_first;
    for (;;) {
        number = aligned_frame(next_frame(number, end, true), align);
        if (number >= end || (size_t)(end - number) * QYI_FRAME_GRANULES < granules)
            return 0;
        const uint32_t want = (uint32_t)qyi_min(end, number + qyi_max(frames, 1));
        const uint32_t stop = next_frame(number, want, false);
        if (stop == want &&
            (rest == 0 || frames == 0 || (stop < end && (frame_at(stop)->free & rest_bits) == rest_bits)))
            return number * QYI_FRAME_GRANULES;
        number = stop == number ? number + 1 : stop;
    }
}

/* ---- the frontier ---- */

static bool reach_tables(uint32_t frame_end)
{
    const size_t granules = (size_t)frame_end * QYI_FRAME_GRANULES;
    return qyi_span_reach(&region.entries, QYI_ZEROS_BYTES + granules * sizeof(uint64_t), TABLE_STEP) &&
           qyi_span_reach(&region.records, (granules - qyi_region.first) * QYI_RECORD_BYTES, TABLE_STEP) &&
           qyi_span_reach(&region.bitmaps, (granules - qyi_region.first) * QYI_BITMAP_BYTES, TABLE_STEP) &&
           qyi_span_reach(&region.frames, (size_t)frame_end * sizeof(struct frame), TABLE_STEP) &&
           qyi_span_reach(&region.whole, qyi_div_up(frame_end, 64) * sizeof(uint64_t), qyi_os_page_bytes);
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

/* Make at least frames more frames accessible. */
static bool advance_frontier(size_t frames)
{
    const size_t before = region.payload.committed;
    const size_t needed = (region.frame_end - region.frame_first + frames) * QYI_FRAME_BYTES;
    if (needed > region.payload.bytes || !reach_tables(region.frame_end + (uint32_t)frames))
        return false;
    const size_t step = qyi_min(COMMIT_STEP_MAX, qyi_max(COMMIT_STEP, qyi_power_of_two_up(before / 8 + 1)));
    if (!qyi_span_reach(&region.payload, needed, step))
        return false;
    uint32_t frame_end = region.frame_first + (uint32_t)(region.payload.committed / QYI_FRAME_BYTES);
    if (!reach_tables(frame_end)) /* the generous part will be found again by the next advance */
        frame_end = region.frame_end + (uint32_t)frames;
    advise(region.payload.start + before, region.payload.committed - before);
    uint64_t now_ms = 0;
    for (uint32_t number = region.frame_end; number < frame_end; number++)
        frame_give(number, ALL_GRANULES, 0, &now_ms);
    region.frame_end = frame_end;
    /* relaxed: for those who walk the entries, which are 0 beyond what is in use */
    atomic_store_explicit(&qyi_region.end, frame_end * QYI_FRAME_GRANULES, memory_order_relaxed);
    return true;
}

/* Frames that must be added behind the frontier so that a run fits. */
static size_t frames_missing(size_t granules, size_t align)
{
    const size_t frames = qyi_div_up(granules, QYI_FRAME_GRANULES);
    uint32_t start = region.frame_end;
    while (start > region.frame_first && is_whole(start - 1))
        start--;
    start = aligned_frame(start, align);
    const size_t end = (size_t)start + frames;
    return end > region.frame_end ? end - region.frame_end : 0;
}

static uint32_t find_room(size_t granules, size_t align)
{
    uint32_t first = 0;
    if (granules < QYI_FRAME_GRANULES && align <= QYI_FRAME_GRANULES)
        first = fit_in_partial(granules, align, FRAMES_TRIED);
    if (first == 0)
        first = fit_in_whole(granules, align);
    if (first == 0 && granules > 1 && granules < QYI_FRAME_GRANULES && align <= QYI_FRAME_GRANULES)
        first = fit_in_partial(granules, align, UINT32_MAX);
    return first;
}

/* ---- runs ---- */

/* Returns whether all of it reads as zero. */
static bool take_granules(uint32_t first, size_t granules)
{
    bool zeroed = true;
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = frame_bits(first, granules, &taken);
        if (frame_take(first / QYI_FRAME_GRANULES, bits) != 0)
            zeroed = false;
        first += (uint32_t)taken;
        granules -= taken;
    }
    return zeroed;
}

uint32_t qyi_run_take(size_t granules, size_t align, uint64_t entry, bool *zeroed)
{
    if (granules > region.payload.bytes >> QYI_GRANULE_SHIFT || align > region.payload.bytes >> QYI_GRANULE_SHIFT)
        return 0;
    qyi_lock(&region.lock);
    uint32_t first = find_room(granules, align);
    if (first == 0 && advance_frontier(frames_missing(granules, align)))
        first = find_room(granules, align);
    if (first != 0) {
        *zeroed = take_granules(first, granules);
        qyi_run_set_entries(first, granules, entry);
    }
    qyi_unlock(&region.lock);
    return first;
}

void qyi_run_give(uint32_t first, size_t granules)
{
    uint64_t now_ms = 0;
    qyi_lock(&region.lock);
    clear_entries(first, granules);
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = frame_bits(first, granules, &taken);
        frame_give(first / QYI_FRAME_GRANULES, bits, bits, &now_ms);
        first += (uint32_t)taken;
        granules -= taken;
    }
    qyi_unlock(&region.lock);
}

static bool all_free(uint32_t first, size_t granules)
{
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = frame_bits(first, granules, &taken);
        if (first / QYI_FRAME_GRANULES >= region.frame_end ||
            (frame_at(first / QYI_FRAME_GRANULES)->free & bits) != bits)
            return false;
        first += (uint32_t)taken;
        granules -= taken;
    }
    return true;
}

bool qyi_run_extend(uint32_t first, size_t granules, size_t more, bool *zeroed)
{
    const uint32_t next = first + (uint32_t)granules;
    qyi_lock(&region.lock);
    const size_t end_frame = qyi_div_up((size_t)next + more, QYI_FRAME_GRANULES);
    bool done = all_free(next, qyi_min(more, (size_t)region.frame_end * QYI_FRAME_GRANULES - next)) &&
                (end_frame <= region.frame_end || advance_frontier(end_frame - region.frame_end)) &&
                all_free(next, more);
    if (done) {
        *zeroed = take_granules(next, more);
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

static bool is_due(const struct frame *frame, uint64_t now_ms, uint64_t age_ms)
{
    return (uint16_t)((now_ms >> VISITED_SHIFT) - frame->visited) >= age_ms >> VISITED_SHIFT;
}

/* Visit a frame that is due. Returns the granules to purge now; age 0: all dirty ones. */
static uint64_t visit(uint32_t number, uint64_t now_ms, uint64_t age_ms)
{
    struct frame *frame = frame_at(number);
    const uint64_t ripe = age_ms == 0 ? frame->dirty : frame->aged;
    const unsigned queue = frame->queue;
    frame->aged = frame->dirty;
    frame->visited = (uint16_t)(now_ms >> VISITED_SHIFT);
    aging_remove(number);
    aging_append(number, queue - 1);
    return ripe;
}

/*
 * Take in hand what is ripe in the next frame that is due and, with a whole frame, in neighbours that are whole and due
 * too: these go in one call. False: no frame is due.
 */
static bool take_ripe(unsigned which, uint64_t now_ms, uint64_t age_ms, size_t frames_most, struct purge *purge)
{
    uint32_t number = region.aging[which].head;
    *purge = (struct purge){.next = region.purges_under_way, .thread = qyi_lock_me(), .first = number};
    const size_t most = which == WHOLE_FRAMES ? frames_most : 1;
    bool visited = false;
    while (purge->count < most && number != NO_FRAME && number < region.frame_end) {
        const struct frame *frame = frame_at(number);
        if (frame->queue != which + 1 || !is_due(frame, now_ms, age_ms / 2))
            break;
        const uint64_t ripe = visit(number, now_ms, age_ms);
        visited = true;
        if (ripe == 0 || (which == WHOLE_FRAMES && ripe != frame->dirty))
            break;
        /* Clean granules of a whole frame go along: one range, and its tables with it. */
        purge->bits = which == WHOLE_FRAMES ? ALL_GRANULES : ripe;
        frame_take(number, purge->bits);
        purge->count++;
        number++;
    }
    if (purge->count != 0)
        region.purges_under_way = purge;
    return visited;
}

/* Records and bitmaps of whole frames, as far as they fill pages. A refusal does not matter: they are zero where it
 * counts. */
static void purge_tables(uint32_t first, size_t frames)
{
    const size_t record_bytes = QYI_FRAME_GRANULES * QYI_RECORD_BYTES;
    const size_t bitmap_bytes = QYI_FRAME_GRANULES * QYI_BITMAP_BYTES;
    if (record_bytes % qyi_os_page_bytes == 0)
        qyi_os_purge(qyi_granule_record(first * QYI_FRAME_GRANULES), frames * record_bytes);
    if (bitmap_bytes % qyi_os_page_bytes == 0)
        qyi_os_purge(qyi_granule_bitmaps(first * QYI_FRAME_GRANULES), frames * bitmap_bytes);
    char *cells = qyi_granule_cells((size_t)first * QYI_FRAME_GRANULES);
    const size_t cells_bytes = frames * QYI_FRAME_GRANULES * QYI_CELLS_BYTES;
    if (cells + cells_bytes <= region.cells.start + atomic_load_explicit(&region.cells_reached, memory_order_relaxed))
        qyi_os_purge(cells, cells_bytes);
}

static bool purge_run(const struct purge *purge)
{
    uint64_t bits = purge->bits;
    bool done = true;
    while (bits != 0) {
        const unsigned from = qyi_ctz(bits);
        const unsigned count = bits >> from == UINT64_MAX ? 64 : qyi_ctz(~(bits >> from));
        const size_t bytes = (purge->count - 1) * QYI_FRAME_BYTES + ((size_t)count << QYI_GRANULE_SHIFT);
        done &= qyi_os_purge(qyi_granule_address(purge->first * QYI_FRAME_GRANULES + from), bytes);
        bits &= ~qyi_mask64(from, count);
    }
    if (purge->bits == ALL_GRANULES)
        purge_tables(purge->first, purge->count);
    return done;
}

static void drop_purge(const struct purge *purge, bool done)
{
    struct purge **link = &region.purges_under_way;
    while (*link != purge)
        link = &(*link)->next;
    *link = purge->next;
    uint64_t now_ms = 0;
    for (size_t i = 0; i < purge->count; i++)
        frame_give(purge->first + (uint32_t)i, purge->bits, done ? 0 : purge->bits, &now_ms);
}

/* Returns the bytes that are clean now. */
static size_t finish_purge(const struct purge *purge, bool done)
{
    drop_purge(purge, done);
    if (!done)
        return 0;
    const size_t bytes = purge->count * (size_t)qyi_popcount(purge->bits) << QYI_GRANULE_SHIFT;
    region.purges++;
    region.purged_bytes += bytes;
    return bytes;
}

/* The next purge of a queue. Returns its bytes; *more: it was not the last one. */
static size_t purge_next(unsigned which, uint64_t now_ms, uint64_t age_ms, size_t frames_most, bool *more)
{
    struct purge purge;
    qyi_lock(&region.lock);
    const bool visited = take_ripe(which, now_ms, age_ms, frames_most, &purge);
    qyi_unlock(&region.lock);
    *more = visited;
    if (!visited || purge.count == 0)
        return 0;
    const bool done = purge_run(&purge);
    qyi_lock(&region.lock);
    const size_t bytes = finish_purge(&purge, done);
    qyi_unlock(&region.lock);
    *more = bytes != 0; /* refused: it would be refused again */
    return bytes;
}

size_t qyi_region_purge(uint64_t now_ms, uint64_t age_ms)
{
    size_t total = 0;
    for (unsigned which = 0; which < QUEUE_COUNT; which++) {
        bool more = true;
        while (more)
            total += purge_next(which, now_ms, age_ms, PURGE_FRAMES_AT_ONCE, &more);
    }
    return total;
}

/* What is dirty beyond this is purged without waiting: a share of what is in use, so that large processes need not purge
 * all the time, and room enough that small ones never do. */
static size_t dirty_limit(void)
{
    const size_t used = (size_t)(region.frame_end - region.frame_first) * QYI_FRAME_GRANULES - region.free_granules;
    return (DIRTY_BYTES_MIN >> QYI_GRANULE_SHIFT) + used / DIRTY_SHARE;
}

static bool exceeds_dirty_limit(void)
{
    qyi_lock(&region.lock);
    const bool exceeds = region.dirty_granules > dirty_limit();
    qyi_unlock(&region.lock);
    return exceeds;
}

void qyi_region_limit_dirty(uint64_t now_ms)
{
    for (unsigned which = 0; which < QUEUE_COUNT; which++) {
        bool more = true;
        while (more && exceeds_dirty_limit())
            (void)purge_next(which, now_ms, 0, 1, &more);
    }
}

size_t qyi_region_dirty(void)
{
    return region.dirty_granules << QYI_GRANULE_SHIFT;
}

/* ---- start, limits, fork ---- */

/* Lay the tables out at base; sizes follow from the size of the whole range. */
static void lay_out(char *base, size_t bytes)
{
    const size_t granules = bytes >> QYI_GRANULE_SHIFT;
    const size_t frames = bytes >> QYI_FRAME_SHIFT;
    char *next = base;
    struct {
        struct qyi_span *span;
        size_t bytes;
    } tables[] = {
        {&region.entries, QYI_ZEROS_BYTES + granules * sizeof(uint64_t)},
        {&region.records, granules * QYI_RECORD_BYTES},
        {&region.bitmaps, granules * QYI_BITMAP_BYTES},
        {&region.cells, granules * QYI_CELLS_BYTES},
        {&region.frames, frames * sizeof(struct frame)},
        {&region.whole, frames / 8},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        *tables[i].span = (struct qyi_span){.start = next, .bytes = qyi_align_up(tables[i].bytes, QYI_GRANULE_BYTES)};
        tables[i].span->mapped = tables[i].span == &region.entries;
        next += tables[i].span->bytes + QYI_GRANULE_BYTES; /* the gap */
    }
    const size_t meta_bytes = bytes / 32; /* magazines and heaps: 128 KiB a thread */
    qyi_meta_init(next, meta_bytes);
    next += meta_bytes + QYI_GRANULE_BYTES;
    next = base + qyi_align_up((size_t)(next - base), QYI_FRAME_BYTES);
    region.payload = (struct qyi_span){.start = next, .bytes = bytes - (size_t)(next - base)};
    qyi_region.first = (uint32_t)((size_t)(next - base) >> QYI_GRANULE_SHIFT);
    qyi_region.records = region.records.start - (size_t)qyi_region.first * QYI_RECORD_BYTES;
    qyi_region.bitmaps = region.bitmaps.start - (size_t)qyi_region.first * QYI_BITMAP_BYTES;
    qyi_region.cells = region.cells.start - (size_t)qyi_region.first * QYI_CELLS_BYTES;
    region.frame_first = region.frame_end = qyi_region.first / QYI_FRAME_GRANULES;
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
static void unmap_spans(void)
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
static bool init_limited(size_t limit)
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
static void rebuild_frames(void)
{
    memset(region.partial, 0, sizeof region.partial);
    memset(region.aging, 0, sizeof region.aging);
    region.dirty_granules = region.free_granules = 0;
    region.frame_end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed) / QYI_FRAME_GRANULES;
    uint64_t now_ms = 0;
    for (uint32_t number = region.frame_first; number < region.frame_end; number++) {
        *frame_at(number) = (struct frame){0};
        *whole_word(number) &= ~((uint64_t)1 << number % 64);
        uint64_t free = 0;
        for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++) {
            if (qyi_entry((size_t)number * QYI_FRAME_GRANULES + i) == 0)
                free |= (uint64_t)1 << i;
        }
        if (free != 0)
            frame_give(number, free, free, &now_ms);
    }
}

/*
 * Purges of threads that are gone end here, as if refused. One of this thread (fork in a signal handler) goes on, so its
 * granules stay in its hand.
 */
static void drop_purges_of_others(void)
{
    struct purge *next;
    for (struct purge *purge = region.purges_under_way; purge != NULL; purge = next) {
        next = purge->next;
        if (purge->thread != qyi_lock_me())
            drop_purge(purge, false);
    }
}

static void keep_own_purges(void)
{
    struct purge **link = &region.purges_under_way;
    while (*link != NULL) {
        const struct purge *purge = *link;
        if (purge->thread != qyi_lock_me()) {
            *link = purge->next; /* rebuilding has freed what it held */
            continue;
        }
        for (size_t i = 0; i < purge->count; i++)
            frame_take(purge->first + (uint32_t)i, purge->bits);
        link = &(*link)->next;
    }
}

QYI_COLD bool qyi_region_after_fork(void)
{
    const bool rebuild = qyi_lock_after_fork(&region.lock);
    if (rebuild) {
        rebuild_frames();
        keep_own_purges();
    } else if (!qyi_lock_is_mine(&region.lock)) {
        drop_purges_of_others();
    }
    return rebuild;
}

void qyi_region_totals(struct qyi_region_totals *totals)
{
    qyi_lock(&region.lock);
    totals->payload = (size_t)(region.frame_end - region.frame_first) << QYI_FRAME_SHIFT;
    totals->dirty = region.dirty_granules << QYI_GRANULE_SHIFT;
    totals->clean = (region.free_granules - region.dirty_granules) << QYI_GRANULE_SHIFT;
    totals->used = totals->payload - totals->dirty - totals->clean;
    totals->tables = region.entries.committed + region.records.committed + region.bitmaps.committed +
                     region.cells.committed + region.frames.committed + region.whole.committed;
    totals->purges = region.purges;
    totals->purged_bytes = region.purged_bytes;
    qyi_unlock(&region.lock);
}

QYI_COLD uint64_t qyi_region_clean(uint32_t first)
{
    qyi_lock(&region.lock);
    const struct frame *frame = frame_at(first / QYI_FRAME_GRANULES);
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
    size_t free_granules = 0;
    size_t dirty_granules = 0;
    for (uint32_t number = region.frame_first; number < region.frame_end; number++) {
        const struct frame *frame = frame_at(number);
        const unsigned count = qyi_popcount(frame->free);
        free_granules += count;
        dirty_granules += (size_t)qyi_popcount(frame->dirty);
        qyi_assert((frame->dirty & ~frame->free) == 0);                /* I2 */
        qyi_assert((frame->aged & ~frame->dirty) == 0);                /* I2 */
        qyi_assert(frame->count == count);                             /* I3 */
        qyi_assert(is_whole(number) == (count == QYI_FRAME_GRANULES)); /* I3 */
        qyi_assert((frame->queue != 0) == (frame->dirty != 0));        /* I3 */
        for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++) {
            if (frame->free >> i & 1)
                qyi_assert(qyi_entry((size_t)number * QYI_FRAME_GRANULES + i) == 0); /* I1 */
        }
    }
    qyi_assert(free_granules == region.free_granules);
    qyi_assert(dirty_granules == region.dirty_granules);
    for (unsigned count = 1; count < QYI_FRAME_GRANULES; count++) {
        for (uint32_t number = region.partial[count]; number != NO_FRAME; number = frame_at(number)->next)
            qyi_assert(frame_at(number)->count == count); /* I3 */
    }
    qyi_unlock(&region.lock);
}

/*
 * frame.c: frames of granules, the lists they are on, and finding room in them. Layer 2.
 *
 * F1  aged is a subset of dirty, dirty of free.
 * F2  a frame is on partial[popcount(free)] if that is 1 to 63, in `whole` if it is 64, and in one of the queues iff
 *     dirty != 0.
 */
#include "frame.h"

#include "fatal.h"
#include "os.h"

#include <string.h>

enum { NO_FRAME = 0 };

enum { VISITED_SHIFT = 4 };

static const unsigned FRAMES_TRIED = 8; /* of each fullness, before an emptier one is looked at */

static struct qyi_frame *at(const struct qyi_frames *frames, uint32_t number)
{
    return &frames->table[number];
}

static bool is_whole(const struct qyi_frames *frames, uint32_t number)
{
    return frames->whole[number / 64] >> (number % 64) & 1;
}

/* ---- lists ---- */

static void partial_remove(struct qyi_frames *frames, uint32_t number)
{
    struct qyi_frame *frame = at(frames, number);
    if (frame->prev != NO_FRAME)
        at(frames, frame->prev)->next = frame->next;
    else
        frames->partial[frame->count] = frame->next;
    if (frame->next != NO_FRAME)
        at(frames, frame->next)->prev = frame->prev;
}

static void partial_insert(struct qyi_frames *frames, uint32_t number)
{
    struct qyi_frame *frame = at(frames, number);
    frame->prev = NO_FRAME;
    frame->next = frames->partial[frame->count];
    if (frame->next != NO_FRAME)
        at(frames, frame->next)->prev = number;
    frames->partial[frame->count] = number;
}

static void aging_remove(struct qyi_frames *frames, uint32_t number)
{
    struct qyi_frame *frame = at(frames, number);
    struct qyi_frame_queue *queue = &frames->aging[frame->queue - 1];
    if (frame->aging_prev != NO_FRAME)
        at(frames, frame->aging_prev)->aging_next = frame->aging_next;
    else
        queue->head = frame->aging_next;
    if (frame->aging_next != NO_FRAME)
        at(frames, frame->aging_next)->aging_prev = frame->aging_prev;
    else
        queue->tail = frame->aging_prev;
    frame->queue = 0;
}

static void aging_append(struct qyi_frames *frames, uint32_t number, unsigned which)
{
    struct qyi_frame *frame = at(frames, number);
    struct qyi_frame_queue *queue = &frames->aging[which];
    frame->queue = (uint8_t)(which + 1);
    frame->aging_next = NO_FRAME;
    frame->aging_prev = queue->tail;
    if (queue->tail != NO_FRAME)
        at(frames, queue->tail)->aging_next = number;
    else
        queue->head = number;
    queue->tail = number;
}

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

static QYI_COLD uint64_t whole_pages(uint64_t bits, size_t page_granules)
{
    const uint64_t starts = run_starts(bits, page_granules) & aligned_positions(page_granules);
    uint64_t whole = 0;
    for (size_t i = 0; i < page_granules; i++)
        whole |= starts << i;
    return whole;
}

/* Of dirty granules of a frame, those that can go back: all of a whole frame, else those that make up whole pages. */
QYI_INLINE uint64_t purgeable(const struct qyi_frames *frames, uint64_t bits, unsigned free_count)
{
    if (QYI_LIKELY(frames->page_granules <= 1) || free_count == QYI_FRAME_GRANULES)
        return bits;
    return whole_pages(bits, frames->page_granules);
}

/* Put the frame where its free and dirty bits say it belongs (F2). */
static void relist(struct qyi_frames *frames, uint32_t number)
{
    struct qyi_frame *frame = at(frames, number);
    const unsigned count = qyi_popcount(frame->free);
    if (count != frame->count) {
        if (frame->count == QYI_FRAME_GRANULES)
            frames->whole[number / 64] &= ~((uint64_t)1 << number % 64);
        else if (frame->count != 0)
            partial_remove(frames, number);
        frame->count = (uint8_t)count;
        if (count == QYI_FRAME_GRANULES)
            frames->whole[number / 64] |= (uint64_t)1 << number % 64;
        else if (count != 0)
            partial_insert(frames, number);
    }
    const unsigned queue = purgeable(frames, frame->dirty, count) == 0
                               ? 0
                               : 1 + (count == QYI_FRAME_GRANULES ? QYI_WHOLE_FRAMES : QYI_PART_FRAMES);
    if (queue != frame->queue) {
        if (frame->queue != 0)
            aging_remove(frames, number);
        if (queue != 0)
            aging_append(frames, number, queue - 1);
    }
}

/* ---- taking and giving ---- */

/* Returns those that are dirty. */
static uint64_t take_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits)
{
    struct qyi_frame *frame = at(frames, number);
    qyi_assert((frame->free & bits) == bits);
    const uint64_t dirty = frame->dirty & bits;
    frame->free &= ~bits;
    frame->dirty &= ~bits;
    frame->aged &= ~bits;
    frames->free_granules -= (size_t)qyi_popcount(bits);
    frames->dirty_granules -= (size_t)qyi_popcount(dirty);
    relist(frames, number);
    return dirty;
}

/* *now_ms: 0, or the time, read when the first frame needs it. */
static void give_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits, uint64_t dirty, uint64_t *now_ms)
{
    struct qyi_frame *frame = at(frames, number);
    qyi_assert((frame->free & bits) == 0);
    frame->free |= bits;
    frame->dirty |= dirty;
    frames->free_granules += (size_t)qyi_popcount(bits);
    frames->dirty_granules += (size_t)qyi_popcount(dirty);
    if (frame->queue == 0 && dirty != 0) {
        if (*now_ms == 0)
            *now_ms = qyi_os_now_ms();
        frame->visited = (uint16_t)(*now_ms >> VISITED_SHIFT);
    }
    relist(frames, number);
}

void qyi_frames_take_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits)
{
    (void)take_bits(frames, number, bits);
}

void qyi_frames_give_bits(struct qyi_frames *frames, uint32_t number, uint64_t bits, uint64_t dirty)
{
    uint64_t now_ms = 0;
    give_bits(frames, number, bits, dirty, &now_ms);
}

/* The granules [first, first + count) of the region that lie in the frame of first. */
static uint64_t bits_of(uint32_t first, size_t count, size_t *taken)
{
    const unsigned from = first % QYI_FRAME_GRANULES;
    *taken = qyi_min(count, QYI_FRAME_GRANULES - from);
    return qyi_mask64(from, (unsigned)*taken);
}

bool qyi_frames_have(const struct qyi_frames *frames, uint32_t first, size_t granules)
{
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = bits_of(first, granules, &taken);
        const uint32_t number = first / QYI_FRAME_GRANULES;
        if (number >= frames->end || (at(frames, number)->free & bits) != bits)
            return false;
        first += (uint32_t)taken;
        granules -= taken;
    }
    return true;
}

bool qyi_frames_take(struct qyi_frames *frames, uint32_t first, size_t granules)
{
    bool clean = true;
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = bits_of(first, granules, &taken);
        clean &= take_bits(frames, first / QYI_FRAME_GRANULES, bits) == 0;
        first += (uint32_t)taken;
        granules -= taken;
    }
    return clean;
}

void qyi_frames_give(struct qyi_frames *frames, uint32_t first, size_t granules)
{
    uint64_t now_ms = 0;
    while (granules > 0) {
        size_t taken;
        const uint64_t bits = bits_of(first, granules, &taken);
        give_bits(frames, first / QYI_FRAME_GRANULES, bits, bits, &now_ms);
        first += (uint32_t)taken;
        granules -= taken;
    }
}

/* Whatever the tables have there: a fork may have caught another thread at this. */
static void clear(struct qyi_frames *frames, uint32_t number)
{
    *at(frames, number) = (struct qyi_frame){0};
    frames->whole[number / 64] &= ~((uint64_t)1 << number % 64);
}

void qyi_frames_append(struct qyi_frames *frames, uint32_t end)
{
    for (; frames->end < end; frames->end++) {
        clear(frames, frames->end);
        qyi_frames_give_bits(frames, frames->end, QYI_ALL_GRANULES, 0);
    }
}

QYI_COLD void qyi_frames_reset(struct qyi_frames *frames, uint32_t end)
{
    memset(frames->partial, 0, sizeof frames->partial);
    memset(frames->aging, 0, sizeof frames->aging);
    frames->free_granules = frames->dirty_granules = 0;
    for (uint32_t number = frames->first; number < end; number++)
        clear(frames, number);
    frames->end = end;
}

/* ---- finding room ---- */

/* A run within one frame, or 0. Dirty granules first: they are resident already. */
static uint32_t fit_in_frame(const struct qyi_frames *frames, uint32_t number, size_t granules, size_t align)
{
    const struct qyi_frame *frame = at(frames, number);
    const uint64_t allowed = aligned_positions(align);
    uint64_t starts = run_starts(frame->dirty, granules) & allowed;
    if (starts == 0)
        starts = run_starts(frame->free, granules) & allowed;
    return starts == 0 ? 0 : number * QYI_FRAME_GRANULES + qyi_ctz(starts);
}

static uint32_t fit_in_partial(const struct qyi_frames *frames, size_t granules, size_t align, unsigned tries)
{
    for (size_t count = granules; count < QYI_FRAME_GRANULES; count++) {
        unsigned tried = 0;
        for (uint32_t number = frames->partial[count]; number != NO_FRAME && tried < tries;
             number = at(frames, number)->next, tried++) {
            const uint32_t first = fit_in_frame(frames, number, granules, align);
            if (first != 0)
                return first;
        }
    }
    return 0;
}

/* The first number >= from whose `whole` bit is set (or clear); at most end. */
static uint32_t next_frame(const struct qyi_frames *frames, uint32_t from, uint32_t end, bool set)
{
    while (from < end) {
        const uint64_t word = set ? frames->whole[from / 64] : ~frames->whole[from / 64];
        const uint64_t rest = word >> from % 64;
        if (rest != 0)
            return (uint32_t)qyi_min(end, from + qyi_ctz(rest));
        from = (from / 64 + 1) * 64;
    }
    return end;
}

/* The first frame at or after number whose address is a multiple of align granules. */
static uint32_t aligned_frame(const struct qyi_frames *frames, uint32_t number, size_t align)
{
    const size_t step = align / QYI_FRAME_GRANULES;
    if (step <= 1)
        return number;
    const size_t aligned = qyi_align_up(frames->base + number, step) - frames->base;
    return aligned > UINT32_MAX ? UINT32_MAX : (uint32_t)aligned;
}

/* A run that starts at a whole frame, or 0. */
static uint32_t fit_in_whole(const struct qyi_frames *frames, size_t granules, size_t align)
{
    const size_t full = granules / QYI_FRAME_GRANULES;
    const size_t rest = granules % QYI_FRAME_GRANULES;
    const uint64_t rest_bits = rest == 0 ? 0 : qyi_mask64(0, (unsigned)rest);
    const uint32_t latest = frames->aging[QYI_WHOLE_FRAMES].tail;
    if (full == 0 && align <= QYI_FRAME_GRANULES && latest != NO_FRAME)
        return latest * QYI_FRAME_GRANULES; /* the most recently freed: resident, perhaps in cache */
    const uint32_t end = frames->end;
    uint32_t number = frames->first;
    for (;;) {
        number = aligned_frame(frames, next_frame(frames, number, end, true), align);
        if (number >= end || (size_t)(end - number) * QYI_FRAME_GRANULES < granules)
            return 0;
        const uint32_t want = (uint32_t)qyi_min(end, number + qyi_max(full, 1));
        const uint32_t stop = next_frame(frames, number, want, false);
        if (stop == want &&
            (rest == 0 || full == 0 || (stop < end && (at(frames, stop)->free & rest_bits) == rest_bits)))
            return number * QYI_FRAME_GRANULES;
        number = stop == number ? number + 1 : stop;
    }
}

uint32_t qyi_frames_find(const struct qyi_frames *frames, size_t granules, size_t align)
{
    const bool may_be_part = granules < QYI_FRAME_GRANULES && align <= QYI_FRAME_GRANULES;
    uint32_t first = may_be_part ? fit_in_partial(frames, granules, align, FRAMES_TRIED) : 0;
    if (first == 0)
        first = fit_in_whole(frames, granules, align);
    if (first == 0 && may_be_part && granules > 1)
        first = fit_in_partial(frames, granules, align, UINT32_MAX);
    return first;
}

size_t qyi_frames_missing(const struct qyi_frames *frames, size_t granules, size_t align)
{
    uint32_t start = frames->end;
    while (start > frames->first && is_whole(frames, start - 1))
        start--;
    start = aligned_frame(frames, start, align);
    const size_t end = (size_t)start + qyi_div_up(granules, QYI_FRAME_GRANULES);
    return end > frames->end ? end - frames->end : 0;
}

/* ---- what is ripe ---- */

static bool is_due(const struct qyi_frame *frame, uint64_t now_ms, uint64_t age_ms)
{
    return (uint16_t)((now_ms >> VISITED_SHIFT) - frame->visited) >= age_ms >> VISITED_SHIFT;
}

/* Visit a frame that is due. Returns the granules that are ripe; age 0: all dirty ones that can go back. */
static uint64_t visit(struct qyi_frames *frames, uint32_t number, uint64_t now_ms, uint64_t age_ms)
{
    struct qyi_frame *frame = at(frames, number);
    const uint64_t ripe = purgeable(frames, age_ms == 0 ? frame->dirty : frame->aged, frame->count);
    const unsigned queue = frame->queue;
    frame->aged = frame->dirty;
    frame->visited = (uint16_t)(now_ms >> VISITED_SHIFT);
    aging_remove(frames, number);
    aging_append(frames, number, queue - 1);
    return ripe;
}

bool qyi_frames_take_ripe(struct qyi_frames *frames, unsigned queue, uint64_t now_ms, uint64_t age_ms, size_t most,
                          struct qyi_ripe *ripe)
{
    uint32_t number = frames->aging[queue].head;
    *ripe = (struct qyi_ripe){.first = number};
    bool visited = false;
    if (queue != QYI_WHOLE_FRAMES)
        most = 1;
    while (ripe->count < most && number != NO_FRAME && number < frames->end) {
        const struct qyi_frame *frame = at(frames, number);
        if (frame->queue != queue + 1 || !is_due(frame, now_ms, age_ms / 2))
            break;
        const uint64_t bits = visit(frames, number, now_ms, age_ms);
        visited = true;
        if (bits == 0 || (queue == QYI_WHOLE_FRAMES && bits != frame->dirty))
            break;
        /* Clean granules of a whole frame go along: one range, and its tables with it. */
        ripe->bits = queue == QYI_WHOLE_FRAMES ? QYI_ALL_GRANULES : bits;
        take_bits(frames, number, ripe->bits);
        ripe->count++;
        number++;
    }
    return visited;
}

/* ---- checks ---- */

QYI_COLD void qyi_frames_validate(const struct qyi_frames *frames)
{
    size_t free_granules = 0;
    size_t dirty_granules = 0;
    for (uint32_t number = frames->first; number < frames->end; number++) {
        const struct qyi_frame *frame = at(frames, number);
        const unsigned count = qyi_popcount(frame->free);
        free_granules += count;
        dirty_granules += (size_t)qyi_popcount(frame->dirty);
        qyi_assert((frame->dirty & ~frame->free) == 0);                                   /* F1 */
        qyi_assert((frame->aged & ~frame->dirty) == 0);                                   /* F1 */
        qyi_assert(frame->count == count);                                                /* F2 */
        qyi_assert(is_whole(frames, number) == (count == QYI_FRAME_GRANULES));            /* F2 */
        qyi_assert((frame->queue != 0) == (purgeable(frames, frame->dirty, count) != 0)); /* F2 */
    }
    qyi_assert(free_granules == frames->free_granules);
    qyi_assert(dirty_granules == frames->dirty_granules);
    for (unsigned count = 1; count < QYI_FRAME_GRANULES; count++) {
        for (uint32_t number = frames->partial[count]; number != NO_FRAME; number = at(frames, number)->next)
            qyi_assert(at(frames, number)->count == count); /* F2 */
    }
}

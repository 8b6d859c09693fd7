/*
 * pooled.c: runs of granules cut into the buffers of one pool, or of an arena (which cuts up its own granules). Layer 5.
 *
 *     up to 32 KiB    8 buffers or a granule full of them, whichever is more
 *     beyond          a run for each
 *
 * I1  a bit of the first granule's bitmap is set while that buffer exists; a run without bits is deleted.
 * I2  the cell of an idle buffer, and of one that is not made, is 0: so are all cells of a run when it is deleted.
 * I3  a buffer with a run for itself is all of it, for whatever points into the run is said to point into the buffer.
 */
#include "pooled.h"

#include "fatal.h"

enum { BUFFERS_WANTED = 8 };

void (*qyi_pooled_last)(struct qy_pool *pool, void *buffer);
void (*qyi_pooled_arena_last)(struct qyi_pooled *run, void *buffer);

static uint64_t *bits_of(const struct qyi_pooled *run)
{
    return qyi_granule_bitmaps(qyi_record_granule(run));
}

struct qyi_pooled *qyi_pooled_at(const void *p, uint64_t entry, const char *function)
{
    struct qyi_pooled *run = qyi_pooled_of(p, entry);
    if (qyi_pooled_start(p, run) != p)
        qyi_fatal_pointer(function, p, run->stride, "not the start of a block");
    return run;
}

/* What finds the cells, in all granules of the run; compare qyi_counts_set. */
static void set_counts(uint32_t first, const struct qyi_pooled *run)
{
    const size_t spread_bytes = QYI_CACHE_LINE + (size_t)run->count * QYI_CELL_SPREAD_BYTES;
    for (uint32_t i = 0; i < run->granules; i++) {
        *qyi_counts_at(first + i) = (struct qyi_counts){
            /* exact: see qyi_block_around; a run has 8 granules at most unless it is a single buffer */
            .reciprocal = run->count == 1 ? 0 : qyi_div_up((size_t)1 << QYI_RECIPROCAL_SHIFT, run->stride),
            .start = (uint64_t)first << QYI_GRANULE_SHIFT,
            .block_count = run->count,
            .cell_bytes = spread_bytes <= QYI_CELLS_BYTES ? QYI_CELL_SPREAD_BYTES : QYI_CELL_DENSE_BYTES,
            .cells = (char *)qyi_counts_at(first) + QYI_CACHE_LINE,
            .block_bytes = (uint32_t)run->stride,
            .shareable = run->count, /* at once: nobody has a buffer of it yet */
        };
    }
}

struct qyi_pooled *qyi_pooled_carve(uint32_t first, size_t granules, struct qyi_pooled owner)
{
    struct qyi_pooled *run = qyi_granule_record(first);
    *run = owner;
    run->granules = (uint32_t)granules;
    run->count = (uint32_t)((granules << QYI_GRANULE_SHIFT) / owner.stride);
    set_counts(first, run);
    qyi_run_set_entries(first, granules, QYI_ENTRY_POOLED | QYI_ENTRY_COUNTED);
    return run;
}

struct qyi_pooled *qyi_pooled_new(struct qy_pool *pool, size_t stride)
{
    const bool alone = stride > QYI_GRANULE_BYTES;
    const size_t count = alone ? 1 : qyi_max(BUFFERS_WANTED, QYI_GRANULE_BYTES / stride);
    const size_t granules = qyi_div_up(count * stride, QYI_GRANULE_BYTES);
    bool zeroed;
    /* The stride is a multiple of the buffers' alignment; runs start at one, as slabs do. */
    const size_t align = qyi_max(1, qyi_min((size_t)1 << qyi_ctz(stride), QYI_SMALL_BYTES) >> QYI_GRANULE_SHIFT);
    const uint32_t first = qyi_run_take(granules, align, QYI_ENTRY_POOLED, &zeroed);
    if (first == 0)
        return NULL;
    if (!qyi_region_reach_cells(first, granules)) {
        qyi_run_give(first, granules);
        return NULL;
    }
    if (alone)
        stride = granules << QYI_GRANULE_SHIFT; /* I3 */
    return qyi_pooled_carve(first, granules, (struct qyi_pooled){.pool = pool, .stride = stride});
}

void qyi_pooled_delete(struct qyi_pooled *run)
{
    qyi_assert(run->made == 0);
    qyi_run_give(qyi_record_granule(run), run->granules);
}

void *qyi_pooled_take(struct qyi_pooled *run)
{
    uint64_t *bits = bits_of(run);
    uint32_t word = 0;
    while (bits[word] == UINT64_MAX)
        word++;
    const uint32_t number = word * 64 + qyi_ctz(~bits[word]);
    qyi_assert(number < run->count);
    bits[word] |= (uint64_t)1 << number % 64;
    run->made++;
    return qyi_granule_address(qyi_record_granule(run)) + number * run->stride;
}

bool qyi_pooled_is_made(const struct qyi_pooled *run, const void *buffer)
{
    const uint32_t number = qyi_pooled_number(buffer);
    return number < run->count && (bits_of(run)[number / 64] >> number % 64 & 1) != 0;
}

void qyi_pooled_give(struct qyi_pooled *run, const void *buffer)
{
    const uint32_t number = qyi_pooled_number(buffer);
    bits_of(run)[number / 64] &= ~((uint64_t)1 << number % 64);
    run->made--;
}

void qyi_pooled_recount(struct qyi_pooled *run)
{
    const uint64_t *bits = bits_of(run);
    run->made = 0;
    for (uint32_t word = 0; word < qyi_div_up(run->count, 64); word++)
        run->made += qyi_popcount(bits[word]);
}

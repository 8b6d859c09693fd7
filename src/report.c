/*
 * report.c: the numbers of stats.h as text for people. Layer 6.
 *
 *     quarry VERSION: PROGRAM (pid N)       whose report it is
 *     memory                                the states of struct qyi_stats, which sum to what is mapped; what is resident
 *     work, references, pools               counters
 *     size classes                          one line for each that was used
 *     verdict: ...                          what it amounts to, see verdict.c
 *
 * It is composed without stdio and without malloc, neither of which need work at this moment, in a static buffer that
 * holds all of it; whoever finds that in use (another thread prints, or did so when this process was forked) makes do
 * with a small one, and several writes.
 */
#include "report.h"

#include "output.h"
#include "text.h"
#include "track.h"
#include "verdict.h"

#include <unistd.h>

enum {
    WHOLE_BYTES = 16 << 10, /* 70 lines of words and a line per size class */
    PART_BYTES = 512,
};

/* ---- whose ---- */

static void put_head(struct qyi_text *text)
{
    qyi_put(text, "quarry ");
    qyi_put_version(text);
    qyi_put(text, ": ");
    qyi_put_printable(text, qyi_output_program());
    qyi_put(text, " (pid ");
    qyi_put_number(text, (uint64_t)getpid());
    qyi_put(text, ")\n");
}

/* ---- memory ---- */

enum { NAME_COLUMN = 16, BYTES_COLUMN = 14, HUMAN_COLUMN = 11, SHARE_COLUMN = 7 };

/* whole 0: no share. */
static void put_memory(struct qyi_text *text, const char *name, size_t bytes, size_t whole, const char *meaning)
{
    qyi_put(text, "  ");
    qyi_put_left(text, name, NAME_COLUMN);
    qyi_put_word(text, qyi_number_word(bytes), BYTES_COLUMN);
    qyi_put_word(text, qyi_bytes_word(bytes), HUMAN_COLUMN);
    if (whole != 0)
        qyi_put_word(text, qyi_share_word(bytes, whole), SHARE_COLUMN);
    else
        qyi_put_spaces(text, SHARE_COLUMN);
    qyi_put(text, "  ");
    qyi_put(text, meaning);
    qyi_put(text, "\n");
}

static void put_totals(struct qyi_text *text, const struct qyi_stats *stats)
{
    qyi_put_left(text, "memory", 2 + NAME_COLUMN);
    qyi_put_right(text, "bytes", BYTES_COLUMN);
    qyi_put_right(text, "share", HUMAN_COLUMN + SHARE_COLUMN);
    qyi_put(text, "\n");
    put_memory(text, "live", stats->live, stats->mapped, "blocks the program holds");
    put_memory(text, "free in slabs", stats->free_in_slabs, stats->mapped, "room beside live blocks");
    put_memory(text, "cached", stats->cached, stats->mapped, "in magazines, at hand");
    put_memory(text, "dirty", stats->dirty, stats->mapped, "free, resident until purged");
    put_memory(text, "clean", stats->clean, stats->mapped, "free, not resident");
    put_memory(text, "metadata", stats->metadata, stats->mapped, "room for Quarry's records");
    qyi_put_spaces(text, 2 + NAME_COLUMN);
    qyi_put(text, "  ------------ ---------- ------\n");
    put_memory(text, "= mapped", stats->mapped, stats->mapped, "all that Quarry has mapped");
    if (stats->resident == 0) {
        qyi_put(text, "  resident: not known, without /proc and in a core file\n");
        return;
    }
    put_memory(text, "resident", stats->resident, stats->resident, "the whole process, in RAM");
    if (stats->resident_ours != 0) {
        put_memory(text, "  ours", stats->resident_ours, stats->resident, "Quarry's part of it");
        put_memory(text, "  not ours", qyi_stats_not_ours(stats), stats->resident, "libraries, stacks, mappings");
    }
    put_memory(text, "peak resident", stats->resident_peak, 0, "the most there ever was");
}

/* ---- work ---- */

static void put_counters_head(struct qyi_text *text, const char *name)
{
    qyi_put_left(text, name, 2 + NAME_COLUMN);
    qyi_put_right(text, "count", BYTES_COLUMN);
    qyi_put(text, "\n");
}

static void put_counter(struct qyi_text *text, const char *name, uint64_t number, const char *meaning)
{
    qyi_put(text, "  ");
    qyi_put_left(text, name, NAME_COLUMN);
    qyi_put_word(text, qyi_number_word(number), BYTES_COLUMN);
    qyi_put(text, "  ");
    qyi_put(text, meaning);
    qyi_put(text, "\n");
}

static void put_work(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_counters_head(text, "work");
    put_counter(text, "calls", qyi_stats_calls(stats), "blocks handed out, by malloc and its relatives");
    put_counter(text, "  large", stats->large_calls, "of these, blocks too large for a slab");
    put_counter(text, "refills", stats->refills, "of a magazine that was empty, from slabs");
    put_counter(text, "flushes", stats->flushes, "of a magazine that was full, to slabs");
    put_counter(text, "remote frees", stats->remote_frees, "of blocks that are another thread's");
    put_counter(text, "heaps", stats->heaps, "one per thread at the busiest time, and one");
    put_counter(text, "purged bytes", stats->purged_bytes, "free memory given back to the system so far");
}

/* ---- references ---- */

static void put_references(struct qyi_text *text, const struct qyi_stats *stats)
{
    struct qyi_track_totals tracked = {0};
    const bool tracking = qyi_track_lock();
    if (tracking) {
        qyi_track_totals(&tracked);
        qyi_track_unlock();
    }
    if (stats->counted_slabs == 0 && stats->shared_blocks == 0 && tracked.blocks == 0)
        return;
    put_counters_head(text, "references");
    put_counter(text, "shared blocks", stats->shared_blocks, "with more than one reference");
    put_counter(text, "  extra", stats->extra_references, "references to these, beyond the first of each");
    put_counter(text, "  pinned bytes", stats->pinned_bytes, "of these blocks");
    put_counter(text, "counted slabs", stats->counted_slabs, "with reference counts");
    if (!tracking)
        return;
    put_counter(text, "buffers", tracked.blocks, "blocks that are used as such, by what buf_track has seen");
    put_counter(text, "  references", tracked.references, "to these");
    put_counter(text, "  pinned bytes", tracked.bytes, "of these blocks");
    put_counter(text, "  referenced", tracked.referenced, "bytes of them that a reference is for");
}

/* ---- pools ---- */

static void put_pools(struct qyi_text *text, const struct qyi_stats_pools *pools)
{
    if (pools->pools == 0)
        return;
    put_counters_head(text, "pools");
    put_counter(text, "pools", pools->pools, "of objects and of buffers");
    put_counter(text, "objects", pools->objects, "that exist, in use or idle");
    put_counter(text, "  in use", pools->in_use, "of these");
    put_counter(text, "  high water", pools->high_water, "the most that were in use, added up over the pools");
    put_counter(text, "misses", pools->misses, "objects that had to be made");
    put_counter(text, "waits", pools->waits, "of threads for an object");
}

/* ---- size classes ---- */

static const struct column {
    char title[16];
    size_t width;
} columns[] = {{"size", 8},   {"calls", 14}, {"live", 11}, {"live bytes", 12},
               {"cached", 9}, {"free", 9},   {"slabs", 8}, {"used", 6}};

enum { COLUMN_SIZE, COLUMN_CALLS, COLUMN_LIVE, COLUMN_BYTES, COLUMN_CACHED, COLUMN_FREE, COLUMN_SLABS, COLUMN_USED };

static void put_row(struct qyi_text *text, const struct qyi_stats_class *row, size_t live_bytes, size_t all_bytes)
{
    qyi_put_word(text, qyi_number_word(row->calls), columns[COLUMN_CALLS].width);
    qyi_put_word(text, qyi_number_word(row->live), columns[COLUMN_LIVE].width);
    qyi_put_word(text, qyi_bytes_word(live_bytes), columns[COLUMN_BYTES].width);
    qyi_put_word(text, qyi_number_word(row->cached), columns[COLUMN_CACHED].width);
    qyi_put_word(text, qyi_number_word(row->free), columns[COLUMN_FREE].width);
    qyi_put_word(text, qyi_number_word(row->slabs), columns[COLUMN_SLABS].width);
    qyi_put_word(text, qyi_percent_word(live_bytes, all_bytes), columns[COLUMN_USED].width);
    qyi_put(text, "\n");
}

static void put_classes(struct qyi_text *text, const struct qyi_stats *stats)
{
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        qyi_put_right(text, columns[i].title, columns[i].width);
    qyi_put(text, "\n");
    struct qyi_stats_class sum = {0};
    size_t sum_bytes = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        if (row->calls == 0 && row->slabs == 0)
            continue;
        qyi_put_word(text, qyi_number_word(qyi_classes[class].bytes), columns[COLUMN_SIZE].width);
        put_row(text, row, row->live * qyi_classes[class].bytes,
                stats->classes[class].slabs * qyi_stats_slab_bytes(class));
        sum.calls += row->calls;
        sum.live += row->live;
        sum.cached += row->cached;
        sum.free += row->free;
        sum.slabs += row->slabs;
        sum_bytes += stats->classes[class].slabs * qyi_stats_slab_bytes(class);
    }
    qyi_put_right(text, "small", columns[COLUMN_SIZE].width);
    put_row(text, &sum, stats->live - stats->large_live, sum_bytes);
    qyi_put_right(text, "large", columns[COLUMN_SIZE].width);
    qyi_put_word(text, qyi_number_word(stats->large_calls), columns[COLUMN_CALLS].width);
    qyi_put_word(text, qyi_number_word(stats->large_count), columns[COLUMN_LIVE].width);
    qyi_put_word(text, qyi_bytes_word(stats->large_live), columns[COLUMN_BYTES].width);
    qyi_put(text, "\n");
}

/* ---- all of it ---- */

void qyi_report_put(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_head(text);
    put_totals(text, stats);
    put_work(text, stats);
    put_references(text, stats);
    put_pools(text, &stats->pools);
    put_classes(text, stats);
    qyi_put(text, "verdict: ");
    qyi_verdict_put(text, stats);
    qyi_put(text, "\n");
}

void qyi_report_write(const struct qyi_stats *stats, int fd)
{
    static char whole[WHOLE_BYTES];
    static _Atomic bool whole_taken;
    char part[PART_BYTES];
    /* acquire, and release below: one at a time has the buffer */
    const bool mine = !atomic_exchange_explicit(&whole_taken, true, memory_order_acquire);
    struct qyi_text text = {.start = mine ? whole : part, .capacity = mine ? WHOLE_BYTES : PART_BYTES, .fd = fd};
    struct qyi_text_guard guard;
    qyi_text_guard(&guard);
    qyi_report_put(&text, stats);
    qyi_text_flush(&text);
    qyi_text_unguard(&guard, &text);
    if (mine)
        atomic_store_explicit(&whole_taken, false, memory_order_release);
}

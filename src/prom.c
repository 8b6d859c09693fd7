/*
 * prom.c: the numbers of stats.h in the text format of Prometheus. Layer 6.
 *
 * Base units, no time stamps; counters end in _total, and whatever goes up and down does not. Size classes are labels: sizes that were
 * never used are absent, and one that has been used stays.
 */
#include "prom.h"

#include "output.h"

/* ---- the grammar ---- */

static void put_family(struct qyi_text *text, const char *name, const char *type, const char *help)
{
    qyi_put(text, "# HELP ");
    qyi_put(text, name);
    qyi_put(text, " ");
    qyi_put(text, help);
    qyi_put(text, "\n# TYPE ");
    qyi_put(text, name);
    qyi_put(text, " ");
    qyi_put(text, type);
    qyi_put(text, "\n");
}

/* In quotes; the format wants UTF-8. */
static void put_value(struct qyi_text *text, const char *value)
{
    qyi_put(text, "\"");
    for (const char *c = value; *c != '\0';) {
        const size_t bytes = qyi_utf8_bytes(c);
        if (bytes == 0)
            qyi_put(text, "\xef\xbf\xbd"); /* U+FFFD */
        else if (*c == '\n')
            qyi_put(text, "\\n");
        else if (*c == '"' || *c == '\\')
            qyi_put_part(text, *c == '"' ? "\\\"" : "\\\\", 2);
        else
            qyi_put_part(text, c, bytes);
        c += bytes == 0 ? 1 : bytes;
    }
    qyi_put(text, "\"");
}

/* label NULL: none. */
static void put_sample(struct qyi_text *text, const char *name, const char *label, const char *value, uint64_t number)
{
    qyi_put(text, name);
    if (label != NULL) {
        qyi_put(text, "{");
        qyi_put(text, label);
        qyi_put(text, "=");
        put_value(text, value);
        qyi_put(text, "}");
    }
    qyi_put(text, " ");
    qyi_put_number(text, number);
    qyi_put(text, "\n");
}

static void put_gauge(struct qyi_text *text, const char *name, const char *help, uint64_t number)
{
    put_family(text, name, "gauge", help);
    put_sample(text, name, NULL, NULL, number);
}

static void put_counter(struct qyi_text *text, const char *name, const char *help, uint64_t number)
{
    put_family(text, name, "counter", help);
    put_sample(text, name, NULL, NULL, number);
}

/* ---- the numbers ---- */

static void put_info(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_family(text, "quarry_info", "gauge", "Always 1; what the numbers are of.");
    qyi_put(text, "quarry_info{version=\"");
    qyi_put_version(text);
    qyi_put(text, "\",program=");
    put_value(text, qyi_output_program());
    qyi_put(text, "} 1\n");
    const uint64_t uptime_ms = qyi_stats_uptime_ms(stats);
    put_family(text, "quarry_uptime_seconds", "gauge", "Time since the start of the process.");
    qyi_put(text, "quarry_uptime_seconds ");
    qyi_put_word(text, qyi_tenths_word(uptime_ms / 100, ""), 0);
    qyi_put(text, "\n");
}

static void put_memory(struct qyi_text *text, const struct qyi_stats *stats)
{
    static const char name[] = "quarry_memory_bytes";
    put_family(text, name, "gauge", "Memory that Quarry has mapped, by what it is used for.");
    put_sample(text, name, "state", "live", stats->live);
    put_sample(text, name, "state", "free_in_slabs", stats->free_in_slabs);
    put_sample(text, name, "state", "cached", stats->cached);
    put_sample(text, name, "state", "dirty", stats->dirty);
    put_sample(text, name, "state", "clean", stats->clean);
    put_sample(text, name, "state", "metadata", stats->metadata);
    put_gauge(text, "quarry_mapped_bytes", "Memory that Quarry has mapped: the sum of quarry_memory_bytes.",
              stats->mapped);
    put_gauge(text, "quarry_freed_in_slabs_bytes",
              "The part of state free_in_slabs that has been in use, so that it is likely resident.",
              stats->freed_in_slabs);
    if (stats->resident == 0)
        return; /* not known */
    put_family(text, "quarry_resident_bytes", "gauge", "Resident memory of the process, by whose it is.");
    put_sample(text, "quarry_resident_bytes", "part", "ours", stats->resident_ours);
    put_sample(text, "quarry_resident_bytes", "part", "not_ours", qyi_stats_not_ours(stats));
    put_gauge(text, "quarry_resident_peak_bytes", "The most resident memory that the process ever had.",
              stats->resident_peak);
}

static void put_work(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_counter(text, "quarry_refills_total", "Refills of empty magazines from slabs.", stats->refills);
    put_counter(text, "quarry_flushes_total", "Flushes of full magazines to slabs.", stats->flushes);
    put_counter(text, "quarry_remote_frees_total", "Blocks freed by a thread that they do not belong to.",
                stats->remote_frees);
    put_counter(text, "quarry_purged_bytes_total", "Free memory given back to the system.", stats->purged_bytes);
    put_counter(text, "quarry_drains_total", "Looks at what other threads have freed.", stats->drains);
    put_counter(text, "quarry_purges_total", "Times that free memory was given back to the system.", stats->purges);
}

static void put_references(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_gauge(text, "quarry_counted_slabs", "Slabs with reference counts.", stats->counted_slabs);
    put_gauge(text, "quarry_shared_blocks", "Blocks with more than one reference.", stats->shared_blocks);
    put_gauge(text, "quarry_extra_references", "References to shared blocks beyond the first of each.",
              stats->extra_references);
    put_gauge(text, "quarry_pinned_bytes", "Bytes of shared blocks.", stats->pinned_bytes);
}

static void put_pools(struct qyi_text *text, const struct qyi_stats_pools *pools)
{
    put_gauge(text, "quarry_pools", "Pools of objects and of buffers.", pools->pools);
    put_gauge(text, "quarry_pool_objects", "Objects of pools, in use or idle.", pools->objects);
    put_gauge(text, "quarry_pool_objects_in_use", "Objects of pools that are in use.", pools->in_use);
    put_gauge(text, "quarry_pool_objects_high_water", "The most that were in use, added up over the pools.",
              pools->high_water);
    put_counter(text, "quarry_pool_misses_total", "Objects that had to be made.", pools->misses);
    put_counter(text, "quarry_pool_waits_total", "Times that a thread had to wait for an object.", pools->waits);
}

/* ---- heaps, by what has them: a label per thread would be too many ---- */

struct heaps {
    uint64_t count, live, cached, slab_bytes;
};

static void count_heaps(struct heaps heaps[QYI_HEAP_COMMON + 1])
{
    enum { AT_ONCE = 24 };
    struct qyi_stats_thread rows[AT_ONCE];
    uint32_t count = AT_ONCE;
    for (uint32_t next = 1; count == AT_ONCE; next += AT_ONCE) {
        count = qyi_stats_threads(rows, next, AT_ONCE);
        for (uint32_t i = 0; i < count; i++) {
            struct heaps *sum = &heaps[rows[i].state];
            sum->count++;
            sum->live += rows[i].live;
            sum->cached += rows[i].cached_bytes;
            sum->slab_bytes += rows[i].slab_bytes;
        }
    }
}

static void put_heaps(struct qyi_text *text)
{
    static const char *const states[] = {
        [QYI_HEAP_RUNNING] = "running", [QYI_HEAP_IDLE] = "idle", [QYI_HEAP_COMMON] = "common"};
    struct heaps heaps[QYI_HEAP_COMMON + 1] = {0};
    count_heaps(heaps);
    put_family(text, "quarry_heaps", "gauge", "Heaps: of running threads, of ended ones, and the common one.");
    for (unsigned i = 0; i <= QYI_HEAP_COMMON; i++)
        put_sample(text, "quarry_heaps", "state", states[i], heaps[i].count);
    put_family(text, "quarry_heap_live_bytes", "gauge", "Live blocks in slabs of these heaps.");
    for (unsigned i = 0; i <= QYI_HEAP_COMMON; i++)
        put_sample(text, "quarry_heap_live_bytes", "state", states[i], heaps[i].live);
    put_family(text, "quarry_heap_cached_bytes", "gauge", "Free blocks in magazines of these heaps.");
    for (unsigned i = 0; i <= QYI_HEAP_COMMON; i++)
        put_sample(text, "quarry_heap_cached_bytes", "state", states[i], heaps[i].cached);
    put_family(text, "quarry_heap_slab_bytes", "gauge", "Slabs of these heaps.");
    for (unsigned i = 0; i <= QYI_HEAP_COMMON; i++)
        put_sample(text, "quarry_heap_slab_bytes", "state", states[i], heaps[i].slab_bytes);
}

/* ---- size classes ---- */

enum column { CALLS, LIVE, LIVE_BYTES, CACHED, FREE, SLABS, SLAB_BYTES, COLUMN_COUNT };

static const struct {
    const char *name, *type, *help;
} columns[COLUMN_COUNT] = {
    [CALLS] = {"quarry_calls_total", "counter", "Blocks handed out, by size class."},
    [LIVE] = {"quarry_live_blocks", "gauge", "Blocks in the hands of the program, by size class."},
    [LIVE_BYTES] = {"quarry_live_bytes", "gauge", "Bytes of these blocks, by size class."},
    [CACHED] = {"quarry_cached_blocks", "gauge", "Free blocks in magazines, by size class."},
    [FREE] = {"quarry_free_blocks", "gauge", "Free blocks in slabs, by size class."},
    [SLABS] = {"quarry_slabs", "gauge", "Slabs, by size class."},
    [SLAB_BYTES] = {"quarry_slab_bytes", "gauge", "Bytes of slabs, by size class."},
};

static uint64_t number_of(const struct qyi_stats *stats, unsigned class, enum column column)
{
    const struct qyi_stats_class *row = &stats->classes[class];
    switch (column) {
    case CALLS: return row->calls;
    case LIVE: return row->live;
    case LIVE_BYTES: return row->live * (uint64_t)qyi_classes[class].bytes;
    case CACHED: return row->cached;
    case FREE: return row->free;
    case SLABS: return row->slabs;
    default: return stats->classes[class].slabs * qyi_stats_slab_bytes(class);
    }
}

static void put_column(struct qyi_text *text, const struct qyi_stats *stats, enum column column)
{
    const char *name = columns[column].name;
    put_family(text, name, columns[column].type, columns[column].help);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_word size = qyi_number_word(qyi_classes[class].bytes);
        if (stats->classes[class].calls == 0 && stats->classes[class].slabs == 0)
            continue;
        size.text[size.length] = '\0';
        put_sample(text, name, "size", size.text, number_of(stats, class, column));
    }
    if (column == CALLS)
        put_sample(text, name, "size", "large", stats->large_calls);
    if (column == LIVE)
        put_sample(text, name, "size", "large", stats->large_count);
    if (column == LIVE_BYTES)
        put_sample(text, name, "size", "large", stats->large_live);
}

void qyi_prom_put(struct qyi_text *text, const struct qyi_stats *stats)
{
    put_info(text, stats);
    put_memory(text, stats);
    put_work(text, stats);
    put_references(text, stats);
    put_pools(text, &stats->pools);
    put_heaps(text);
    for (enum column column = 0; column < COLUMN_COUNT; column++)
        put_column(text, stats, column);
}

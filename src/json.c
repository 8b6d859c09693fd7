/*
 * json.c: the numbers of stats.h as JSON. Layer 6.
 *
 * A line, so that a report among other lines of standard error can be found and read. The order is that of the schema. A new field is
 * added there and here, and does not change schema_version; what changes the meaning of a field, or takes one away, does.
 */
#include "json.h"

#include "history.h"
#include "map.h"
#include "output.h"
#include "verdict.h"

#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* ---- the grammar ---- */

static void put_escape(struct qyi_text *text, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    char escape[] = "\\u00xx";
    escape[4] = digits[c >> 4];
    escape[5] = digits[c & 15];
    qyi_put(text, escape);
}

void qyi_json_put_string(struct qyi_text *text, const char *string)
{
    qyi_put(text, "\"");
    for (const char *c = string; *c != '\0';) {
        const size_t bytes = qyi_utf8_bytes(c);
        if (bytes == 0) {
            qyi_put(text, "\\ufffd");
        } else if ((unsigned char)*c < ' ' || *c == '"' || *c == '\\' || *c == 0x7f) {
            put_escape(text, (unsigned char)*c);
        } else {
            qyi_put_part(text, c, bytes);
        }
        c += bytes == 0 ? 1 : bytes;
    }
    qyi_put(text, "\"");
}

/* A comma, unless it is the first after a bracket; and the name. */
static void put_name(struct qyi_text *text, bool *first, const char *name)
{
    qyi_put(text, *first ? "\"" : ",\"");
    qyi_put(text, name);
    qyi_put(text, "\":");
    *first = false;
}

static void put_number(struct qyi_text *text, bool *first, const char *name, uint64_t number)
{
    put_name(text, first, name);
    qyi_put_number(text, number);
}

static void put_string(struct qyi_text *text, bool *first, const char *name, const char *string)
{
    put_name(text, first, name);
    qyi_json_put_string(text, string);
}

/* "name":{  or  "name":[ */
static void open_group(struct qyi_text *text, bool *first, const char *name, const char *bracket)
{
    put_name(text, first, name);
    qyi_put(text, bracket);
    *first = true;
}

static void close_group(struct qyi_text *text, bool *first, const char *bracket)
{
    qyi_put(text, bracket);
    *first = false;
}

/* The next element of an array of objects. */
static void open_element(struct qyi_text *text, bool *first, bool *inner)
{
    qyi_put(text, *first ? "{" : ",{");
    *first = false;
    *inner = true;
}

/* ---- the document ---- */

static void put_head(struct qyi_text *text, bool *first, const char *reason, const struct qyi_whose *whose)
{
    put_string(text, first, "schema", "quarry.stats");
    put_number(text, first, "schema_version", 1);
    put_name(text, first, "quarry_version");
    qyi_put(text, "\"");
    qyi_put_version(text);
    qyi_put(text, "\"");
    put_string(text, first, "program", whose->program);
    put_number(text, first, "pid", whose->pid);
    put_number(text, first, "time_unix_ms", whose->time_unix_ms);
    put_number(text, first, "uptime_ms", whose->uptime_ms);
    put_string(text, first, "reason", reason);
}

static void put_memory(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    open_group(text, first, "memory", "{");
    put_number(text, first, "live", stats->live);
    put_number(text, first, "free_in_slabs", stats->free_in_slabs);
    put_number(text, first, "cached", stats->cached);
    put_number(text, first, "dirty", stats->dirty);
    put_number(text, first, "clean", stats->clean);
    put_number(text, first, "metadata", stats->metadata);
    put_number(text, first, "mapped", stats->mapped);
    put_number(text, first, "freed_in_slabs", stats->freed_in_slabs);
    put_number(text, first, "resident", stats->resident);
    put_number(text, first, "resident_ours", stats->resident_ours);
    put_number(text, first, "resident_not_ours", qyi_stats_not_ours(stats));
    put_number(text, first, "resident_peak", stats->resident_peak);
    close_group(text, first, "}");
}

static void put_verdict(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    char sentence[512];
    struct qyi_text verdict = {.start = sentence, .capacity = sizeof sentence - 1, .fd = -1};
    qyi_verdict_put(&verdict, stats);
    sentence[verdict.length] = '\0';
    put_string(text, first, "verdict", sentence);
}

static void put_work(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    open_group(text, first, "work", "{");
    put_number(text, first, "calls", qyi_stats_calls(stats));
    put_number(text, first, "large_calls", stats->large_calls);
    put_number(text, first, "refills", stats->refills);
    put_number(text, first, "flushes", stats->flushes);
    put_number(text, first, "remote_frees", stats->remote_frees);
    put_number(text, first, "drains", stats->drains);
    put_number(text, first, "heaps", stats->heaps);
    put_number(text, first, "purges", stats->purges);
    put_number(text, first, "purged_bytes", stats->purged_bytes);
    close_group(text, first, "}");
}

static void put_references(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    open_group(text, first, "references", "{");
    put_number(text, first, "counted_slabs", stats->counted_slabs);
    put_number(text, first, "shared_blocks", stats->shared_blocks);
    put_number(text, first, "extra_references", stats->extra_references);
    put_number(text, first, "pinned_bytes", stats->pinned_bytes);
    close_group(text, first, "}");
}

static void put_pools(struct qyi_text *text, bool *first, const struct qyi_stats_pools *pools)
{
    open_group(text, first, "pools", "{");
    put_number(text, first, "pools", pools->pools);
    put_number(text, first, "objects", pools->objects);
    put_number(text, first, "in_use", pools->in_use);
    put_number(text, first, "high_water", pools->high_water);
    put_number(text, first, "misses", pools->misses);
    put_number(text, first, "waits", pools->waits);
    close_group(text, first, "}");
}

/* One for each class that was used. */
static void put_classes(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    open_group(text, first, "classes", "[");
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        bool inner;
        if (row->calls == 0 && row->slabs == 0)
            continue;
        open_element(text, first, &inner);
        put_number(text, &inner, "bytes", qyi_classes[class].bytes);
        put_number(text, &inner, "calls", row->calls);
        put_number(text, &inner, "live", row->live);
        put_number(text, &inner, "cached", row->cached);
        put_number(text, &inner, "free", row->free);
        put_number(text, &inner, "freed", row->freed);
        put_number(text, &inner, "slabs", row->slabs);
        put_number(text, &inner, "slab_bytes", stats->classes[class].slabs * qyi_stats_slab_bytes(class));
        close_group(text, &inner, "}");
    }
    close_group(text, first, "]");
}

static void put_large(struct qyi_text *text, bool *first, const struct qyi_stats *stats)
{
    open_group(text, first, "large", "{");
    put_number(text, first, "calls", stats->large_calls);
    put_number(text, first, "live", stats->large_count);
    put_number(text, first, "live_bytes", stats->large_live);
    close_group(text, first, "}");
}

static void put_thread(struct qyi_text *text, bool *first, const struct qyi_stats_thread *thread, uint64_t pid)
{
    static const char *const states[] = {
        [QYI_HEAP_RUNNING] = "running", [QYI_HEAP_IDLE] = "idle", [QYI_HEAP_COMMON] = "common"};
    bool inner;
    open_element(text, first, &inner);
    put_number(text, &inner, "heap", thread->heap);
    put_number(text, &inner, "tid", thread->state == QYI_HEAP_RUNNING && thread->tid == 0 ? pid : thread->tid);
    put_string(text, &inner, "state", states[thread->state]);
    put_number(text, &inner, "calls", thread->calls);
    put_number(text, &inner, "live", thread->live);
    put_number(text, &inner, "cached_bytes", thread->cached_bytes);
    put_number(text, &inner, "slabs", thread->slabs);
    put_number(text, &inner, "slab_bytes", thread->slab_bytes);
    close_group(text, &inner, "}");
}

/* A few at a time, since they go through the stack; every time is a walk through memory. */
static void put_threads(struct qyi_text *text, bool *first, uint64_t pid)
{
    enum { AT_ONCE = 24 };
    struct qyi_stats_thread rows[AT_ONCE];
    uint32_t count;
    open_group(text, first, "threads", "[");
    for (uint32_t next = 1; (count = qyi_stats_threads(rows, next, AT_ONCE)) != 0; next += AT_ONCE) {
        for (uint32_t i = 0; i < count; i++)
            put_thread(text, first, &rows[i], pid);
        if (count < AT_ONCE)
            break;
    }
    close_group(text, first, "]");
}

/* Too large for a small stack; whoever comes while it is in use leaves the history out. */
static void put_history(struct qyi_text *text, bool *first)
{
    static struct qyi_history_point points[QYI_HISTORY_POINTS];
    static _Atomic pid_t user;
    const pid_t me = getpid();
    pid_t before = atomic_load_explicit(&user, memory_order_relaxed);
    /* acquire, and release below; a user that was left behind by fork is none */
    if (before == me ||
        !atomic_compare_exchange_strong_explicit(&user, &before, me, memory_order_acquire, memory_order_relaxed))
        return;
    const unsigned count = qyi_history_read(points);
    open_group(text, first, "history", "[");
    for (unsigned i = 0; i < count; i++) {
        bool inner;
        open_element(text, first, &inner);
        put_number(text, &inner, "time_ms", points[i].time_ms);
        put_number(text, &inner, "mapped", points[i].mapped);
        put_number(text, &inner, "live", points[i].live);
        put_number(text, &inner, "dirty", points[i].dirty);
        put_number(text, &inner, "resident", points[i].resident);
        put_number(text, &inner, "calls", points[i].calls);
        close_group(text, &inner, "}");
    }
    close_group(text, first, "]");
    atomic_store_explicit(&user, 0, memory_order_release); /* pairs with the acquire above, of the next user */
}

static void put_map(struct qyi_text *text, bool *first)
{
    open_group(text, first, "map", "{");
    put_number(text, first, "granule_bytes", QYI_GRANULE_BYTES);
    open_group(text, first, "frames", "[");
    const uint32_t count = qyi_map_frame_count();
    for (uint32_t frame = 0; frame < count; frame++) {
        char characters[QYI_FRAME_GRANULES];
        qyi_map_frame(frame, characters);
        qyi_put(text, frame == 0 ? "\"" : ",\"");
        qyi_put_part(text, characters, sizeof characters);
        qyi_put(text, "\"");
    }
    close_group(text, first, "]");
    close_group(text, first, "}");
}

void qyi_json_put_of(struct qyi_text *text, const struct qyi_stats *stats, const char *reason,
                     const struct qyi_whose *whose)
{
    bool first = true;
    qyi_put(text, "{");
    put_head(text, &first, reason, whose);
    put_memory(text, &first, stats);
    put_verdict(text, &first, stats);
    put_work(text, &first, stats);
    put_references(text, &first, stats);
    put_pools(text, &first, &stats->pools);
    put_classes(text, &first, stats);
    put_large(text, &first, stats);
    put_threads(text, &first, whose->pid);
    put_history(text, &first);
    put_map(text, &first);
    qyi_put(text, "}\n");
}

void qyi_json_put(struct qyi_text *text, const struct qyi_stats *stats, const char *reason)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    const struct qyi_whose me = {.program = qyi_output_program(),
                                 .pid = (uint64_t)getpid(),
                                 .time_unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                                 .uptime_ms = qyi_stats_uptime_ms(stats)};
    qyi_json_put_of(text, stats, reason, &me);
}

/*
 * report_stats.c: the sections of the HTML report that are made from statistics: memory, classes, threads, counters.
 */
#include "report_parts.h"

#include <string.h>

/* ---- what is read ---- */

uint64_t report_number(const json_t *root, const char *object, const char *name)
{
    const json_t *inside = object == NULL ? root : json_object_get(root, object);
    const json_int_t number = json_integer_value(json_object_get(inside, name));
    return number < 0 ? 0 : (uint64_t)number;
}

static const struct state {
    const char *key, *name, *meaning;
} states[] = {
    {"live", "Live", "blocks the program holds"},
    {"free_in_slabs", "Free in slabs", "room beside live blocks; fragmentation, where it has been in use"},
    {"cached", "Cached", "free blocks in the threads\xe2\x80\x99 magazines, at hand"},
    {"dirty", "Dirty", "free, resident until it is purged"},
    {"clean", "Clean", "free, not resident"},
    {"metadata", "Metadata", "Quarry\xe2\x80\x99s own records"},
};

enum { STATE_COUNT = sizeof states / sizeof *states };

static bool fail(const char *path, const char *what, const char *name, const char *problem)
{
    fprintf(stderr, "quarry: %s: %s%s%s %s\n", path, what, name[0] == '\0' ? "" : ".", name, problem);
    return false;
}

static bool check_number(const char *path, const char *what, const json_t *object, const char *name)
{
    const json_t *number = json_object_get(object, name);
    if (number != NULL && (!json_is_integer(number) || json_integer_value(number) < 0))
        return fail(path, what, name, "is not a number, or less than 0");
    return true;
}

static bool check_rows(const char *path, const json_t *root, const char *name)
{
    const json_t *rows = json_object_get(root, name);
    size_t i;
    json_t *row;
    if (rows == NULL)
        return true;
    if (!json_is_array(rows))
        return fail(path, name, "", "is not a list");
    json_array_foreach(rows, i, row) if (!json_is_object(row)) return fail(path, name, "",
                                                                           "has an element that is not an object");
    return true;
}

bool report_check_stats(const char *path, const json_t *root)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    if (schema == NULL || strcmp(schema, "quarry.stats") != 0)
        return fail(path, "schema", "", "is not \"quarry.stats\": not Quarry's statistics");
    const json_t *version = json_object_get(root, "schema_version");
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        fprintf(stderr, "quarry: %s: schema_version %" JSON_INTEGER_FORMAT ", and this quarry reads version 1\n", path,
                json_integer_value(version));
        return false;
    }
    const json_t *memory = json_object_get(root, "memory");
    if (!json_is_object(memory))
        return fail(path, "memory", "", "is missing");
    static const char *const others[] = {"mapped", "resident", "resident_ours", "resident_not_ours", "resident_peak"};
    bool good = true;
    for (size_t i = 0; good && i < STATE_COUNT; i++)
        good = check_number(path, "memory", memory, states[i].key);
    for (size_t i = 0; good && i < sizeof others / sizeof *others; i++)
        good = check_number(path, "memory", memory, others[i]);
    good = good && check_number(path, "statistics", root, "time_unix_ms") &&
           check_number(path, "statistics", root, "uptime_ms") && check_number(path, "statistics", root, "pid");
    static const char *const lists[] = {"classes", "threads", "history"};
    for (size_t i = 0; good && i < sizeof lists / sizeof *lists; i++)
        good = check_rows(path, root, lists[i]);
    return good;
}

/* ---- memory ---- */

static void put_segment(FILE *page, const char *class, const char *name, uint64_t bytes, uint64_t whole)
{
    if (bytes == 0)
        return;
    html_put(page, "<span class=\"%s\" style=\"width:%f%%\" title=\"%t: %b\"></span>", class,
             100.0 * (double)bytes / (double)whole, name, bytes);
}

static void put_bar(FILE *page, const json_t *root, uint64_t mapped, uint64_t resident)
{
    const uint64_t whole = mapped > resident ? mapped : resident;
    const uint64_t ours = report_number(root, "memory", "resident_ours");
    if (whole == 0)
        return;
    html_put(
        page,
        "<figure class=\"bars\"><div class=\"bar\" id=\"statebar\" role=\"img\" aria-label=\"Memory states, sum %b\">",
        mapped);
    for (size_t i = 0; i < STATE_COUNT; i++)
        put_segment(page, states[i].key, states[i].name, report_number(root, "memory", states[i].key), whole);
    html_put(page, "</div>\n");
    if (resident != 0) {
        const double at = 100.0 * (double)resident / (double)whole;
        html_put(page, "<div class=\"bar thin\" role=\"img\" aria-label=\"Resident, %b\">", resident);
        put_segment(page, "ours", "Resident, Quarry's", ours, whole);
        put_segment(page, "notours", ours == 0 ? "Resident" : "Resident, not Quarry's",
                    resident - (ours < resident ? ours : resident), whole);
        html_put(
            page,
            "</div><div class=\"marker\" style=\"left:%f%%\"></div><p class=\"marked\"><span class=\"%s\" style=\"%s:%f%%\">resident %b</span></p>",
            at, at > 50 ? "before" : "after", at > 50 ? "right" : "left", at > 50 ? 100 - at : at, resident);
    }
    html_put(page, "</figure>\n");
}

static void put_state(FILE *page, const struct state *state, uint64_t bytes, uint64_t whole)
{
    html_put(page,
             "<tr><th scope=\"row\"><i class=\"key %s\"></i>%s</th><td>%b</td><td class=\"wide\">%n</td><td>%p</td>"
             "<td class=\"meaning\">%s</td></tr>\n",
             state->key, state->name, bytes, bytes, bytes, whole, state->meaning);
}

static void put_resident(FILE *page, const json_t *root, uint64_t resident)
{
    const uint64_t ours = report_number(root, "memory", "resident_ours");
    const uint64_t peak = report_number(root, "memory", "resident_peak");
    if (resident == 0) {
        html_put(page, "<tr><th scope=\"row\">Resident</th><td colspan=\"4\" class=\"meaning\">not known</td></tr>\n");
        return;
    }
    html_put(
        page,
        "<tbody class=\"second\"><tr class=\"sum\"><th scope=\"row\">Resident</th><td>%b</td><td class=\"wide\">%n</td><td></td>"
        "<td class=\"meaning\">the whole process, in RAM</td></tr>\n",
        resident, resident);
    if (ours != 0) {
        put_state(page, &(struct state){"ours", "Quarry\xe2\x80\x99s", "the part of it that is Quarry\xe2\x80\x99s"},
                  ours, resident);
        put_state(page, &(struct state){"notours", "Not Quarry\xe2\x80\x99s", "libraries, stacks, mappings"},
                  resident - (ours < resident ? ours : resident), resident);
    }
    if (peak != 0)
        html_put(page,
                 "<tr><th scope=\"row\">Peak resident</th><td>%b</td><td class=\"wide\">%n</td><td></td>"
                 "<td class=\"meaning\">the most there ever was</td></tr>\n",
                 peak, peak);
    html_put(page, "</tbody>\n");
}

void report_put_memory(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    if (stats == NULL)
        return;
    const uint64_t mapped = report_number(stats->root, "memory", "mapped");
    const uint64_t resident = report_number(stats->root, "memory", "resident");
    uint64_t sum = 0;
    report_section(
        page, "memory", "Where the memory is",
        "Every byte that Quarry has mapped is in exactly one of these states. Resident memory is what the kernel charges the process for.");
    put_bar(page, stats->root, mapped, resident);
    html_put(
        page,
        "<div class=\"scroll\"><table id=\"states\"><thead><tr><th>State</th><th class=\"n\">Size</th><th class=\"n wide\">Bytes</th>"
        "<th class=\"n\">Share</th><th>Meaning</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < STATE_COUNT; i++) {
        const uint64_t bytes = report_number(stats->root, "memory", states[i].key);
        put_state(page, &states[i], bytes, mapped);
        sum += bytes;
    }
    html_put(page,
             "<tr class=\"sum\"><th scope=\"row\">Mapped</th><td>%b</td><td class=\"wide\">%n</td><td>%p</td>"
             "<td class=\"meaning\">%s</td></tr></tbody>\n",
             mapped, mapped, sum, mapped,
             sum == mapped ? "the sum of these" : "should be the sum of these, and is not");
    put_resident(page, stats->root, resident);
    html_put(page, "</table></div>\n");
    report_section_end(page);
}

/* ---- size classes ---- */

static void put_meter(FILE *page, uint64_t part, uint64_t whole)
{
    const double share = whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
    html_put(
        page,
        "<td class=\"meter\" data-v=\"%f\"><span class=\"m\"><span style=\"width:%f%%\"></span></span><span class=\"v\">%p</span></td>",
        share, share > 100 ? 100 : share, part, whole);
}

static void put_number(FILE *page, uint64_t number, const char *class)
{
    html_put(page, "<td class=\"%s\" data-v=\"%f\">%n</td>", class, (double)number, number);
}

static void put_size(FILE *page, uint64_t bytes)
{
    html_put(page, "<td data-v=\"%f\">%b</td>", (double)bytes, bytes);
}

static void put_class(FILE *page, const json_t *row)
{
    const uint64_t bytes = report_number(row, NULL, "bytes");
    const uint64_t live = report_number(row, NULL, "live");
    const uint64_t slab_bytes = report_number(row, NULL, "slab_bytes");
    html_put(page, "<tr><th scope=\"row\" data-v=\"%f\">%n</th>", (double)bytes, bytes);
    put_number(page, report_number(row, NULL, "calls"), "");
    put_number(page, live, "");
    put_size(page, live * bytes);
    put_number(page, report_number(row, NULL, "cached"), "wide");
    put_number(page, report_number(row, NULL, "free"), "wide");
    put_number(page, report_number(row, NULL, "slabs"), "wide");
    put_size(page, slab_bytes);
    put_meter(page, live * bytes, slab_bytes);
    html_put(page, "</tr>\n");
}

struct class_sum {
    uint64_t calls, live, live_bytes, cached, free, slabs, slab_bytes;
};

static void add_class(struct class_sum *sum, const json_t *row)
{
    sum->calls += report_number(row, NULL, "calls");
    sum->live += report_number(row, NULL, "live");
    sum->live_bytes += report_number(row, NULL, "live") * report_number(row, NULL, "bytes");
    sum->cached += report_number(row, NULL, "cached");
    sum->free += report_number(row, NULL, "free");
    sum->slabs += report_number(row, NULL, "slabs");
    sum->slab_bytes += report_number(row, NULL, "slab_bytes");
}

static void put_class_sums(FILE *page, const struct class_sum *sum, const json_t *root)
{
    html_put(page,
             "</tbody><tfoot><tr class=\"sum\"><th scope=\"row\">small</th><td>%n</td><td>%n</td><td>%b</td>"
             "<td class=\"wide\">%n</td><td class=\"wide\">%n</td><td class=\"wide\">%n</td><td>%b</td>",
             sum->calls, sum->live, sum->live_bytes, sum->cached, sum->free, sum->slabs, sum->slab_bytes);
    put_meter(page, sum->live_bytes, sum->slab_bytes);
    html_put(page, "</tr>\n");
    if (json_is_object(json_object_get(root, "large")))
        html_put(
            page,
            "<tr><th scope=\"row\">large</th><td>%n</td><td>%n</td><td>%b</td><td class=\"wide\"></td><td class=\"wide\"></td>"
            "<td class=\"wide\"></td><td></td><td></td></tr>\n",
            report_number(root, "large", "calls"), report_number(root, "large", "live"),
            report_number(root, "large", "live_bytes"));
    html_put(page, "</tfoot></table></div>\n");
}

void report_put_classes(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    const json_t *rows = stats == NULL ? NULL : json_object_get(stats->root, "classes");
    struct class_sum sum = {0};
    size_t i;
    json_t *row;
    if (json_array_size(rows) == 0)
        return;
    report_section(page, "classes", "Size classes",
                   "Blocks by size. A class that is little used and holds much slab memory is where fragmentation is.");
    html_put(
        page,
        "<div class=\"scroll\"><table id=\"classtable\" class=\"sortable\"><thead><tr><th class=\"n\">Bytes</th><th class=\"n\">Calls</th>"
        "<th class=\"n\">Live</th><th class=\"n\">Live size</th><th class=\"n wide\">Cached</th><th class=\"n wide\">Free</th>"
        "<th class=\"n wide\">Slabs</th><th class=\"n\">Slab size</th><th class=\"used\">Used</th></tr></thead><tbody>\n");
    json_array_foreach(rows, i, row)
    {
        if (report_number(row, NULL, "calls") == 0 && report_number(row, NULL, "slabs") == 0)
            continue;
        put_class(page, row);
        add_class(&sum, row);
    }
    put_class_sums(page, &sum, stats->root);
    report_section_end(page);
}

/* ---- threads ---- */

void report_put_threads(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    const json_t *rows = stats == NULL ? NULL : json_object_get(stats->root, "threads");
    size_t i;
    json_t *row;
    if (json_array_size(rows) == 0)
        return;
    report_section(
        page, "threads", "Threads",
        "One heap for each thread at the busiest time. An idle heap waits for the next thread, with what it holds.");
    html_put(
        page,
        "<div class=\"scroll\"><table id=\"threadtable\" class=\"sortable\"><thead><tr><th class=\"n\">Heap</th><th class=\"n\">Thread</th>"
        "<th>State</th><th class=\"n\">Calls</th><th class=\"n\">Live blocks</th><th class=\"n\">Cached</th>"
        "<th class=\"n wide\">Slabs</th><th class=\"n\">Slab size</th></tr></thead><tbody>\n");
    json_array_foreach(rows, i, row)
    {
        const uint64_t tid = report_number(row, NULL, "tid");
        const char *state = json_string_value(json_object_get(row, "state"));
        html_put(page, "<tr>");
        put_number(page, report_number(row, NULL, "heap"), "");
        if (tid == 0)
            html_put(page, "<td data-v=\"0\">\xe2\x80\x93</td>");
        else
            html_put(page, "<td data-v=\"%u\">%u</td>", tid, tid);
        html_put(page, "<td class=\"l\">%t</td>", state == NULL ? "" : state);
        put_number(page, report_number(row, NULL, "calls"), "");
        put_number(page, report_number(row, NULL, "live"), "");
        put_size(page, report_number(row, NULL, "cached_bytes"));
        put_number(page, report_number(row, NULL, "slabs"), "wide");
        put_size(page, report_number(row, NULL, "slab_bytes"));
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
    report_section_end(page);
}

/* ---- counters ---- */

static const struct counter {
    const char *key, *name, *meaning;
} counters[] = {
    {"calls", "Calls", "blocks handed out, by malloc and its relatives"},
    {"large_calls", "Large calls", "of these, blocks too large for a slab"},
    {"refills", "Refills", "of a magazine that was empty, from slabs"},
    {"flushes", "Flushes", "of a magazine that was full, to slabs"},
    {"remote_frees", "Remote frees", "of blocks that are another thread\xe2\x80\x99s"},
    {"heaps", "Heaps", "one for each thread at the busiest time, and one"},
    {"purged_bytes", "Purged", "free memory given back to the system so far"},
    {"counted_slabs", "Slabs with counts", "in which a block has been shared"},
    {"shared_blocks", "Shared blocks", "with more than one reference"},
    {"extra_references", "Extra references", "to these, beyond the first of each"},
    {"pinned_bytes", "Pinned", "memory of these blocks"},
    {"pools", "Pools", "object pools"},
    {"objects", "Objects", "that pools have made and not given back"},
    {"in_use", "In use", "objects in the program\xe2\x80\x99s hands"},
    {"high_water", "High water", "the most objects in use at a time"},
    {"misses", "Misses", "takes that had to make a new object"},
};

static void put_counter(FILE *page, const char *key, uint64_t number)
{
    const struct counter *known = NULL;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (strcmp(counters[i].key, key) == 0)
            known = &counters[i];
    const size_t length = strlen(key);
    html_put(page, "<tr><th scope=\"row\">%t</th>", known == NULL ? key : known->name);
    if (length > 6 && strcmp(key + length - 6, "_bytes") == 0)
        html_put(page, "<td>%b</td>", number);
    else
        html_put(page, "<td>%n</td>", number);
    html_put(page, "<td class=\"meaning\">%s</td></tr>\n", known == NULL ? "" : known->meaning);
}

/* All numbers of an object; false: there is none but zeros. */
static bool put_counters(FILE *page, const json_t *root, const char *object, const char *title)
{
    json_t *inside = json_object_get(root, object), *value;
    const char *key;
    bool any = false;
    json_object_foreach(inside, key, value) any |= json_integer_value(value) != 0;
    if (!any)
        return false;
    html_put(
        page,
        "<div class=\"scroll\"><table class=\"counters\"><thead><tr><th>%s</th><th class=\"n\">Count</th><th>Meaning</th></tr></thead><tbody>\n",
        title);
    json_object_foreach(inside, key, value) if (json_is_integer(value))
        put_counter(page, key, json_integer_value(value) < 0 ? 0 : (uint64_t)json_integer_value(value));
    html_put(page, "</tbody></table></div>\n");
    return true;
}

static bool has_counters(const json_t *root, const char *object)
{
    json_t *value;
    const char *key;
    json_object_foreach(json_object_get(root, object), key, value) if (json_integer_value(value) != 0) return true;
    return false;
}

void report_put_work(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    if (stats == NULL || !has_counters(stats->root, "work"))
        return;
    report_section(page, "work", "Work", "What the allocator has been asked to do since the program started.");
    put_counters(page, stats->root, "work", "Counter");
    report_section_end(page);
}

void report_put_buffers(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    if (stats == NULL || (!has_counters(stats->root, "references") && !has_counters(stats->root, "pools")))
        return;
    report_section(
        page, "buffers", "Buffers and pools",
        "Blocks with more than one reference, and pools of objects. A shared block stays until its last reference goes.");
    put_counters(page, stats->root, "references", "References");
    put_counters(page, stats->root, "pools", "Pools");
    report_section_end(page);
}

/*
 * report_time.c: the sections of the HTML report that are pictures of statistics: the time line and the heap map.
 *
 * A chart is drawn in a box of 1000 by 300 units that is stretched to the page's width; lines keep their thickness and
 * labels are text beside it, so that it is as readable on a telephone as on paper.
 */
#include "report_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- points ---- */

enum series { MAPPED, RESIDENT, LIVE, DIRTY, CALLS, SERIES_COUNT };

static const struct {
    const char *key, *name, *class;
} series[] = {{"mapped", "Mapped", "s-mapped"},
              {"resident", "Resident", "s-resident"},
              {"live", "Live", "s-live"},
              {"dirty", "Dirty", "s-dirty"},
              {"calls", "Calls", "s-calls"}};

struct point {
    uint64_t time_ms; /* since the process started */
    uint64_t value[SERIES_COUNT];
};

struct timeline {
    struct point *points;
    size_t count, capacity;
    uint64_t most; /* of bytes */
};

static void add_point(struct timeline *timeline, const json_t *values, uint64_t time_ms, uint64_t calls)
{
    STORE_ROOM(timeline->points, timeline->count, timeline->capacity);
    struct point *point = &timeline->points[timeline->count++];
    point->time_ms = time_ms;
    for (int i = 0; i < CALLS; i++)
        point->value[i] = report_number(values, NULL, series[i].key);
    point->value[CALLS] = calls;
}

static int compare_points(const void *left, const void *right)
{
    const struct point *a = left, *b = right;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

/* Of all files of the newest one's process; each moment once. */
static struct timeline gather(const struct report *report)
{
    const struct report_stats *newest = report_newest(report);
    struct timeline timeline = {0};
    for (size_t i = 0; newest != NULL && i < report->stats_count; i++) {
        const struct report_stats *stats = &report->stats[i];
        const uint64_t apart = stats->started_ms > newest->started_ms ? stats->started_ms - newest->started_ms
                                                                      : newest->started_ms - stats->started_ms;
        /* the same number may be another process, a day later */
        if (stats->pid != newest->pid || apart > 60000)
            continue;
        size_t j;
        json_t *row;
        json_array_foreach(json_object_get(stats->root, "history"), j, row)
            add_point(&timeline, row, report_number(row, NULL, "time_ms"), report_number(row, NULL, "calls"));
        add_point(&timeline, json_object_get(stats->root, "memory"), report_number(stats->root, NULL, "uptime_ms"),
                  report_number(stats->root, "work", "calls"));
    }
    if (timeline.count > 1)
        qsort(timeline.points, timeline.count, sizeof *timeline.points, compare_points);
    size_t kept = 0;
    for (size_t i = 0; i < timeline.count; i++)
        if (kept == 0 || timeline.points[i].time_ms != timeline.points[kept - 1].time_ms)
            timeline.points[kept++] = timeline.points[i];
    timeline.count = kept;
    for (size_t i = 0; i < kept; i++)
        for (int j = 0; j < CALLS; j++)
            if (timeline.points[i].value[j] > timeline.most)
                timeline.most = timeline.points[i].value[j];
    return timeline;
}

/* ---- the chart ---- */

enum { CHART_WIDTH = 1000, CHART_HEIGHT = 300, RATE_HEIGHT = 60 };

static double x_of(const struct timeline *timeline, size_t i)
{
    const uint64_t first = timeline->points[0].time_ms, last = timeline->points[timeline->count - 1].time_ms;
    return (double)(timeline->points[i].time_ms - first) * CHART_WIDTH / (double)(last - first);
}

static uint64_t tick_step(uint64_t most)
{
    uint64_t step = 1;
    while (most / step > 4 && step < (uint64_t)1 << 62)
        step *= 2;
    return step;
}

static uint64_t chart_top(uint64_t most)
{
    const uint64_t step = tick_step(most);
    return most == 0 ? 1 : (most / step + (most % step != 0)) * step;
}

static void put_line(FILE *page, const struct timeline *timeline, enum series which, double top, bool filled)
{
    html_put(page, "<path class=\"%s%s\" d=\"M", series[which].class, filled ? " fill" : "");
    if (filled)
        html_put(page, "0 %d L", CHART_HEIGHT);
    for (size_t i = 0; i < timeline->count; i++)
        html_put(page, "%s%f %f", i == 0 ? "" : " ", x_of(timeline, i),
                 CHART_HEIGHT - CHART_HEIGHT * (double)timeline->points[i].value[which] / top);
    html_put(page, "%s\"/>", filled ? " 1000 300 Z" : "");
}

static bool has_series(const struct timeline *timeline, enum series which)
{
    for (size_t i = 0; i < timeline->count; i++)
        if (timeline->points[i].value[which] != 0)
            return true;
    return false;
}

static uint64_t time_step(uint64_t span_ms)
{
    static const uint64_t steps[] = {1,      2,      5,       10,      20,      50,       100,      200,      500,
                                     1000,   2000,   5000,    10000,   15000,   30000,    60000,    120000,   300000,
                                     600000, 900000, 1800000, 3600000, 7200000, 14400000, 21600000, 43200000, 86400000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (span_ms / steps[i] <= 6)
            return steps[i];
    return (span_ms / 6 / 86400000 + 1) * 86400000;
}

/* "15 min", but "1:15 h" in a row of quarters of an hour. */
static const char *time_word(char word[HTML_WORD], uint64_t time_ms, uint64_t step)
{
    if (time_ms == 0)
        return "0";
    if (time_ms < 3600000 || step % 3600000 == 0)
        return html_duration(word, time_ms * 1000);
    snprintf(word, HTML_WORD, "%u:%02u\xc2\xa0h", (unsigned)(time_ms / 3600000), (unsigned)(time_ms / 60000 % 60));
    return word;
}

static void put_times(FILE *page, const struct timeline *timeline)
{
    const uint64_t first = timeline->points[0].time_ms, last = timeline->points[timeline->count - 1].time_ms;
    const uint64_t step = time_step(last - first);
    html_put(page, "<div class=\"xaxis\">");
    for (uint64_t time = (first + step - 1) / step * step; time <= last; time += step) {
        char word[HTML_WORD];
        const double at = 100.0 * (double)(time - first) / (double)(last - first);
        html_put(page, "<span class=\"%s\" style=\"left:%f%%\">%s</span>",
                 at < 3    ? "first"
                 : at > 95 ? "last"
                           : "",
                 at, time_word(word, time, step));
    }
    html_put(page, "</div>");
}

static double rate_at(const struct timeline *timeline, size_t i)
{
    const struct point *now = &timeline->points[i], *before = &timeline->points[i - 1];
    return now->value[CALLS] < before->value[CALLS]
               ? 0
               : 1000.0 * (double)(now->value[CALLS] - before->value[CALLS]) / (double)(now->time_ms - before->time_ms);
}

static void put_rates(FILE *page, const struct timeline *timeline)
{
    double most = 0;
    for (size_t i = 1; i < timeline->count; i++)
        if (rate_at(timeline, i) > most)
            most = rate_at(timeline, i);
    if (most == 0)
        return;
    html_put(
        page,
        "<div class=\"chart rate\"><div class=\"plot\"><svg viewBox=\"0 0 1000 60\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        "<path class=\"s-calls fill\" d=\"M0 60");
    for (size_t i = 1; i < timeline->count; i++)
        html_put(page, " L%f %f H%f", x_of(timeline, i - 1), RATE_HEIGHT - RATE_HEIGHT * rate_at(timeline, i) / most,
                 x_of(timeline, i));
    html_put(page, " L1000 60 Z\"/></svg><span class=\"ylabel\" style=\"top:0\">%n<br>calls/s</span></div></div>",
             (uint64_t)(most + 0.5));
}

static void put_chart(FILE *page, const struct timeline *timeline)
{
    static const enum series order[] = {MAPPED, LIVE, DIRTY, RESIDENT};
    const uint64_t step = tick_step(timeline->most);
    const double top = (double)chart_top(timeline->most);
    html_put(page, "<figure class=\"timeline\"><p class=\"legend\">");
    for (int i = 0; i < CALLS; i++)
        if (has_series(timeline, i))
            html_put(page, "<span><i class=\"key line %s\"></i>%s</span>", series[i].class, series[i].name);
    html_put(
        page,
        "</p><div class=\"chart\" id=\"chart\"><div class=\"plot\">"
        "<svg viewBox=\"0 0 1000 300\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Memory over time\">");
    for (uint64_t tick = step; (double)tick < top && step != 0; tick += step)
        html_put(page, "<path class=\"grid\" d=\"M0 %f H1000\"/>", CHART_HEIGHT - CHART_HEIGHT * (double)tick / top);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (!has_series(timeline, order[i]))
            continue;
        if (order[i] == LIVE)
            put_line(page, timeline, LIVE, top, true);
        put_line(page, timeline, order[i], top, false);
    }
    html_put(page, "</svg>");
    for (uint64_t tick = step; (double)tick <= top; tick += step)
        html_put(page, "<span class=\"ylabel\" style=\"top:%f%%\">%b</span>", 100 - 100 * (double)tick / top, tick);
    html_put(page, "</div></div>");
    put_rates(page, timeline);
    put_times(page, timeline);
    html_put(page, "<figcaption id=\"reading\">%n readings, over %s.</figcaption></figure>\n",
             (uint64_t)timeline->count,
             html_duration((char[HTML_WORD]){0},
                           (timeline->points[timeline->count - 1].time_ms - timeline->points[0].time_ms) * 1000));
}

void report_put_timeline(FILE *page, const struct report *report)
{
    struct timeline timeline = gather(report);
    if (timeline.count > 1) {
        report_section(page, "timeline", "Over time", "Since the program started. Below: calls per second.");
        put_chart(page, &timeline);
        report_section_end(page);
    }
    free(timeline.points);
}

/* For the reading under the pointer. */
void report_put_timeline_data(FILE *page, const struct report *report)
{
    struct timeline timeline = gather(report);
    fputs("\"timeline\":[", page);
    for (size_t i = 0; timeline.count > 1 && i < timeline.count; i++) {
        const struct point *point = &timeline.points[i];
        fprintf(page, "%s[%.0f", i == 0 ? "" : ",", (double)point->time_ms);
        for (int j = 0; j < SERIES_COUNT; j++)
            fprintf(page, ",%.0f", (double)point->value[j]);
        fputc(']', page);
    }
    fputs("]", page);
    free(timeline.points);
}

/* ---- the heap map ---- */

enum { TILE = 8, CELLS = TILE * TILE, TILE_LIMIT = 4096 };

static const struct kind {
    char letter;
    const char *class, *name;
} kinds[] = {
    {'L', "kl", "large block"}, {'P', "kp", "pool or arena"},
    {'~', "kd", "free, dirty"}, {'.', "kc", "free, clean"},
    {'#', "km", "metadata"},    {'0', "k0", NULL},
    {'1', "k1", NULL},          {'2', "k2", NULL},
    {'3', "k3", NULL},          {'4', "k4", NULL},
    {'5', "k5", NULL},          {'6', "k6", NULL},
    {'7', "k7", NULL},          {'8', "k8", NULL},
    {'9', "k9", NULL},
};

/* Cells beside each other are one rectangle. */
static void put_cells(FILE *page, const char *frame, const struct kind *kind)
{
    bool open = false;
    for (unsigned cell = 0; cell < CELLS;) {
        unsigned end = cell + 1;
        if (frame[cell] != kind->letter) {
            cell = end;
            continue;
        }
        while (end < CELLS && end % TILE != 0 && frame[end] == kind->letter)
            end++;
        if (!open)
            html_put(page, "<path class=\"%s\" d=\"", kind->class);
        open = true;
        html_put(page, "M%d %dh%dv1h-%dz", (int)(cell % TILE), (int)(cell / TILE), (int)(end - cell),
                 (int)(end - cell));
        cell = end;
    }
    if (open)
        html_put(page, "\"/>");
}

/* In tenths of a granule. */
static unsigned in_use(const char *frame)
{
    unsigned tenths = 0;
    for (unsigned cell = 0; cell < CELLS; cell++) {
        if (frame[cell] >= '0' && frame[cell] <= '9')
            tenths += (unsigned)(frame[cell] - '0') + (frame[cell] == '9');
        else if (frame[cell] == 'L' || frame[cell] == 'P')
            tenths += 10;
    }
    return tenths;
}

static bool is_uniform(const char *frame)
{
    for (unsigned cell = 1; cell < CELLS; cell++)
        if (frame[cell] != frame[0])
            return false;
    return true;
}

static void put_tile(FILE *page, const char *frame, size_t number, size_t same, uint64_t granule_bytes)
{
    html_put(page, "<span class=\"tile\"><svg viewBox=\"0 0 8 8\"><title>at %b: %p in use</title>",
             (uint64_t)number * CELLS * granule_bytes, (uint64_t)in_use(frame), (uint64_t)10 * CELLS);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        put_cells(page, frame, &kinds[i]);
    html_put(page, "</svg>");
    if (same > 1)
        html_put(page, "<b>\xc3\x97%n</b>", (uint64_t)same);
    html_put(page, "</span>");
}

static void put_map_legend(FILE *page)
{
    html_put(page, "<p class=\"legend\"><span>slab, blocks in use <i class=\"scale\">");
    for (int i = 0; i < 10; i++)
        html_put(page, "<i class=\"b%d\"></i>", i);
    html_put(page, "</i> few\xe2\x80\x93"
                   "all</span>");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].name != NULL)
            html_put(page, "<span><i class=\"key %s\"></i>%s</span>", kinds[i].class, kinds[i].name);
    html_put(page, "</p>");
}

/* Frames of another length are not drawn: shorter ones get blanks. */
static void take_frame(const json_t *value, char frame[CELLS + 1])
{
    memset(frame, ' ', CELLS);
    frame[CELLS] = '\0';
    const char *text = json_string_value(value);
    if (text != NULL)
        memcpy(frame, text, strnlen(text, CELLS));
}

void report_put_map(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    const json_t *map = stats == NULL ? NULL : json_object_get(stats->root, "map");
    const json_t *frames = json_object_get(map, "frames");
    const uint64_t granule_bytes = report_number(map, NULL, "granule_bytes");
    const size_t count = json_array_size(frames);
    if (count == 0)
        return;
    report_section(page, "map", "Heap map", NULL);
    html_put(page, "<p class=\"note\">Each square is a frame of %b, in order of address; each cell in it is %b.</p>",
             granule_bytes * CELLS, granule_bytes);
    put_map_legend(page);
    html_put(page, "<div class=\"map\" id=\"heapmap\">\n");
    size_t tiles = 0, i = 0;
    while (i < count && tiles < TILE_LIMIT) {
        char frame[CELLS + 1], other[CELLS + 1];
        size_t same = 1;
        take_frame(json_array_get(frames, i), frame);
        for (; is_uniform(frame) && i + same < count; same++) {
            take_frame(json_array_get(frames, i + same), other);
            if (memcmp(frame, other, CELLS) != 0)
                break;
        }
        /* two alike are shown as two */
        if (same < 4)
            same = 1;
        put_tile(page, frame, i, same, granule_bytes);
        i += same;
        tiles++;
    }
    html_put(page, "</div>\n");
    if (i < count)
        html_put(page, "<p class=\"note\">%n more frames are not shown.</p>", (uint64_t)(count - i));
    report_section_end(page);
}

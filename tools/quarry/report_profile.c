/*
 * report_profile.c: the sections of the HTML report that are made from profiles: flame graph, functions, leaks,
 * lifetimes.
 *
 * All of them come from one tree, whose columns are the metrics that the newest profile has and, with two profiles, the
 * older one's live bytes and the difference. The flame graph of a difference is as wide as what has changed: stacks
 * that hold as much as before are not in it.
 */
#include "report_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct metric {
    const char *type, *id, *title, *meaning;
} known_metrics[] = {
    {"inuse_space", "live", "Live", "bytes that the program holds"},
    {"peak_space", "peak", "Peak", "bytes that were held when most were"},
    {"pinned_space", "pinned", "Pinned",
     "free bytes in slabs that these stacks\xe2\x80\x99 blocks keep in place: fragmentation, by who causes it"},
    {"alloc_space", "allocated", "Allocated", "bytes allocated since the start, freed ones included"},
    {"inuse_objects", "objects", "Live blocks", "blocks that the program holds"},
    {"alloc_objects", "calls", "Calls", "blocks allocated since the start"},
};

enum { METRIC_LIMIT = 8, KNOWN_METRICS = sizeof known_metrics / sizeof *known_metrics };

/* What has been made of the profiles, by whoever asks first. */
static struct view {
    const struct report *made_for;
    const struct profile *profile, *before; /* before: or NULL */
    struct metric metrics[METRIC_LIMIT];
    bool bytes[METRIC_LIMIT];
    size_t metric_count;
    size_t objects;              /* column of live blocks, or METRIC_LIMIT */
    size_t old, change, changed; /* columns of a difference: before, after minus before, and that without its sign */
    struct tree tree;
} view;

static bool has_value(const struct profile *profile, int type)
{
    for (size_t i = 0; i < profile->sample_count; i++)
        if (profile->samples[i].values[type] != 0)
            return true;
    return false;
}

static void add_metric(const struct metric *metric, int type)
{
    if (view.metric_count == METRIC_LIMIT || !has_value(view.profile, type))
        return;
    const size_t column = view.metric_count++;
    view.metrics[column] = *metric;
    view.bytes[column] = strcmp(view.profile->types[type].unit, "bytes") == 0;
    tree_add(&view.tree, view.profile, (size_t)type, column, true);
}

static void add_difference(void)
{
    const int before = profile_find_type(view.before, "live");
    struct tree *tree = &view.tree;
    view.old = METRIC_LIMIT;
    view.change = METRIC_LIMIT + 1;
    view.changed = METRIC_LIMIT + 2;
    if (before < 0) {
        view.before = NULL;
        return;
    }
    tree_add(tree, view.before, (size_t)before, view.old, true);
    for (size_t node = 0; node < tree->count; node++) {
        int64_t *self = &tree->self[node * tree->width];
        self[view.change] = (int64_t)((uint64_t)self[0] - (uint64_t)self[view.old]);
        self[view.changed] = self[view.change] < 0 ? (int64_t)(0 - (uint64_t)self[view.change]) : self[view.change];
    }
}

/* NULL without a profile that has anything in it. */
static const struct view *look(const struct report *report)
{
    if (report->profile_count == 0)
        return NULL;
    if (view.made_for == report)
        return view.metric_count == 0 ? NULL : &view;
    view = (struct view){.made_for = report,
                         .profile = &report->profiles[report->profile_count - 1],
                         .before = report->profile_count > 1 ? &report->profiles[0] : NULL,
                         .objects = METRIC_LIMIT};
    tree_start(&view.tree, METRIC_LIMIT + 3);
    for (size_t i = 0; i < KNOWN_METRICS; i++) {
        const int type = profile_find_type(view.profile, known_metrics[i].type);
        const size_t column = view.metric_count;
        if (type >= 0)
            add_metric(&known_metrics[i], type);
        if (strcmp(known_metrics[i].id, "objects") == 0 && view.metric_count > column)
            view.objects = column;
    }
    if (view.metric_count == 0 || strcmp(view.metrics[0].id, "live") != 0)
        view.before = NULL;
    for (size_t i = 0; view.metric_count == 0 && i < view.profile->type_count; i++) {
        const struct profile_type *type = &view.profile->types[i];
        add_metric(&(struct metric){type->name, "other", type->name, type->unit}, (int)i);
    }
    if (view.before != NULL)
        add_difference();
    tree_finish(&view.tree);
    return view.metric_count == 0 ? NULL : &view;
}

static const int64_t *total_of(const struct tree *tree, size_t node)
{
    return &tree->total[node * tree->width];
}

static const char *module_of(const struct tree *tree, uint32_t name)
{
    return name < tree->module_capacity && tree->module[name] != NULL ? tree->module[name] : "";
}

/* ---- the functions, as a table ---- */

enum { FUNCTION_ROWS = 60, STACK_ROWS = 25 };

static const struct tree_sum *rank_sums;

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

static int compare_functions(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const uint64_t self_a = magnitude(rank_sums[a].self), self_b = magnitude(rank_sums[b].self);
    if (self_a != self_b)
        return self_a < self_b ? 1 : -1;
    const uint64_t total_a = magnitude(rank_sums[a].total), total_b = magnitude(rank_sums[b].total);
    if (total_a != total_b)
        return total_a < total_b ? 1 : -1;
    return a < b ? -1 : 1;
}

static void put_value(FILE *page, bool bytes, int64_t value)
{
    char word[HTML_WORD];
    html_put(page, value == 0 ? "<td class=\"zero\" data-v=\"%f\">" : "<td data-v=\"%f\">", (double)value);
    if (value == 0)
        html_put(page, "0</td>");
    else if (bytes)
        html_put(page, "%s</td>", html_signed_bytes(word, value) + (value > 0));
    else
        html_put(page, "%s%n</td>", value < 0 ? "\xe2\x88\x92" : "", magnitude(value));
}

static void put_signed(FILE *page, int64_t value)
{
    char word[HTML_WORD];
    html_put(page, "<td class=\"%s\" data-v=\"%f\">%s</td>",
             value > 0   ? "grew"
             : value < 0 ? "shrank"
                         : "",
             (double)value, html_signed_bytes(word, value));
}

/* Column numbers of the table: all metrics, or before, after and change. */
static void put_functions(FILE *page, const struct view *view, size_t rank, const char *id)
{
    const struct tree *tree = &view->tree;
    const bool difference = rank == view->change && view->before != NULL;
    struct tree_sum *sums[METRIC_LIMIT + 3] = {NULL};
    uint32_t *order = store_grow(NULL, tree->words.count, sizeof *order);
    size_t count = 0;
    for (size_t i = 0; i < METRIC_LIMIT + 3; i++)
        if (i < view->metric_count || (difference && i >= METRIC_LIMIT))
            sums[i] = tree_sums(tree, i);
    for (uint32_t i = 1; i < tree->words.count; i++)
        if (!difference || sums[rank][i].self != 0)
            order[count++] = i;
    rank_sums = sums[rank];
    if (count > 1)
        qsort(order, count, sizeof *order, compare_functions);
    html_put(
        page,
        "<div class=\"scroll\"><table class=\"sortable functions\" id=\"%s\"><thead><tr><th>Function</th><th>In</th>",
        id);
    if (difference)
        html_put(page, "<th class=\"n\">Before</th><th class=\"n\">After</th><th class=\"n\">Difference</th>");
    else
        for (size_t i = 0; i < view->metric_count; i++)
            html_put(page,
                     i == 0 ? "<th class=\"n\">%t, itself</th><th class=\"n\">with callees</th>"
                            : "<th class=\"n\">%t</th>",
                     view->metrics[i].title);
    html_put(page, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < count && i < FUNCTION_ROWS; i++) {
        const uint32_t name = order[i];
        html_put(page, "<tr><th scope=\"row\" class=\"name\">%t</th><td class=\"l module\">%t</td>",
                 tree->words.word[name], module_of(tree, name));
        if (difference) {
            put_value(page, true, sums[view->old][name].self);
            put_value(page, true, sums[0][name].self);
            put_signed(page, sums[view->change][name].self);
        }
        for (size_t j = 0; !difference && j < view->metric_count; j++) {
            put_value(page, view->bytes[j], sums[j][name].self);
            if (j == 0)
                put_value(page, view->bytes[j], sums[j][name].total);
        }
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
    if (count > FUNCTION_ROWS)
        html_put(page, "<p class=\"note\">%n more functions are not listed.</p>", (uint64_t)(count - FUNCTION_ROWS));
    for (size_t i = 0; i < METRIC_LIMIT + 3; i++)
        free(sums[i]);
    free(order);
}

void report_put_profile(FILE *page, const struct report *report)
{
    const struct view *view = look(report);
    if (view == NULL) {
        if (report->profile_count != 0) {
            report_section(page, "profile", "Who allocates",
                           "The profile has no samples: less was allocated than it takes for one.");
            report_section_end(page);
        }
        return;
    }
    report_section(
        page, "profile", "Who allocates",
        "Call stacks from the heap profile, outermost function on top. The width of a frame is its share. The numbers are estimates from samples.");
    html_put(page, "<div id=\"flame\" hidden></div>\n");
    html_put(
        page,
        "<h3>Functions</h3><p class=\"note\">What each function\xe2\x80\x99s own allocations come to, and with those of the functions it calls; estimates from samples.</p>\n");
    put_functions(page, view, 0, "functiontable");
    if (view->before != NULL) {
        html_put(
            page,
            "<h3>Difference</h3><p class=\"note\">Live bytes now against those of the first profile, by the function that allocated them.</p>\n");
        if (total_of(&view->tree, 0)[view->changed] == 0)
            html_put(
                page,
                "<p class=\"empty\" id=\"nodifference\">There is none: every stack holds as much as before.</p>\n");
        else
            put_functions(page, view, view->change, "differencetable");
    }
    report_section_end(page);
}

/* ---- what is still held, stack by stack ---- */

static size_t rank_column;

static int compare_nodes(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const int64_t value_a = view.tree.self[a * view.tree.width + rank_column];
    const int64_t value_b = view.tree.self[b * view.tree.width + rank_column];
    if (value_a != value_b)
        return value_a < value_b ? 1 : -1;
    return a < b ? -1 : 1;
}

static void put_stack(FILE *page, const struct tree *tree, uint32_t node)
{
    html_put(page, "<details><summary>%t", tree->words.word[tree->nodes[node].name]);
    if (tree->nodes[node].depth > 1)
        html_put(page, " <span class=\"soft\">\xe2\x86\x90 %t</span>",
                 tree->words.word[tree->nodes[tree->nodes[node].parent].name]);
    html_put(page, "</summary><ol class=\"stack\">");
    for (; node != 0; node = tree->nodes[node].parent)
        html_put(page, "<li>%t</li>", tree->words.word[tree->nodes[node].name]);
    html_put(page, "</ol></details>");
}

void report_put_leaks(FILE *page, const struct report *report)
{
    const struct view *view = look(report);
    if (view == NULL || strcmp(view->metrics[0].id, "live") != 0)
        return;
    const struct tree *tree = &view->tree;
    const int64_t all = total_of(tree, 0)[0];
    uint32_t *order = store_grow(NULL, tree->count, sizeof *order);
    size_t count = 0;
    for (uint32_t node = 0; node < tree->count; node++)
        if (tree->self[node * tree->width] > 0)
            order[count++] = node;
    rank_column = view->before != NULL ? view->change : 0;
    if (count > 1)
        qsort(order, count, sizeof *order, compare_nodes);
    report_section(
        page, "leaks", "Leaks and what is held",
        view->before != NULL
            ? "Stacks whose blocks are still held, those that grew most first. What grows from profile to profile is what leaks."
            : "Stacks whose blocks were still held when the profile was taken. In a profile from the program\xe2\x80\x99s exit, nobody has freed these.");
    html_put(
        page,
        "<div class=\"scroll\"><table id=\"leaktable\" class=\"sortable\"><thead><tr><th>Stack</th><th class=\"n\">Held</th><th class=\"n\">Share</th>%s%s</tr></thead><tbody>\n",
        view->objects < METRIC_LIMIT ? "<th class=\"n\">Blocks</th>" : "",
        view->before != NULL ? "<th class=\"n\">Growth</th>" : "");
    for (size_t i = 0; i < count && i < STACK_ROWS; i++) {
        const int64_t *self = &tree->self[order[i] * tree->width];
        html_put(page, "<tr><th scope=\"row\" class=\"name\">");
        put_stack(page, tree, order[i]);
        html_put(page, "</th>");
        put_value(page, true, self[0]);
        html_put(page, "<td data-v=\"%f\">%p</td>", (double)self[0], (uint64_t)self[0], (uint64_t)all);
        if (view->objects < METRIC_LIMIT)
            put_value(page, false, self[view->objects]);
        if (view->before != NULL)
            put_signed(page, self[view->change]);
        html_put(page, "</tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
    if (count > STACK_ROWS)
        html_put(page, "<p class=\"note\">%n more stacks are not listed.</p>", (uint64_t)(count - STACK_ROWS));
    report_section_end(page);
    free(order);
}

/* ---- lifetimes ---- */

enum { LIFETIME_BUCKETS = 48 };

/* "lifetime LOG2-MICROSECONDS COUNT" among the comments; false: there are none. */
static bool take_lifetimes(const struct profile *profile, uint64_t counts[LIFETIME_BUCKETS])
{
    bool any = false;
    memset(counts, 0, LIFETIME_BUCKETS * sizeof *counts);
    for (size_t i = 0; i < profile->comment_count; i++) {
        unsigned bucket;
        uint64_t count;
        if (sscanf(profile->comments[i], "lifetime %u %" SCNu64, &bucket, &count) != 2)
            continue;
        counts[bucket < LIFETIME_BUCKETS ? bucket : LIFETIME_BUCKETS - 1] += count;
        any = true;
    }
    return any;
}

void report_put_lifetimes(FILE *page, const struct report *report)
{
    uint64_t counts[LIFETIME_BUCKETS], most = 0, sum = 0;
    if (report->profile_count == 0 || !take_lifetimes(&report->profiles[report->profile_count - 1], counts))
        return;
    int first = LIFETIME_BUCKETS, last = 0;
    for (int i = 0; i < LIFETIME_BUCKETS; i++) {
        if (counts[i] == 0)
            continue;
        first = i < first ? i : first;
        last = i;
        most = counts[i] > most ? counts[i] : most;
        sum += counts[i];
    }
    if (sum == 0)
        return;
    report_section(
        page, "lifetimes", "Lifetimes",
        "How long sampled blocks lived that have been freed. Short-lived ones are those that a buffer on the stack or a pool could replace.");
    html_put(page, "<div class=\"histogram\" id=\"histogram\">\n");
    for (int i = first; i <= last; i++) {
        char word[HTML_WORD];
        html_put(
            page,
            "<div><span class=\"from\">%s</span><span class=\"m\"><span style=\"width:%f%%\"></span></span><span class=\"v\">%n <span class=\"soft\">%p</span></span></div>\n",
            i == 0 ? "0" : html_duration(word, (uint64_t)1 << i), 100.0 * (double)counts[i] / (double)most, counts[i],
            counts[i], sum);
    }
    html_put(page, "</div><p class=\"note\">Each row holds lifetimes from its time up to twice that.</p>\n");
    report_section_end(page);
}

/* ---- the flame graph's data ---- */

/* Less than this part of everything, in every metric, is too narrow to be seen. */
enum { VISIBLE_PART = 4000 };

static bool is_visible(const struct view *view, size_t node)
{
    const int64_t *total = total_of(&view->tree, node), *all = total_of(&view->tree, 0);
    for (size_t i = 0; i < view->metric_count; i++)
        if (total[i] > all[i] / VISIBLE_PART)
            return true;
    return view->before != NULL && total[view->changed] > all[view->changed] / VISIBLE_PART;
}

/* Numbers of visible nodes, parents before their children, each with all its descendants behind it. */
static size_t list_nodes(const struct view *view, uint32_t *list)
{
    const struct tree *tree = &view->tree;
    size_t count = 0;
    for (uint32_t node = 0;;) {
        const bool visible = is_visible(view, node);
        if (visible)
            list[count++] = node;
        if (visible && tree->nodes[node].first != 0) {
            node = tree->nodes[node].first;
            continue;
        }
        while (node != 0 && tree->nodes[node].next == 0)
            node = tree->nodes[node].parent;
        if (node == 0)
            return count;
        node = tree->nodes[node].next;
    }
}

static void put_column(FILE *page, const struct tree *tree, const uint32_t *list, size_t count, size_t column)
{
    fputc('[', page);
    for (size_t i = 0; i < count; i++)
        fprintf(page, "%s%" PRId64, i == 0 ? "" : ",", total_of(tree, list[i])[column]);
    fputc(']', page);
}

static void put_metric(FILE *page, const struct metric *metric, bool bytes)
{
    fputs("{\"id\":", page);
    html_json(page, metric->id);
    fputs(",\"title\":", page);
    html_json(page, metric->title);
    fputs(",\"meaning\":", page);
    html_json(page, metric->meaning);
    fprintf(page, ",\"bytes\":%s,\"values\":", bytes ? "true" : "false");
}

/* Names that are used, numbered anew. */
static void put_names(FILE *page, const struct tree *tree, const uint32_t *list, size_t count)
{
    uint32_t *number = store_grow(NULL, tree->words.count, sizeof *number);
    struct words modules = {0};
    size_t used = 0;
    memset(number, 0, tree->words.count * sizeof *number);
    fputs("\"names\":[", page);
    for (size_t i = 0; i < count; i++) {
        const uint32_t name = tree->nodes[list[i]].name;
        if (number[name] != 0)
            continue;
        fputs(used == 0 ? "" : ",", page);
        html_json(page, tree->words.word[name]);
        number[name] = (uint32_t)++used;
    }
    fputs("],\"module\":[", page);
    used = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t name = tree->nodes[list[i]].name;
        if (number[name] != used + 1)
            continue;
        fprintf(page, "%s%" PRIu32, used++ == 0 ? "" : ",", words_number(&modules, module_of(tree, name)));
    }
    fputs("],\"modules\":[", page);
    for (size_t i = 0; i < modules.count; i++) {
        fputs(i == 0 ? "" : ",", page);
        html_json(page, modules.word[i]);
    }
    fputs("],\"name\":[", page);
    for (size_t i = 0; i < count; i++)
        fprintf(page, "%s%" PRIu32, i == 0 ? "" : ",", number[tree->nodes[list[i]].name] - 1);
    fputs("],\"depth\":[", page);
    for (size_t i = 0; i < count; i++)
        fprintf(page, "%s%" PRIu32, i == 0 ? "" : ",", tree->nodes[list[i]].depth);
    fputs("]", page);
    words_free(&modules);
    free(number);
}

void report_put_profile_data(FILE *page, const struct report *report)
{
    const struct view *view = look(report);
    if (view == NULL) {
        fputs("\"flame\":null", page);
        return;
    }
    uint32_t *list = store_grow(NULL, view->tree.count, sizeof *list);
    const size_t count = list_nodes(view, list);
    fputs("\"flame\":{", page);
    put_names(page, &view->tree, list, count);
    fputs(",\"metrics\":[", page);
    for (size_t i = 0; i < view->metric_count; i++) {
        fputs(i == 0 ? "" : ",", page);
        put_metric(page, &view->metrics[i], view->bytes[i]);
        put_column(page, &view->tree, list, count, i);
        fputc('}', page);
    }
    if (view->before != NULL) {
        fputc(',', page);
        put_metric(
            page,
            &(struct metric){
                "", "difference", "Difference",
                "live bytes that are more or fewer than in the first profile; frames are as wide as what has changed"},
            true);
        put_column(page, &view->tree, list, count, view->changed);
        fputs(",\"change\":", page);
        put_column(page, &view->tree, list, count, view->change);
        fputc('}', page);
    }
    fputs("]}", page);
    free(list);
    tree_free(&((struct view *)view)->tree);
    ((struct view *)view)->made_for = NULL;
}

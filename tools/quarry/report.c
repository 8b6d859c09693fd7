/*
 * report.c: quarry report, one HTML file about a program's memory.
 *
 * The files on the command line are statistics (JSON) and heap profiles; what each is, its first bytes say. The page is
 * composed in memory from report.html, with report.css and report.js inside it (report_embedded.h, made by embed.sh),
 * and sections from report_*.c; everything in it can be read without JavaScript but the flame graph, which then is a
 * table. It asks for nothing from anywhere: its Content-Security-Policy forbids that, and scripts but the one it brings.
 */
#include "command.h"

#include "quarry/quarry.h"
#include "report_embedded.h"
#include "report_parts.h"
#include "symbols.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "usage: quarry report [options] FILE...\n"
                            "Makes one HTML page of statistics (QUARRY_STATS=json) and heap profiles (QUARRY_PROF=1).\n"
                            "Several statistics make a time line; two profiles make a difference.\n"
                            "  -o, --output=FILE    instead of standard output\n"
                            "  -t, --title=TITLE    instead of the program's name\n"
                            "  -n, --no-symbols     addresses as module and offset\n"
                            "  -h, --help           this\n";

/* ---- reading ---- */

static bool add_stats(struct report *report, const char *path, const unsigned char *bytes, size_t length)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)bytes, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fprintf(stderr, "quarry: %s: line %d, column %d: %s\n", path, error.line, error.column, error.text);
        return false;
    }
    if (!report_check_stats(path, root)) {
        json_decref(root);
        return false;
    }
    struct report_stats stats = {.path = path, .root = root};
    stats.time_ms = report_number(root, NULL, "time_unix_ms");
    const uint64_t uptime = report_number(root, NULL, "uptime_ms");
    stats.started_ms = stats.time_ms > uptime ? stats.time_ms - uptime : 0;
    stats.pid = report_number(root, NULL, "pid");
    report->stats = store_grow(report->stats, report->stats_count + 1, sizeof *report->stats);
    report->stats[report->stats_count++] = stats;
    return true;
}

static bool add_profile(struct report *report, const char *path, const unsigned char *bytes, size_t length)
{
    struct profile profile = {0};
    if (!profile_parse(&profile, path, bytes, length)) {
        profile_free(&profile);
        return false;
    }
    report->profiles = store_grow(report->profiles, report->profile_count + 1, sizeof *report->profiles);
    report->profiles[report->profile_count++] = profile;
    return true;
}

static bool add_file(struct report *report, const char *path)
{
    size_t length;
    unsigned char *bytes = profile_load(path, &length);
    if (bytes == NULL)
        return false;
    const bool added = profile_guess(bytes, length) == PROFILE_STATS ? add_stats(report, path, bytes, length)
                                                                     : add_profile(report, path, bytes, length);
    free(bytes);
    return added;
}

static int compare_stats(const void *left, const void *right)
{
    const struct report_stats *a = left, *b = right;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

static int compare_profiles(const void *left, const void *right)
{
    const struct profile *a = left, *b = right;
    return (a->time_ns > b->time_ns) - (a->time_ns < b->time_ns);
}

static void sort_files(struct report *report)
{
    bool dated = true;
    for (size_t i = 0; i < report->profile_count; i++)
        dated &= report->profiles[i].time_ns != 0;
    if (report->stats_count > 1)
        qsort(report->stats, report->stats_count, sizeof *report->stats, compare_stats);
    if (report->profile_count > 1 && dated)
        qsort(report->profiles, report->profile_count, sizeof *report->profiles, compare_profiles);
}

const struct report_stats *report_newest(const struct report *report)
{
    return report->stats_count == 0 ? NULL : &report->stats[report->stats_count - 1];
}

/* ---- the page's frame ---- */

void report_section(FILE *page, const char *id, const char *title, const char *note)
{
    html_put(page, "<section id=\"%s\"><h2>%s</h2>\n", id, title);
    if (note != NULL)
        html_put(page, "<p class=\"note\">%s</p>\n", note);
}

void report_section_end(FILE *page)
{
    fputs("</section>\n", page);
}

static const char *name_of(const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    const char *name = report->title;
    if (name == NULL && stats != NULL)
        name = json_string_value(json_object_get(stats->root, "program"));
    if (name == NULL && report->profile_count != 0)
        name = profile_comment(&report->profiles[report->profile_count - 1], "program");
    if (name == NULL && report->profile_count != 0)
        name = report->profiles[report->profile_count - 1].path;
    return name == NULL ? "a program" : name;
}

static void put_time(FILE *page, uint64_t time_ms)
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char word[HTML_WORD];
    if (gmtime_r(&seconds, &parts) != NULL && strftime(word, sizeof word, "%Y-%m-%d %H:%M:%S UTC", &parts) != 0)
        html_put(page, "%s", word);
}

static void put_whose(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    char word[HTML_WORD];
    if (stats == NULL) {
        const char *pid = profile_comment(&report->profiles[report->profile_count - 1], "pid");
        if (pid != NULL)
            html_put(page, "<span>pid %t</span>", pid);
        if (report->profiles[report->profile_count - 1].time_ns > 0) {
            html_put(page, "<span>");
            put_time(page, (uint64_t)report->profiles[report->profile_count - 1].time_ns / 1000000);
            html_put(page, "</span>");
        }
        return;
    }
    const char *reason = json_string_value(json_object_get(stats->root, "reason"));
    html_put(page, "<span>pid %u</span>", stats->pid);
    if (reason != NULL)
        html_put(page, "<span>%s%t</span>", strcmp(reason, "exit") == 0 ? "at " : "", reason);
    if (stats->time_ms != 0) {
        html_put(page, "<span>");
        put_time(page, stats->time_ms);
        html_put(page, "</span>");
    }
    html_put(page, "<span>after %s</span>", html_duration(word, report_number(stats->root, NULL, "uptime_ms") * 1000));
}

static void put_figure(FILE *page, const char *name, const char *number)
{
    html_put(page, "<div><dt>%s</dt><dd>%s</dd></div>", name, number);
}

/* The five numbers that people ask for first. */
static void put_figures(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    char word[HTML_WORD];
    static const struct {
        const char *key, *name;
    } figures[] = {{"resident", "Resident"}, {"resident_peak", "Peak"}, {"mapped", "Mapped"}, {"live", "Live"}};
    if (stats == NULL)
        return;
    html_put(page, "<dl class=\"figures\">");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const uint64_t bytes = report_number(stats->root, "memory", figures[i].key);
        if (bytes != 0)
            put_figure(page, figures[i].name, html_bytes(word, bytes));
    }
    if (report_number(stats->root, "work", "calls") != 0)
        put_figure(page, "Calls", html_number(word, report_number(stats->root, "work", "calls")));
    html_put(page, "</dl>\n");
}

static void put_head(FILE *page, const struct report *report)
{
    const struct report_stats *stats = report_newest(report);
    const char *verdict = stats == NULL ? NULL : json_string_value(json_object_get(stats->root, "verdict"));
    html_put(page, "<header><p class=\"brand\">quarry report</p><h1>%t</h1><p class=\"whose\">", name_of(report));
    put_whose(page, report);
    html_put(page, "</p></header>\n");
    if (verdict != NULL)
        html_put(page, "<p id=\"verdict\">%t</p>\n", verdict);
    put_figures(page, report);
}

/* ---- the files, at the end ---- */

static void put_files(FILE *page, const struct report *report)
{
    report_section(page, "files", "Files", "What this page was made from.");
    html_put(
        page,
        "<div class=\"scroll\"><table><thead><tr><th>File</th><th>Kind</th><th>Program</th><th class=\"n\">Pid</th><th>Taken</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < report->stats_count; i++) {
        const struct report_stats *stats = &report->stats[i];
        const char *program = json_string_value(json_object_get(stats->root, "program"));
        html_put(
            page,
            "<tr><th scope=\"row\" class=\"name\">%t</th><td class=\"l\">statistics</td><td class=\"l\">%t</td><td>%u</td><td class=\"l\">",
            stats->path, program == NULL ? "" : program, stats->pid);
        put_time(page, stats->time_ms);
        html_put(page, "</td></tr>\n");
    }
    for (size_t i = 0; i < report->profile_count; i++) {
        const struct profile *profile = &report->profiles[i];
        const char *program = profile_comment(profile, "program"), *pid = profile_comment(profile, "pid");
        html_put(
            page,
            "<tr><th scope=\"row\" class=\"name\">%t</th><td class=\"l\">profile, %n stacks</td><td class=\"l\">%t</td><td>%t</td><td class=\"l\">",
            profile->path, (uint64_t)profile->sample_count, program == NULL ? "" : program, pid == NULL ? "" : pid);
        if (profile->time_ns > 0)
            put_time(page, (uint64_t)profile->time_ns / 1000000);
        html_put(page, "</td></tr>\n");
    }
    html_put(page, "</tbody></table></div>\n");
    report_section_end(page);
}

/* ---- all of it ---- */

static void put_body(FILE *page, const struct report *report)
{
    put_head(page, report);
    html_put(page, "<nav id=\"contents\" hidden></nav>\n");
    report_put_memory(page, report);
    report_put_timeline(page, report);
    report_put_profile(page, report);
    report_put_leaks(page, report);
    report_put_classes(page, report);
    report_put_threads(page, report);
    report_put_map(page, report);
    report_put_lifetimes(page, report);
    report_put_buffers(page, report);
    report_put_work(page, report);
    put_files(page, report);
    html_put(page, "<footer>Made by quarry %d.%d.%d. This file is all of the report: it loads nothing.</footer>\n",
             QY_VERSION_MAJOR, QY_VERSION_MINOR, QY_VERSION_PATCH);
}

static void put_data(FILE *page, const struct report *report)
{
    fputc('{', page);
    report_put_timeline_data(page, report);
    fputc(',', page);
    report_put_profile_data(page, report);
    fputc('}', page);
}

/* The template has lines of the form @NAME@ where the parts belong. */
static void put_page(FILE *page, const struct report *report)
{
    const char *at = report_html;
    for (const char *mark; (mark = strchr(at, '@')) != NULL;) {
        const char *end = strchr(mark + 1, '@');
        if (end == NULL)
            break;
        fwrite(at, 1, (size_t)(mark - at), page);
        const size_t length = (size_t)(end - mark - 1);
        if (strncmp(mark + 1, "TITLE", length) == 0)
            html_text(page, name_of(report));
        else if (strncmp(mark + 1, "STYLE", length) == 0)
            fputs(report_css, page);
        else if (strncmp(mark + 1, "POLICY", length) == 0)
            fputs(REPORT_SCRIPT_POLICY, page);
        else if (strncmp(mark + 1, "BODY", length) == 0)
            put_body(page, report);
        else if (strncmp(mark + 1, "DATA", length) == 0)
            put_data(page, report);
        else if (strncmp(mark + 1, "SCRIPT", length) == 0)
            fputs(report_js, page);
        at = end + 1;
    }
    fputs(at, page);
}

static bool write_page(const struct report *report, const char *path)
{
    char *bytes = NULL;
    size_t length = 0;
    FILE *memory = open_memstream(&bytes, &length);
    bool written = memory != NULL;
    if (memory != NULL) {
        put_page(memory, report);
        written = fclose(memory) == 0;
    }
    FILE *out = !written ? NULL : path == NULL ? stdout : fopen(path, "we");
    written = out != NULL && fwrite(bytes, 1, length, out) == length;
    if (out != NULL)
        written = (path == NULL ? fflush(out) : fclose(out)) == 0 && written;
    if (!written)
        fprintf(stderr, "quarry: %s: %s\n", path == NULL ? "standard output" : path, strerror(errno));
    free(bytes);
    return written;
}

int report_command(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"title", required_argument, NULL, 't'},
                                            {"no-symbols", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct report report = {0};
    const char *output = NULL;
    bool symbols = true, good = true;
    for (int option; (option = getopt_long(argc, argv, "o:t:nh", options, NULL)) != -1;) {
        switch (option) {
        case 'o': output = optarg; break;
        case 't': report.title = optarg; break;
        case 'n': symbols = false; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind == argc)
        fail_usage("report ", "report takes statistics and profiles");
    for (int i = optind; good && i < argc; i++)
        good = add_file(&report, argv[i]);
    sort_files(&report);
    for (size_t i = 0; good && symbols && i < report.profile_count; i++)
        symbols_resolve(&report.profiles[i]);
    good = good && write_page(&report, output);
    for (size_t i = 0; i < report.stats_count; i++)
        json_decref(report.stats[i].root);
    for (size_t i = 0; i < report.profile_count; i++)
        profile_free(&report.profiles[i]);
    free(report.stats);
    free(report.profiles);
    return good ? 0 : 1;
}

/*
 * top.c: quarry top: the numbers of a process, and how fast they change.
 *
 *     take -> before | now -> lines of text -> the terminal (top_screen.c), or standard output (--batch)
 */
#include "top.h"

#include "command.h"
#include "image.h"

#include "os.h"
#include "report.h"
#include "sizeclass.h"
#include "verdict.h"

#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 64 << 10, COLUMNS_DEFAULT = 100, HISTORY_COLUMNS_LEAST = 20, LABEL_COLUMN = 10 };

/* ---- taking ---- */

void top_take(struct top *top)
{
    struct numbers *spare = top->before;
    top->before = top->now;
    top->now = spare;
    numbers_take(top->target, top->now, WITH_THREADS);
}

/* Events a second between the two takes; at first, since the start. */
static uint64_t rate(const struct top *top, uint64_t now, uint64_t before)
{
    const uint64_t from = top->before->taken_ms != 0 ? top->before->taken_ms : top->now->stats.started_ms;
    const uint64_t ms = top->now->taken_ms - qyi_min(from, top->now->taken_ms);
    return ms == 0 || now < before ? 0 : ((now - before) * 1000 + ms / 2) / ms;
}

static uint64_t calls_of(const struct qyi_stats *stats)
{
    uint64_t calls = stats->large_calls;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += stats->classes[class].calls;
    return calls;
}

/* ---- the head ---- */

static void put_amount(struct qyi_text *text, const char *name, size_t bytes)
{
    qyi_put(text, "  ");
    qyi_put(text, name);
    qyi_put(text, " ");
    qyi_put_word(text, qyi_bytes_word(bytes), 0);
}

static void put_rate(struct qyi_text *text, const struct top *top, const char *name, uint64_t now, uint64_t before)
{
    qyi_put(text, "  ");
    qyi_put_number(text, rate(top, now, before));
    qyi_put(text, " ");
    qyi_put(text, name);
}

static void put_two_digits(struct qyi_text *text, uint64_t number)
{
    qyi_put(text, number < 10 ? "0" : "");
    qyi_put_number(text, number);
}

static void put_title(struct qyi_text *text, const struct top *top)
{
    const struct qyi_stats *stats = &top->now->stats;
    qyi_put(text, "quarry top: ");
    qyi_put_printable(text, top->target->program);
    qyi_put(text, " (pid ");
    qyi_put_number(text, (uint64_t)top->target->pid);
    qyi_put(text, ")");
    if (stats->started_ms != 0 && top->now->taken_ms > stats->started_ms) {
        const uint64_t seconds = (top->now->taken_ms - stats->started_ms) / 1000;
        qyi_put(text, ", up ");
        qyi_put_number(text, seconds / 3600);
        qyi_put(text, ":");
        put_two_digits(text, seconds / 60 % 60);
        qyi_put(text, ":");
        put_two_digits(text, seconds % 60);
    }
    qyi_put(text, top->before->taken_ms == 0 ? ", rates since the start\n" : "\n");
}

static void put_head(struct qyi_text *text, const struct top *top)
{
    const struct qyi_stats *now = &top->now->stats;
    const struct qyi_stats *before = &top->before->stats;
    put_title(text, top);
    qyi_put_left(text, "memory", LABEL_COLUMN);
    put_amount(text, "live", now->live);
    put_amount(text, "free in slabs", now->free_in_slabs);
    put_amount(text, "cached", now->cached);
    put_amount(text, "dirty", now->dirty);
    put_amount(text, "clean", now->clean);
    put_amount(text, "metadata", now->metadata);
    put_amount(text, "= mapped", now->mapped);
    qyi_put(text, "\n");
    qyi_put_left(text, "resident", LABEL_COLUMN);
    put_amount(text, "all", now->resident);
    put_amount(text, "ours", now->resident_ours);
    put_amount(text, "not ours", now->resident - now->resident_ours);
    put_amount(text, "peak", now->resident_peak);
    qyi_put(text, "\n");
    qyi_put_left(text, "a second", LABEL_COLUMN);
    put_rate(text, top, "calls", calls_of(now), calls_of(before));
    put_rate(text, top, "large", now->large_calls, before->large_calls);
    put_rate(text, top, "refills", now->refills, before->refills);
    put_rate(text, top, "flushes", now->flushes, before->flushes);
    put_rate(text, top, "remote frees", now->remote_frees, before->remote_frees);
    put_amount(text, "purged", rate(top, now->purged_bytes, before->purged_bytes));
    qyi_put(text, "\n");
    qyi_put_left(text, "verdict", LABEL_COLUMN);
    qyi_put(text, "  ");
    qyi_verdict_put(text, now);
    qyi_put(text, "\n");
}

/* ---- history ---- */

/* One of nine heights. */
static const char *bar(const struct top *top, uint64_t part, uint64_t whole)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    static const char *const plain[] = {" ", "_", ".", "-", "~", "=", "+", "*", "#"};
    const uint64_t height = whole == 0 ? 0 : (part * 8 + whole - 1) / whole;
    return (top->blocks ? blocks : plain)[qyi_min(height, 8)];
}

/* The past on as many columns as there are, each with the most of its time; at the end the present. */
static void put_history_line(struct qyi_text *text, const struct top *top, const char *name, size_t offset,
                             uint64_t present)
{
    const struct numbers *now = top->now;
    const unsigned columns =
        (unsigned)qyi_max(top->columns, LABEL_COLUMN + 16 + HISTORY_COLUMNS_LEAST) - LABEL_COLUMN - 16;
    const uint64_t end =
        qyi_max(now->history[now->history_count - 1].time_ms, now->history[now->history_count - 1].time_ms + 1);
    uint64_t column_most[512] = {0};
    uint64_t most = present;
    const unsigned count = (unsigned)qyi_min(columns, 512);
    for (unsigned i = 0; i < now->history_count; i++) {
        const struct qyi_history_point *point = &now->history[i];
        uint64_t value;
        memcpy(&value, (const char *)point + offset, sizeof value);
        most = qyi_max(most, value);
        /* a point stands until the next */
        const uint64_t until = i + 1 < now->history_count ? now->history[i + 1].time_ms : end;
        for (uint64_t k = point->time_ms * count / end; k <= (until - 1) * count / end && k < count; k++)
            column_most[k] = qyi_max(column_most[k], value);
    }
    qyi_put_left(text, name, LABEL_COLUMN);
    qyi_put(text, "  ");
    for (unsigned k = 0; k < count; k++)
        qyi_put(text, bar(top, column_most[k], most));
    qyi_put(text, " ");
    qyi_put_word(text, qyi_bytes_word(most), 0);
    qyi_put(text, "\n");
}

static void put_history(struct qyi_text *text, const struct top *top)
{
    const struct numbers *now = top->now;
    if (now->history_count < 2)
        return;
    put_history_line(text, top, "mapped", offsetof(struct qyi_history_point, mapped), now->stats.mapped);
    put_history_line(text, top, "live", offsetof(struct qyi_history_point, live), now->stats.live);
    qyi_put_left(text, "history", LABEL_COLUMN);
    qyi_put(text, "  from ");
    qyi_put_number(text, now->history[0].time_ms / 1000);
    qyi_put(text, " s to ");
    qyi_put_number(text, now->history[now->history_count - 1].time_ms / 1000);
    qyi_put(text, " s after the start; a full bar is the number on the right\n");
}

/* ---- classes ---- */

struct row {
    uint64_t bytes; /* 0: large blocks */
    uint64_t calls, rate, live, live_bytes, cached, free, slabs, slab_bytes;
};

enum { ROW_COUNT = QYI_CLASS_COUNT + 1 };

static enum top_order compared_by;

static uint64_t key_of(const struct row *row)
{
    switch (compared_by) {
    case BY_RATE: return row->rate;
    case BY_CALLS: return row->calls;
    case BY_SIZE: return UINT64_MAX - (row->bytes == 0 ? UINT64_MAX : row->bytes);
    default: return row->live_bytes;
    }
}

static int compare(const void *a, const void *b)
{
    const uint64_t one = key_of(a);
    const uint64_t other = key_of(b);
    return one < other ? 1 : one > other ? -1 : 0;
}

static unsigned fill_rows(struct row *rows, const struct top *top)
{
    const struct qyi_stats *now = &top->now->stats;
    const struct qyi_stats *before = &top->before->stats;
    unsigned count = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *seen = &now->classes[class];
        if (seen->calls == 0 && seen->slabs == 0)
            continue;
        const size_t slab_bytes = (size_t)qyi_classes[class].granule_count << QYI_GRANULE_SHIFT;
        rows[count++] = (struct row){.bytes = qyi_classes[class].bytes,
                                     .calls = seen->calls,
                                     .rate = rate(top, seen->calls, before->classes[class].calls),
                                     .live = seen->live,
                                     .live_bytes = seen->live * qyi_classes[class].bytes,
                                     .cached = seen->cached,
                                     .free = seen->free,
                                     .slabs = seen->slabs,
                                     .slab_bytes = seen->slabs * slab_bytes};
    }
    if (now->large_calls != 0)
        rows[count++] = (struct row){.calls = now->large_calls,
                                     .rate = rate(top, now->large_calls, before->large_calls),
                                     .live = now->large_count,
                                     .live_bytes = now->large_live};
    compared_by = top->order;
    qsort(rows, count, sizeof *rows, compare);
    return count;
}

static void put_classes(struct qyi_text *text, const struct top *top)
{
    struct row rows[ROW_COUNT];
    const unsigned count = fill_rows(rows, top);
    static const struct {
        const char *title;
        size_t width;
    } columns[] = {{"size", 8},   {"calls/s", 12}, {"calls", 15}, {"live", 11}, {"live bytes", 12},
                   {"cached", 9}, {"free", 9},     {"slabs", 8},  {"used", 7}};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        qyi_put_right(text, columns[i].title, columns[i].width);
    qyi_put(text, "\n");
    for (unsigned i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        if (row->bytes == 0)
            qyi_put_right(text, "large", columns[0].width);
        else
            qyi_put_word(text, qyi_number_word(row->bytes), columns[0].width);
        qyi_put_word(text, qyi_number_word(row->rate), columns[1].width);
        qyi_put_word(text, qyi_number_word(row->calls), columns[2].width);
        qyi_put_word(text, qyi_number_word(row->live), columns[3].width);
        qyi_put_word(text, qyi_bytes_word(row->live_bytes), columns[4].width);
        if (row->bytes != 0) {
            qyi_put_word(text, qyi_number_word(row->cached), columns[5].width);
            qyi_put_word(text, qyi_number_word(row->free), columns[6].width);
            qyi_put_word(text, qyi_number_word(row->slabs), columns[7].width);
            qyi_put_word(text, qyi_percent_word(row->live_bytes, row->slab_bytes), columns[8].width);
        }
        qyi_put(text, "\n");
    }
}

/* ---- threads ---- */

static const struct qyi_stats_thread *find_before(const struct top *top, uint32_t heap)
{
    for (uint32_t i = 0; i < top->before->thread_count; i++) {
        if (top->before->threads[i].heap == heap)
            return &top->before->threads[i];
    }
    return NULL;
}

static void put_threads(struct qyi_text *text, const struct top *top)
{
    static const char *const states[] = {
        [QYI_HEAP_RUNNING] = "running", [QYI_HEAP_IDLE] = "idle", [QYI_HEAP_COMMON] = "common"};
    qyi_put(text,
            "    heap      tid  state        calls/s          calls        live      cached   slabs  slab bytes\n");
    for (uint32_t i = 0; i < top->now->thread_count; i++) {
        const struct qyi_stats_thread *row = &top->now->threads[i];
        const struct qyi_stats_thread *before = find_before(top, row->heap);
        qyi_put_word(text, qyi_number_word(row->heap), 8);
        if (row->tid == 0)
            qyi_put_right(text, "-", 9);
        else
            qyi_put_word(text, qyi_number_word(row->tid), 9);
        qyi_put(text, "  ");
        qyi_put_left(text, row->state <= QYI_HEAP_COMMON ? states[row->state] : "?", 8);
        qyi_put_word(text, qyi_number_word(rate(top, row->calls, before == NULL ? 0 : before->calls)), 12);
        qyi_put_word(text, qyi_number_word(row->calls), 15);
        qyi_put_word(text, qyi_bytes_word(row->live), 12);
        qyi_put_word(text, qyi_bytes_word(row->cached_bytes), 12);
        qyi_put_word(text, qyi_number_word(row->slabs), 8);
        qyi_put_word(text, qyi_bytes_word(row->slab_bytes), 12);
        qyi_put(text, "\n");
    }
}

void top_put(struct qyi_text *text, const struct top *top)
{
    put_head(text, top);
    put_history(text, top);
    qyi_put(text, "\n");
    if (top->batch || !top->show_threads)
        put_classes(text, top);
    if (top->batch)
        qyi_put(text, "\n");
    if (top->batch || top->show_threads)
        put_threads(text, top);
}

struct qyi_text top_page(const struct top *top)
{
    static char *buffer;
    static size_t capacity = PAGE_BYTES;
    for (;; capacity *= 2) { /* one line for each thread */
        if (buffer == NULL && (buffer = malloc(capacity)) == NULL)
            fail("out of memory");
        struct qyi_text text = {.start = buffer, .capacity = capacity - 1, .fd = -1};
        top_put(&text, top);
        if (!text.failed) {
            buffer[text.length] = '\0';
            return text;
        }
        free(buffer);
        buffer = NULL;
    }
}

/* ---- the command ---- */

static void run_batch(struct top *top, uint64_t pages)
{
    for (uint64_t page = 0; page < pages; page++) {
        if (page != 0) {
            const struct timespec pause = {.tv_sec = (time_t)top->interval_s,
                                           .tv_nsec =
                                               (long)((top->interval_s - (double)(time_t)top->interval_s) * 1e9)};
            nanosleep(&pause, NULL);
            putchar('\n');
        }
        top_take(top);
        const struct qyi_text text = top_page(top);
        if (fwrite(text.start, 1, text.length, stdout) != text.length || fflush(stdout) != 0)
            return; /* nobody reads it any more; main says so */
    }
}

static void print_help(void)
{
    puts("usage: quarry top [options] PID\n\n"
         "Shows the memory of a process again and again: where it is, how fast it comes and goes, and its past.\n\n"
         "  -d, --delay=SECONDS   between looks (1)\n"
         "  -s, --sort=KEY        live, rate, calls or size\n"
         "  -b, --batch           as text on standard output\n"
         "  -n, --number=N        so many times (without it: until the process ends); with --batch\n\n"
         "Keys: q quits, t shows threads, c classes, s sorts by something else, space looks at once, arrows scroll.");
}

static enum top_order parse_order(const char *name)
{
    static const char *const names[] = {
        [BY_LIVE] = "live", [BY_RATE] = "rate", [BY_CALLS] = "calls", [BY_SIZE] = "size"};
    for (unsigned i = 0; i < TOP_ORDER_COUNT; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    fail_usage("top ", "--sort takes live, rate, calls or size, not \"%s\"", name);
}

static double parse_delay(const char *text)
{
    char *end;
    const double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0.01 && seconds <= 86400))
        fail_usage("top ", "--delay takes seconds, from 0.01 up, not \"%s\"", text);
    return seconds;
}

int top_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"batch", no_argument, NULL, 'b'},       {"number", required_argument, NULL, 'n'},
        {"delay", required_argument, NULL, 'd'}, {"sort", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},        {0}};
    static struct numbers numbers[2];
    struct top top = {.now = &numbers[0], .before = &numbers[1], .interval_s = 1, .columns = COLUMNS_DEFAULT};
    uint64_t pages = UINT64_MAX;
    setlocale(LC_CTYPE, "");
    top.blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    for (int option; (option = getopt_long(argc, argv, "bn:d:s:h", options, NULL)) != -1;) {
        switch (option) {
        case 'b': top.batch = true; break;
        case 'n':
            if (!parse_number(optarg, UINT32_MAX, &pages))
                fail_usage("top ", "--number takes a number, not \"%s\"", optarg);
            break;
        case 'd': top.interval_s = parse_delay(optarg); break;
        case 's': top.order = parse_order(optarg); break;
        case 'h': print_help(); return EXIT_SUCCESS;
        default: return STATUS_USAGE;
        }
    }
    if (argc - optind != 1)
        fail_usage("top ", "top takes one process");
    if (!top.batch && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
        fail_usage("top ", "standard input and output are not a terminal: use --batch");
    top.target = target_open_process("top", argv[optind]);
    image_open(top.target);
    if (top.batch)
        run_batch(&top, pages);
    else if (!top_run_screen(&top))
        fail("this command was built without ncurses (Debian: libncurses-dev): use --batch");
    return EXIT_SUCCESS;
}

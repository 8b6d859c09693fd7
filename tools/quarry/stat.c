/*
 * stat.c: quarry stat: the library's own reports, of another process or a core file. They are composed while the image stands, into a
 * buffer, and printed when they are whole.
 *
 * A process whose memory may not be read can still have a live page (live.c), which has the numbers of the text, and no more.
 */
#include "command.h"
#include "image.h"
#include "live.h"
#include "numbers.h"
#include "target.h"

#include "json.h"
#include "options.h"
#include "os.h"
#include "page.h"
#include "prom.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum form { TEXT, JSON, PROM };

static const size_t BUFFER_BYTES = (size_t)256 << 10; /* to start with */

struct show {
    struct target *target;
    enum form form;
    struct qyi_text text;
};

static uint64_t unix_ms(const struct target *target)
{
    struct timespec now = {0};
    if (target->is_core)
        return target->written_ms;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void put_whose(struct qyi_text *text, const char *program, const char *what, pid_t pid)
{
    qyi_put(text, "quarry ");
    qyi_put_version(text);
    qyi_put(text, ": ");
    qyi_put_printable(text, program);
    qyi_put(text, " (");
    qyi_put(text, what);
    qyi_put(text, "pid ");
    qyi_put_number(text, (uint64_t)pid);
}

/* The library's first line names the process that prints, and has been put already. */
static void put_report(struct qyi_text *text, const struct qyi_stats *stats)
{
    const size_t from = text->length;
    qyi_report_put(text, stats);
    const char *end = memchr(text->start + from, '\n', text->length - from);
    if (end != NULL) {
        const size_t cut = (size_t)(end + 1 - text->start) - from;
        memmove(text->start + from, text->start + from + cut, text->length - from - cut);
        text->length -= cut;
    }
}

static void put(void *context)
{
    struct show *show = context;
    static struct numbers numbers;
    numbers_collect(show->target, &numbers, 0);
    const struct qyi_whose whose = {.program = show->target->program,
                                    .pid = (uint64_t)show->target->pid,
                                    .time_unix_ms = unix_ms(show->target),
                                    .uptime_ms = qyi_stats_uptime_ms(&numbers.stats)};
    show->text.length = 0;
    show->text.failed = false;
    switch (show->form) {
    case TEXT:
        put_whose(&show->text, show->target->program, show->target->is_core ? "core of " : "", show->target->pid);
        qyi_put(&show->text, ")\n");
        put_report(&show->text, &numbers.stats);
        break;
    case JSON: qyi_json_put_of(&show->text, &numbers.stats, "command", &whose); break;
    case PROM: qyi_prom_put(&show->text, &numbers.stats); break;
    }
}

static void print_help(void)
{
    puts("usage: quarry stat [--json|--prom|--page] PID|CORE\n\n"
         "Shows what memory is used for, in a process (which is neither stopped nor changed) or a core file.\n\n"
         "  --json   as JSON, see quarry-stats.schema.json\n"
         "  --prom   in Prometheus's text format\n"
         "  --page   from the page that a process with QUARRY_OPTIONS=live:page keeps, without reading its memory;\n"
         "           so it is done anyway where its memory may not be read");
}

/* ---- by the live page ---- */

static void put_page(struct qyi_text *text, const struct qyi_page *page, pid_t pid)
{
    const uint64_t now_ms = qyi_os_now_ms();
    put_whose(text, page->program, "", pid);
    qyi_put(text, ", its live page of ");
    qyi_put_word(text, qyi_number_word(now_ms - qyi_min(now_ms, page->now_ms)), 0);
    qyi_put(text, " ms ago)\n");
    qyi_options.purge_delay_ms = 0; /* the page does not tell: then the verdict does not, either */
    put_report(text, &page->stats);
}

/* False: there is no page, and it has not been asked for. */
static bool show_page(pid_t pid, enum form form, bool wanted)
{
    static struct qyi_page page;
    static char buffer[64 << 10];
    const char *why_not = live_read(pid, &page);
    if (why_not != NULL && wanted)
        fail("process %d %s", pid, why_not);
    if (why_not != NULL)
        return false;
    if (form != TEXT)
        fail("process %d: its live page is not enough for --json and --prom, which need to read its memory", pid);
    page.program[sizeof page.program - 1] = '\0';
    struct qyi_text text = {.fd = -1, .start = buffer, .capacity = sizeof buffer};
    qyi_os_init();
    qyi_sizeclass_init();
    put_page(&text, &page, pid);
    fwrite(text.start, 1, text.length, stdout);
    return true;
}

/* ---- by its memory ---- */

static void show_stats(struct target *target, enum form form)
{
    struct show show = {.target = target, .form = form, .text = {.fd = -1, .failed = true, .capacity = BUFFER_BYTES}};
    image_open(target);
    program_invocation_short_name = target->program; /* for what names the program that it runs in */
    while (show.text.failed) {
        show.text.capacity *= 2;
        free(show.text.start);
        show.text.start = malloc(show.text.capacity);
        if (show.text.start == NULL)
            fail("out of memory");
        image_look(target, put, &show);
    }
    fwrite(show.text.start, 1, show.text.length, stdout);
    free(show.text.start);
}

int stat_command(int argc, char **argv)
{
    enum form form = TEXT;
    bool page = false;
    uint64_t pid;
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"prom", no_argument, NULL, 'p'},
                                            {"page", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'j': form = JSON; break;
        case 'p': form = PROM; break;
        case 'l': page = true; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        default: return STATUS_USAGE;
        }
    }
    if (argc - optind != 1)
        fail_usage("stat ", "stat takes one process or core file");
    const bool is_process = parse_number(argv[optind], INT32_MAX, &pid);
    if (page && !is_process)
        fail_usage("stat ", "--page needs the number of a process, and \"%s\" is none", argv[optind]);
    if (is_process && (page || process_is_closed((pid_t)pid)) && show_page((pid_t)pid, form, page))
        return EXIT_SUCCESS;
    show_stats(target_open(argv[optind]), form);
    return EXIT_SUCCESS;
}

/*
 * stat.c: quarry stat: the library's own reports, of another process or a core file. They are composed while the image stands, into a
 * buffer, and printed when they are whole.
 */
#include "command.h"
#include "image.h"
#include "numbers.h"
#include "target.h"

#include "json.h"
#include "os.h"
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

/* The library's first line names the process that prints. */
static void put_report(struct qyi_text *text, const struct qyi_stats *stats, const struct target *target)
{
    qyi_put(text, "quarry ");
    qyi_put_version(text);
    qyi_put(text, ": ");
    qyi_put_printable(text, target->program);
    qyi_put(text, target->is_core ? " (core of pid " : " (pid ");
    qyi_put_number(text, (uint64_t)target->pid);
    qyi_put(text, ")\n");
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
    case TEXT: put_report(&show->text, &numbers.stats, show->target); break;
    case JSON: qyi_json_put_of(&show->text, &numbers.stats, "command", &whose); break;
    case PROM: qyi_prom_put(&show->text, &numbers.stats); break;
    }
}

static void print_help(void)
{
    puts("usage: quarry stat [--json|--prom] PID|CORE\n\n"
         "Shows what memory is used for, in a process (which is neither stopped nor changed) or a core file.\n\n"
         "  --json   as JSON, see quarry-stats.schema.json\n"
         "  --prom   in Prometheus's text format");
}

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
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"prom", no_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {0}};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'j': form = JSON; break;
        case 'p': form = PROM; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        default: return STATUS_USAGE;
        }
    }
    if (argc - optind != 1)
        fail_usage("stat ", "stat takes one process or core file");
    show_stats(target_open(argv[optind]), form);
    return EXIT_SUCCESS;
}

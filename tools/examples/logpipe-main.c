/*
 * logpipe-main.c: see logpipe-main.h.
 */
#define _GNU_SOURCE
#include "logpipe-main.h"

#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: %s [OPTION…] [FILE…]\n"
    "Counts the lines of logs by one of their fields, adds up another one, and prints the most frequent keys and the\n"
    "last lines. Without FILE, or with -, reads standard input.\n"
    "\n"
    "  --key=N         count by the Nth field (1)\n"
    "  --sum=N         add up the numbers in the Nth field (0: none)\n"
    "  --separator=C   the character between fields (a space)\n"
    "  --top=N         print the N most frequent keys (10)\n"
    "  --tail=N        print the last N lines (3)\n"
    "  --stats         say on standard error what it cost\n"
    "  --help          print this text\n"
    "\n"
    "SIGTERM and SIGINT end the reading; what was read until then is reported.\n";

uint64_t field_number(const char *text, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    return value;
}

/* A signal asks to stop; whether one has come costs a system call, so not every line asks. */
static bool asked_to_stop(int signals, uint64_t lines)
{
    char byte[256];
    return lines % 4096 == 0 && read(signals, byte, sizeof byte) > 0;
}

/* False: a signal came. */
static bool read_log(struct pipeline *pipeline, FILE *file, const char *name, int signals)
{
    for (;;) {
        /* A NULL line makes getline allocate: the block is ours then, and not overwritten by the next line. */
        char *line = NULL;
        size_t room = 0;
        errno = 0;
        const ssize_t length = getline(&line, &room, file);
        if (length < 0) {
            if (errno == ENOMEM || ferror(file))
                die("%s: %s", name, strerror(errno));
            free(line);
            return true;
        }
        pipeline->lines++;
        pipeline_line(pipeline, line, (size_t)length - (line[length - 1] == '\n'));
        if (asked_to_stop(signals, pipeline->lines))
            return false;
    }
}

static void print_line(const char *line, size_t length)
{
    printf("  %.*s\n", (int)length, line);
}

static void report(struct pipeline *pipeline, size_t top)
{
    size_t count;
    const struct tally_row *rows = tally_sorted(pipeline->tally, &count);
    printf("%ju lines, %ju without such a field, %zu keys\n", (uintmax_t)pipeline->lines,
           (uintmax_t)pipeline->short_lines, count);
    for (size_t i = 0; i < count && i < top; i++) {
        printf("%12ju", (uintmax_t)rows[i].count);
        if (pipeline->sum != 0)
            printf(" %16ju", (uintmax_t)rows[i].sum);
        printf("  %.*s\n", (int)rows[i].length, rows[i].key);
    }
    printf("last lines\n");
    history_each(pipeline->history, print_line);
    if (fflush(stdout) != 0)
        die("standard output: %s", strerror(errno));
}

static struct pipeline pipeline = {.separator = ' ', .key = 1};
static size_t top = 10, tail = 3;
static bool stats;

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"key", required_argument, NULL, 'k'}, {"sum", required_argument, NULL, 's'},
        {"top", required_argument, NULL, 't'}, {"tail", required_argument, NULL, 'l'},
        {"stats", no_argument, NULL, 'S'},     {"separator", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'k': pipeline.key = (unsigned)number_of("key", optarg, 1, FIELDS_MAX); break;
        case 's': pipeline.sum = (unsigned)number_of("sum", optarg, 0, FIELDS_MAX); break;
        case 't': top = number_of("top", optarg, 0, SIZE_MAX / 2); break;
        case 'l': tail = number_of("tail", optarg, 0, MIB); break;
        case 'S': stats = true; break;
        case 'c':
            if (strlen(optarg) != 1)
                die_usage("--separator: '%s' is not one character", optarg);
            pipeline.separator = optarg[0];
            break;
        case 'h': printf(help, program_invocation_short_name); exit(0);
        default: die_option();
        }
    }
}

int main(int argc, char **argv)
{
    program_name(argv[0]);
    read_options(argc, argv);
    const int signals = signals_to_descriptor();
    pipeline.tally = need(tally_new());
    pipeline.history = need(history_new(tail));
    const double begin = seconds_now();

    static char *standard_input[] = {(char *)"-", NULL};
    bool go_on = true;
    for (char **name = optind < argc ? &argv[optind] : standard_input; *name != NULL && go_on; name++) {
        FILE *file = strcmp(*name, "-") == 0 ? stdin : fopen(*name, "re");
        if (file == NULL)
            die("%s: %s", *name, strerror(errno));
        go_on = read_log(&pipeline, file, *name, signals);
        if (file != stdin)
            fclose(file);
    }

    const struct cpu_seconds cpu = cpu_seconds();
    report(&pipeline, top);
    if (stats)
        complain("lines %ju fields %ju seconds %.3f cpu %.3f resident_kib %zu", (uintmax_t)pipeline.lines,
                 (uintmax_t)pipeline.field_count, seconds_now() - begin, cpu.user + cpu.system, memory_kib("VmHWM"));
    history_free(pipeline.history);
    tally_free(pipeline.tally);
    return 0;
}

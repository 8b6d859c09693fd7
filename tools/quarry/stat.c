/*
 * stat.c: quarry stat: the library's own reports, of another process or a core file.
 */
#include "command.h"
#include "image.h"
#include "numbers.h"
#include "target.h"

#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_help(void)
{
    puts("usage: quarry stat [--json|--prom] PID|CORE\n\n"
         "Shows what memory is used for, in a process (which is neither stopped nor changed) or a core file.\n\n"
         "  --json   as JSON, see quarry-stats.schema.json\n"
         "  --prom   in Prometheus's text format");
}

int stat_command(int argc, char **argv)
{
    enum { TEXT, JSON, PROM } form = TEXT;
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
    struct target *target = target_open(argv[optind]);
    static struct numbers numbers;
    image_open(target);
    numbers_take(target, &numbers, form == JSON ? WITH_MAP | WITH_THREADS : 0);
    program_invocation_short_name = target->program;
    qyi_report_write(&numbers.stats, STDOUT_FILENO);
    return EXIT_SUCCESS;
}

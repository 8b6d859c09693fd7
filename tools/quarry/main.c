/*
 * main.c: the `quarry` command: a table of sub-commands.
 *
 *     main -> run    starts a program with Quarry
 *          -> stat, top, map     look at a process or a core file:  target -> image -> numbers -> text
 *          -> trim   asks a process
 *          -> prof, report       read files that processes have written:  profile_data -> symbols -> tree -> text, page
 *
 * Every sub-command is a function in a file of its own name.
 */
#include "command.h"

#include "quarry/quarry.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *arguments, *purpose;
    command_function *function;
} commands[] = {
    {"run", "[options] -- PROGRAM [ARGUMENT ...]", "start a program with Quarry as its malloc", run_command},
    {"stat", "PID|CORE [--json|--prom|--page]", "what memory is used for, in a process or a core file", stat_command},
    {"top", "PID", "the same, again and again: classes, threads, rates, history", top_command},
    {"map", "PID|CORE", "the heap as a picture, a character for 32 KiB", map_command},
    {"prof", "[options] FILE", "list, convert and compare heap profiles", prof_command},
    {"report", "FILE ... -o FILE", "statistics and heap profiles as a page of HTML", report_command},
    {"trim", "PID", "ask a process to give free memory back to the system", trim_command},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

void (*before_failing)(void);
char **command_line;

static void say(const char *prefix, const char *format, va_list arguments)
{
    fputs(prefix, stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("quarry: ", format, arguments);
    va_end(arguments);
}

void fail(const char *format, ...)
{
    if (before_failing != NULL)
        before_failing();
    fflush(stdout);
    va_list arguments;
    va_start(arguments, format);
    say("quarry: ", format, arguments);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

void fail_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say("quarry: ", format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try \"quarry %s--help\".\n", command);
    exit(STATUS_USAGE);
}

bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= most;
}

static void print_usage(FILE *out)
{
    fputs("usage: quarry COMMAND ...\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-7s %-36s  %s\n", commands[i].name, commands[i].arguments, commands[i].purpose);
    fputs("\n\"quarry COMMAND --help\" tells more; so does \"man quarry\".\n", out);
}

static int flushed(int status)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            warn("standard output: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    return status;
}

int main(int argc, char **argv)
{
    command_line = argv;
    if (argc < 2) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return flushed(EXIT_SUCCESS);
    }
    if (strcmp(name, "--version") == 0) {
        printf("quarry %d.%d.%d\n", QY_VERSION_MAJOR, QY_VERSION_MINOR, QY_VERSION_PATCH);
        return flushed(EXIT_SUCCESS);
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return flushed(commands[i].function(argc - 1, argv + 1));
    }
    fail_usage("", "there is no command \"%s\"", name);
}

/*
 * command.h: what the sub-commands of `quarry` share: their table, and how they end.
 */
#ifndef QUARRY_COMMAND_H
#define QUARRY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The exit status of a command line that makes no sense; everything else that fails is 1. */
enum { STATUS_USAGE = 2 };

/* A sub-command: gets its own name in argv[0]. Returns the exit status. */
typedef int command_function(int argc, char **argv);

command_function run_command, stat_command, top_command, map_command, trim_command, prof_command, report_command;

/* One clear line on standard error, "quarry: ...", and the end, with status 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Likewise, for a command line that makes no sense. */
_Noreturn void fail_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line, and no end. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What has to be put in order before a message can be read (the terminal); NULL: nothing. */
extern void (*before_failing)(void);

/* The number that text is, all of it; false: it is none, or above most. */
bool parse_number(const char *text, uint64_t most, uint64_t *number);

/* The command line once more, to start again with; see image.c. */
extern char **command_line;

#endif

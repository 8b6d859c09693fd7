/*
 * output.h: where reports go: standard error as it was at start, or files named by patterns. Layer 6.
 *
 *     "/var/log/quarry/%e.%p.%n.json"  ->  "/var/log/quarry/relay.4711.1.json"
 *
 *     %p  the process        %n  the number of this output of the process, by pattern, from 1
 *     %e  the program        %r  why it is written: exit, interval, ...
 *     %h  the machine        %t  seconds since 1970
 *     %%  a percent sign
 *
 * A file appears under its name whole or not at all, and takes the place of an older one. Nothing here allocates or waits; errno
 * stays as it was.
 */
#ifndef QYI_OUTPUT_H
#define QYI_OUTPUT_H

#include "base.h"

#include <sys/types.h>

/* What a name is made from, beside what does not change. */
struct qyi_output_key {
    const char *reason;
    uint64_t number, time_s;
    pid_t pid;
};

struct qyi_output_names;

struct qyi_output {
    int fd;    /* write to it */
    int error; /* for the message if the output is not whole: errno of what failed, 0 if not known */
    struct qyi_output_key key;
    struct qyi_output_names *names; /* NULL: standard error */
};

/*
 * Once, after the allocator has started, if there will be any output: remember where standard error is, what the program is called and
 * where it stands. It may close, overwrite and leave all of these.
 */
void qyi_output_start(void);

/* Standard error as it was at start; -1: nowhere any more. */
int qyi_output_stderr(void);

/* The program's name: as it was at start, or, if nothing was remembered, as it is. */
const char *qyi_output_program(void);

/*
 * A pattern from the environment, to keep: a copy, with the working directory put before a relative one. After qyi_output_start.
 * NULL: there is no memory, or it is too long; then what was given remains to be used.
 */
const char *qyi_output_keep(const char *pattern);

/*
 * Open an output. pattern NULL: standard error as it was at start. A forked child whose pattern lacks %p gets a file of its own, with
 * ".PID" at the end. False: it cannot be had; for a file, one line on standard error has said why.
 */
bool qyi_output_open(struct qyi_output *output, const char *pattern, const char *reason);

/*
 * Close it. A whole file gets its name; one that is not whole goes away, and one line on standard error says so, with
 * output->error. Returns whether it is there now.
 */
bool qyi_output_commit(struct qyi_output *output, bool whole);

/* Remove the file that was made for this key. */
void qyi_output_remove(const char *pattern, const struct qyi_output_key *key);

/* The name for this key: its length, or 0 when there is no room for it. */
size_t qyi_output_name(char *name, size_t room, const char *pattern, const struct qyi_output_key *key);

#endif

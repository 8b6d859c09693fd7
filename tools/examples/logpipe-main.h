/*
 * logpipe-main.h: what both log pipelines have in common: options, files, the report. How a line is taken apart and shared is
 * the difference between logpipe.c and logpipe-copy.c.
 */
#ifndef EXAMPLES_LOGPIPE_MAIN_H
#define EXAMPLES_LOGPIPE_MAIN_H

#include "tally.h"

#include <stdbool.h>

enum { FIELDS_MAX = 64 };

struct pipeline {
    char separator;
    unsigned key, sum; /* fields, from 1 on; 0: none */
    struct tally *tally;
    struct history *history;
    uint64_t lines, short_lines, field_count;
};

/* Takes line, a block from malloc of length bytes without the line's end. */
void pipeline_line(struct pipeline *pipeline, char *line, size_t length);

/* The number that a field begins with; 0 if it does not begin with one. */
uint64_t field_number(const char *text, size_t length);

#endif

/*
 * logpipe-copy.c: the twin of logpipe.c that copies: each field gets a block of its own, as programs do that hand fields to
 * code that calls free().
 */
#define _GNU_SOURCE
#include "logpipe-main.h"

#include "program.h"

#include <stdlib.h>
#include <string.h>

struct field {
    char *text;
    size_t length;
};

static size_t split_fields(const char *line, size_t length, char separator, struct field *fields)
{
    const char *const end = line + length;
    size_t count = 0;
    for (;;) {
        const char *stop = count < FIELDS_MAX - 1 ? memchr(line, separator, (size_t)(end - line)) : NULL;
        if (stop == NULL)
            stop = end;
        fields[count].length = (size_t)(stop - line);
        fields[count].text = need(strndup(line, fields[count].length));
        count++;
        if (stop == end)
            return count;
        line = stop + 1;
    }
}

static void count_line(struct pipeline *pipeline, struct field *fields, size_t count)
{
    struct field *key = &fields[pipeline->key - 1];
    struct tally_row *row = need(tally_row(pipeline->tally, key->text, key->length));
    row->count++;
    if (pipeline->sum != 0 && pipeline->sum <= count)
        row->sum += field_number(fields[pipeline->sum - 1].text, fields[pipeline->sum - 1].length);
    if (row->key == NULL && row->length != 0) {
        row->key = key->text;
        key->text = NULL;
    }
}

void pipeline_line(struct pipeline *pipeline, char *text, size_t length)
{
    struct field fields[FIELDS_MAX];
    if (length == 0) {
        pipeline->short_lines++;
        free(text);
        return;
    }
    const size_t count = split_fields(text, length, pipeline->separator, fields);
    pipeline->field_count += count;
    if (pipeline->key <= count)
        count_line(pipeline, fields, count);
    else
        pipeline->short_lines++;
    for (size_t i = 0; i < count; i++)
        free(fields[i].text);
    history_add(pipeline->history, text, length);
}

/*
 * logpipe.c: a log pipeline that copies no line and no field.
 *
 *     getline() ->  [ 10.0.0.1 - - [12/Nov] "GET /" 200 5120 ]      one block, adopted: qy_slice_adopt()
 *                     [key)                        [sum)            fields: references into it, one addition for all of them
 *                   ^
 *                   history: knows free() only, and gets the start of the block
 *
 * The line's block goes away with the last reference, whoever has it: a field, or the history, whose plain free() drops one
 * reference like everybody else. free() takes the start of a block; a key from the middle of a line becomes one with
 * qy_slice_into_raw(), which copies it, once per distinct key, so that a key of 9 bytes does not keep a whole line in memory.
 */
#include "logpipe-main.h"

#include "program.h"

#include <quarry/slice.h>

#include <errno.h>
#include <string.h>

/* All fields of a line; takes it. */
static size_t split_fields(qy_slice *line, char separator, qy_slice *fields)
{
    const ssize_t count = qy_slice_split_lines(line, separator, fields, FIELDS_MAX - 1);
    if (count < 0)
        die("qy_slice_split_lines: %s", strerror(errno));
    fields[count] = *line; /* what follows the last separator */
    return (size_t)count + 1;
}

static void count_line(struct pipeline *pipeline, qy_slice *fields, size_t count)
{
    qy_slice *key = &fields[pipeline->key - 1];
    struct tally_row *row = need(tally_row(pipeline->tally, key->iov_base, key->iov_len));
    row->count++;
    if (pipeline->sum != 0 && pipeline->sum <= count)
        row->sum += field_number(fields[pipeline->sum - 1].iov_base, fields[pipeline->sum - 1].iov_len);
    if (row->key == NULL && row->length != 0)
        row->key = need(qy_slice_into_raw(key));
}

void pipeline_line(struct pipeline *pipeline, char *text, size_t length)
{
    qy_slice fields[FIELDS_MAX];
    qy_slice line = qy_slice_adopt(text, length);
    if (line.iov_len == 0) { /* an empty line is a block that is freed already: a slice of length 0 owns nothing */
        pipeline->short_lines++;
        return;
    }
    if (qy_retain(text) != 0) /* for the history, before the fields part with the rest */
        die("qy_retain: %s", strerror(errno));
    const size_t count = split_fields(&line, pipeline->separator, fields);
    pipeline->field_count += count;
    if (pipeline->key <= count)
        count_line(pipeline, fields, count);
    else
        pipeline->short_lines++;
    qy_slices_drop(fields, count);
    history_add(pipeline->history, text, length);
}

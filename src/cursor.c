/*
 * cursor.c: reading across slices; include/quarry/cursor.h has the contracts. Layer 6.
 *
 *     slices   [ read . . p . . . end ]  [ next . . . ]  [ . . ]
 *                                        `------ after ------'
 *
 * I1  after is the sum of the slices from next on; next is not used while it is 0. None of them is empty.
 * I2  p == end does not mean that there is nothing left: the next slice is entered when it is needed.
 *
 * What can fail goes ahead with a copy of the cursor, which replaces it at the end.
 */
#include "quarry/cursor.h"

#include "base.h"
#include "ref.h"

#include <errno.h>

static const qy_slice empty = {NULL, 0};

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Bytes left in the current slice: 0 only at the end of everything. */
static size_t run(qy_cursor *cursor)
{
    if (cursor->p == cursor->end && cursor->after != 0) {
        const qy_slice *slice = cursor->next++;
        cursor->p = slice->iov_base;
        cursor->end = cursor->p + slice->iov_len;
        cursor->after -= slice->iov_len;
    }
    return (size_t)(cursor->end - cursor->p);
}

int qy_cursor_read_slow(qy_cursor *cursor, void *to, size_t bytes)
{
    if (bytes > qy_cursor_left(cursor))
        return fail(ENODATA);
    for (char *at = to; bytes != 0;) {
        const size_t part = qyi_min(bytes, run(cursor));
        memcpy(at, cursor->p, part);
        cursor->p += part;
        at += part;
        bytes -= part;
    }
    return 0;
}

int qy_cursor_skip(qy_cursor *cursor, size_t bytes)
{
    if (bytes > qy_cursor_left(cursor))
        return fail(ENODATA);
    while (bytes != 0) {
        const size_t part = qyi_min(bytes, run(cursor));
        cursor->p += part;
        bytes -= part;
    }
    return 0;
}

qy_slice qy_cursor_read_slice(qy_cursor *cursor, size_t bytes)
{
    if (bytes > qy_cursor_left(cursor)) {
        errno = ENODATA;
        return empty;
    }
    if (bytes == 0)
        return empty;
    if (bytes <= run(cursor)) {
        const qy_slice part = qy_slice_clone((qy_slice){.iov_base = (void *)cursor->p, .iov_len = bytes});
        cursor->p += part.iov_len;
        return part;
    }
    const qy_slice copy = qy_slice_new(bytes);
    if (copy.iov_len != 0)
        (void)qy_cursor_read_slow(cursor, copy.iov_base, bytes);
    return copy;
}

const void *qy_cursor_run(qy_cursor *cursor, size_t *bytes)
{
    *bytes = run(cursor);
    return cursor->p;
}

/* The bytes at the cursor, which has as many, are these. */
static bool is_at(qy_cursor ahead, const char *needle, size_t length)
{
    while (length != 0) {
        const size_t part = qyi_min(length, run(&ahead));
        if (memcmp(ahead.p, needle, part) != 0)
            return false;
        ahead.p += part;
        needle += part;
        length -= part;
    }
    return true;
}

/* Inside a run, then from each of the last places of it that a longer one could begin at. */
ssize_t qy_cursor_find(const qy_cursor *cursor, const void *needle, size_t length)
{
    if (length == 0)
        return 0;
    qy_cursor ahead = *cursor;
    for (size_t before = 0; qy_cursor_left(&ahead) >= length;) {
        const size_t here = run(&ahead);
        const char *found = memmem(ahead.p, here, needle, length);
        if (found != NULL)
            return (ssize_t)(before + (size_t)(found - ahead.p));
        const size_t inside = here < length ? 0 : here - length + 1;
        ahead.p += inside;
        before += inside;
        for (; ahead.p != ahead.end && qy_cursor_left(&ahead) >= length; ahead.p++, before++) {
            if (is_at(ahead, needle, length))
                return (ssize_t)before;
        }
    }
    return -1;
}

int qy_cursor_read_varint(qy_cursor *cursor, uint64_t *value)
{
    qy_cursor ahead = *cursor;
    uint64_t result = 0;
    uint8_t byte = 0x80;
    for (unsigned shift = 0; byte >= 0x80; shift += 7) {
        if (qy_cursor_read_u8(&ahead, &byte) != 0)
            return -1;
        const bool overflows = shift == 63 && byte > 1;
        const bool needless = shift != 0 && byte == 0;
        if (overflows || needless)
            return fail(EBADMSG);
        result |= (uint64_t)(byte & 0x7f) << shift;
    }
    *cursor = ahead;
    *value = result;
    return 0;
}

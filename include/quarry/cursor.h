/*
 * cursor.h: reading bytes one after the other.
 *
 * A cursor goes over the bytes of a slice or of a chain, across the borders between its slices, and leaves them as they are.
 *
 *     qy_cursor cursor = qy_cursor_of_chain(&received);
 *     uint32_t length;
 *     if (qy_cursor_read_u32be(&cursor, &length) != 0)
 *         return;                                                 not all of it has arrived
 *     qy_slice body = qy_cursor_read_slice(&cursor, length);
 *
 * Ownership  a cursor owns nothing, and lends: the slice or chain must live, and not change, as long as the cursor is used.
 *            It may be copied by assignment, to come back to a place later.
 * Threads    a cursor may be used by one thread at a time; any number of cursors may go over the same bytes.
 * Errors     -1 with errno, and then nothing has been consumed: ENODATA when there are fewer bytes left than asked for; EBADMSG
 *            for a malformed number. errno is kept on success.
 * Cost       reading within a slice allocates nothing and calls nothing.
 */
#ifndef QUARRY_CURSOR_H
#define QUARRY_CURSOR_H

#include "quarry/chain.h"
#include "quarry/order.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private. */
typedef struct qy_cursor {
    const char *p, *end;  /* what is left of the current slice */
    const qy_slice *next; /* the slices behind it */
    size_t after;         /* bytes in them */
} qy_cursor;

static inline qy_cursor qy_cursor_of_slice(qy_slice slice)
{
    qy_cursor cursor;
    cursor.p = (const char *)slice.iov_base;
    cursor.end = slice.iov_len == 0 ? cursor.p : cursor.p + slice.iov_len;
    cursor.next = NULL;
    cursor.after = 0;
    return cursor;
}

static inline qy_cursor qy_cursor_of_chain(const qy_chain *chain)
{
    qy_cursor cursor;
    cursor.p = cursor.end = NULL;
    cursor.next = chain->slices;
    cursor.after = chain->bytes;
    return cursor;
}

/* Bytes that have not been read yet. */
static inline size_t qy_cursor_left(const qy_cursor *cursor)
{
    return (size_t)(cursor->end - cursor->p) + cursor->after;
}

/* ---- bytes ---- */

/* What the inline functions leave over: bytes that lie in several slices. */
QY_API int qy_cursor_read_slow(qy_cursor *cursor, void *to, size_t bytes);

/* Copy the next bytes to memory. ENODATA: none has been. */
static inline int qy_cursor_read(qy_cursor *cursor, void *to, size_t bytes)
{
    if (__builtin_expect((size_t)(cursor->end - cursor->p) < bytes || bytes == 0, 0))
        return qy_cursor_read_slow(cursor, to, bytes);
    memcpy(to, cursor->p, bytes);
    cursor->p += bytes;
    return 0;
}

/* The same, without consuming them. */
static inline int qy_cursor_peek(const qy_cursor *cursor, void *to, size_t bytes)
{
    qy_cursor ahead = *cursor;
    return qy_cursor_read(&ahead, to, bytes);
}

/* Leave the next bytes out. */
QY_API int qy_cursor_skip(qy_cursor *cursor, size_t bytes);

/*
 * The next bytes as a slice of its own, for the caller to drop: another reference to them where they lie in one slice, a copy
 * in a block of their own where they do not.
 *
 * Returns    the slice; an empty one for 0 bytes, or with ENODATA, ENOMEM, or EINVAL (the cursor goes over memory that is
 *            neither Quarry's nor registered).
 */
QY_API qy_slice qy_cursor_read_slice(qy_cursor *cursor, size_t bytes);

/*
 * The bytes from here to the end of the current slice, in place.
 *
 * bytes      receives how many; 0 only at the end of everything.
 * Returns    where they are. Nothing is consumed: qy_cursor_skip.
 */
QY_API const void *qy_cursor_run(qy_cursor *cursor, size_t *bytes);

/*
 * Find bytes, also across the borders between slices. Consumes nothing.
 *
 * Returns    how many bytes there are before the first occurrence; -1 if there is none. An empty needle is found at once.
 * Cost       memmem() per slice; at each border up to length comparisons of up to length bytes.
 */
QY_API ssize_t qy_cursor_find(const qy_cursor *cursor, const void *needle, size_t length);

static inline ssize_t qy_cursor_find_byte(const qy_cursor *cursor, char byte)
{
    return qy_cursor_find(cursor, &byte, 1);
}

/* ---- integers, as of builder.h; aligned or not ---- */

static inline int qy_cursor_read_u8(qy_cursor *cursor, uint8_t *value)
{
    return qy_cursor_read(cursor, value, sizeof *value);
}

static inline int qy_cursor_read_u16be(qy_cursor *cursor, uint16_t *value)
{
    uint16_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_big16(raw);
    return 0;
}

static inline int qy_cursor_read_u32be(qy_cursor *cursor, uint32_t *value)
{
    uint32_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_big32(raw);
    return 0;
}

static inline int qy_cursor_read_u64be(qy_cursor *cursor, uint64_t *value)
{
    uint64_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_big64(raw);
    return 0;
}

static inline int qy_cursor_read_u16le(qy_cursor *cursor, uint16_t *value)
{
    uint16_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_little16(raw);
    return 0;
}

static inline int qy_cursor_read_u32le(qy_cursor *cursor, uint32_t *value)
{
    uint32_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_little32(raw);
    return 0;
}

static inline int qy_cursor_read_u64le(qy_cursor *cursor, uint64_t *value)
{
    uint64_t raw;
    if (qy_cursor_read(cursor, &raw, sizeof raw) != 0)
        return -1;
    *value = qy_little64(raw);
    return 0;
}

/*
 * As qy_builder_append_varint writes it. EBADMSG: it does not fit into 64 bits, or has more bytes than its value needs, so that a
 * number has one spelling only.
 */
QY_API int qy_cursor_read_varint(qy_cursor *cursor, uint64_t *value);

static inline int qy_cursor_read_zigzag(qy_cursor *cursor, int64_t *value)
{
    uint64_t folded;
    if (qy_cursor_read_varint(cursor, &folded) != 0)
        return -1;
    *value = (int64_t)(folded >> 1 ^ (0 - (folded & 1)));
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif

/*
 * builder.h: bytes in the making.
 *
 * A builder owns the unfinished part of a block: contents that grow at the end, and, into the headroom, at the front. What
 * is finished becomes a slice (slice.h) without being copied; what follows goes on in the same block.
 *
 *     block   [ split off | headroom |   contents   |   room    ]
 *                         floor      start          end         limit
 *
 *     qy_builder message;
 *     if (qy_builder_init(&message, 500, 4) != 0)
 *         ...
 *     qy_builder_printf(&message, "%s %d", name, number);
 *     qy_builder_prepend_u32be(&message, (uint32_t)qy_builder_length(&message));
 *     qy_slice finished = qy_builder_split(&message);              ready for the next one
 *     qy_builder_drop(&message);
 *
 * Ownership  a builder owns a reference to its block, from the first byte of capacity on; slices that were split off own their
 *            own. The bytes of a builder are nobody else's, so it may write them without asking. A builder may be copied to
 *            another place in memory if the original is not used again.
 * Threads    one at a time; the slices that were split off may be used by any.
 * Errors     every function that can fail returns -1, NULL or an empty slice with errno, and then nothing has changed: ENOMEM
 *            (EOVERFLOW and EILSEQ from formatting; ERANGE for more bytes than there are). errno is kept on success.
 */
#ifndef QUARRY_BUILDER_H
#define QUARRY_BUILDER_H

#include "quarry/order.h"
#include "quarry/slice.h"

#include <stdarg.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Private. All NULL, or floor <= start <= end <= limit and floor < limit. */
typedef struct qy_builder {
    char *floor, *start, *end, *limit;
    size_t headroom; /* what empty contents have in front of them, if there is room */
} qy_builder;

/* An empty builder without a block: the first append allocates. */
#define QY_BUILDER_EMPTY ((qy_builder){NULL, NULL, NULL, NULL, 0})

/* ---- life ---- */

/*
 * Make an empty builder.
 *
 * capacity   bytes that can be appended before the block must grow; 0 and headroom 0: no block yet.
 * headroom   bytes that can be prepended, at no cost. Also after qy_builder_clear and qy_builder_split, if the block has room.
 * Returns    0; or -1 with ENOMEM, and the builder is empty, without a block.
 * Cost       one allocation.
 */
QY_API int qy_builder_init(qy_builder *builder, size_t capacity, size_t headroom);

/* Drop everything; the builder is as QY_BUILDER_EMPTY. */
QY_API void qy_builder_drop(qy_builder *builder);

/* Forget the contents. The block stays; all of it can be used again if nothing that was split off is left. */
QY_API void qy_builder_clear(qy_builder *builder);

/* ---- looking ---- */

/* The contents; NULL while there is no block. Valid until the builder grows. They may be changed in place. */
static inline void *qy_builder_data(const qy_builder *builder)
{
    return builder->start;
}

static inline size_t qy_builder_length(const qy_builder *builder)
{
    return (size_t)(builder->end - builder->start);
}

/* Bytes that can be appended without growing. */
static inline size_t qy_builder_room(const qy_builder *builder)
{
    return (size_t)(builder->limit - builder->end);
}

/* Bytes that can be prepended without moving the contents. */
static inline size_t qy_builder_headroom(const qy_builder *builder)
{
    return (size_t)(builder->start - builder->floor);
}

/* ---- room ---- */

/*
 * Have room for that many bytes at the end.
 *
 * Cost       nothing if there is. Otherwise the first of these that does: qy_builder_try_reclaim; growing the block, where
 *            it stands if possible, if nothing split off is left in it; copying the contents to a block of their own. The
 *            block doubles, so that appending is constant per byte, amortised; when there is no memory for that, it becomes
 *            as large as it must.
 */
QY_API int qy_builder_reserve(qy_builder *builder, size_t bytes);

/*
 * Have room for that many bytes at the end without allocating: by taking what was split off, and has been dropped since,
 * back into use. The contents may move to the front of the block.
 *
 * Returns    true if there is room for that many now.
 */
QY_API bool qy_builder_try_reclaim(qy_builder *builder, size_t bytes);

/*
 * The room at the end, for read() and its like.
 *
 * bytes      how many are needed at least.
 * room       receives how many there are; may be NULL.
 * Returns    where they are; NULL with ENOMEM (and for 0 bytes of a builder that has no block yet).
 */
static inline void *qy_builder_spare(qy_builder *builder, size_t bytes, size_t *room)
{
    if (qy_builder_room(builder) < bytes && qy_builder_reserve(builder, bytes) != 0)
        return NULL;
    if (room != NULL)
        *room = qy_builder_room(builder);
    return builder->end;
}

/* The first so many bytes of the room have been written: append them. Returns 0; or -1 with ERANGE. */
QY_API int qy_builder_commit(qy_builder *builder, size_t bytes);

/* ---- writing ---- */

/* Append bytes. They must not lie in the builder. */
static inline int qy_builder_append(qy_builder *builder, const void *bytes, size_t length)
{
    if (__builtin_expect(qy_builder_room(builder) < length, 0) && qy_builder_reserve(builder, length) != 0)
        return -1;
    if (length != 0)
        memcpy(builder->end, bytes, length);
    builder->end += length;
    return 0;
}

/* What the inline function leaves over: have that much headroom. Moves the contents. */
QY_API int qy_builder_reserve_front(qy_builder *builder, size_t bytes);

/* Put bytes in front of the contents: into the headroom at no cost, otherwise the contents move to a larger block. */
static inline int qy_builder_prepend(qy_builder *builder, const void *bytes, size_t length)
{
    if (__builtin_expect(qy_builder_headroom(builder) < length, 0) && qy_builder_reserve_front(builder, length) != 0)
        return -1;
    builder->start -= length;
    if (length != 0)
        memcpy(builder->start, bytes, length);
    return 0;
}

/* Append what printf() would print. The closing null byte is not part of it. */
QY_API int qy_builder_printf(qy_builder *builder, const char *format, ...) __attribute__((format(printf, 2, 3)));

QY_API int qy_builder_vprintf(qy_builder *builder, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* ---- integers: "be" is big endian (network order), "le" little endian ---- */

static inline int qy_builder_append_u8(qy_builder *builder, uint8_t value)
{
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u16be(qy_builder *builder, uint16_t value)
{
    value = qy_big16(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u32be(qy_builder *builder, uint32_t value)
{
    value = qy_big32(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u64be(qy_builder *builder, uint64_t value)
{
    value = qy_big64(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u16le(qy_builder *builder, uint16_t value)
{
    value = qy_little16(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u32le(qy_builder *builder, uint32_t value)
{
    value = qy_little32(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_append_u64le(qy_builder *builder, uint64_t value)
{
    value = qy_little64(value);
    return qy_builder_append(builder, &value, sizeof value);
}

static inline int qy_builder_prepend_u8(qy_builder *builder, uint8_t value)
{
    return qy_builder_prepend(builder, &value, sizeof value);
}

static inline int qy_builder_prepend_u16be(qy_builder *builder, uint16_t value)
{
    value = qy_big16(value);
    return qy_builder_prepend(builder, &value, sizeof value);
}

static inline int qy_builder_prepend_u32be(qy_builder *builder, uint32_t value)
{
    value = qy_big32(value);
    return qy_builder_prepend(builder, &value, sizeof value);
}

static inline int qy_builder_prepend_u64be(qy_builder *builder, uint64_t value)
{
    value = qy_big64(value);
    return qy_builder_prepend(builder, &value, sizeof value);
}

/* In as few bytes as it needs, one to ten: seven bits a byte, the lowest first, all but the last with the top bit set (LEB128). */
QY_API int qy_builder_append_varint(qy_builder *builder, uint64_t value);

/* The same for signed numbers, small in either direction: 0, -1, 1, -2, ... are sent as 0, 1, 2, 3, ... (zigzag). */
static inline int qy_builder_append_zigzag(qy_builder *builder, int64_t value)
{
    return qy_builder_append_varint(builder, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

/* ---- finishing: the contents become slices without being copied ---- */

/*
 * All contents as a slice. The builder gives its block up, and is as QY_BUILDER_EMPTY but for its headroom.
 *
 * Returns    the slice; an empty one if there are no contents. Cannot fail.
 * Cost       no atomic operation.
 */
QY_API qy_slice qy_builder_freeze(qy_builder *builder);

/*
 * The first bytes of the contents as a slice; the rest stays, and can grow on in the same block.
 *
 * Returns    the slice; an empty one for 0 bytes, or with ERANGE or ENOMEM (no memory for the count).
 * Cost       one atomic addition, none if the builder's part of the block is used up.
 */
QY_API qy_slice qy_builder_split_to(qy_builder *builder, size_t bytes);

/* All contents as a slice; the builder goes on with the room behind them. As qy_builder_split_to. */
static inline qy_slice qy_builder_split(qy_builder *builder)
{
    return qy_builder_split_to(builder, qy_builder_length(builder));
}

#ifdef __cplusplus
}
#endif

#endif

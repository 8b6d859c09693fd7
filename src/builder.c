/*
 * builder.c: growable bytes that become slices; include/quarry/builder.h has the contracts. Layer 6.
 *
 *     block   [ split off | headroom |   contents   |   room    ]
 *             base        floor      start          end         limit
 *
 * I1  without a block, all pointers are NULL; with one, floor <= start <= end <= limit and floor < limit.
 * I2  a builder with a block owns one reference to it, and limit is the block's end.
 * I3  [floor, limit) is the builder's alone; [base, floor) is, too, as soon as its reference is the only one left.
 *
 * I3 is why the builder writes without asking, and what reclaiming is: floor moves back to base. Whoever else had a reference
 * has dropped it then, and only an owner can add one.
 */
#include "quarry/builder.h"

#include "alloc.h"
#include "ref.h"
#include "track.h"

#include <errno.h>
#include <stdio.h>

static const qy_slice empty = {NULL, 0};

static int fail(int error)
{
    errno = error;
    return -1;
}

static bool has_block(const qy_builder *builder)
{
    return builder->floor != builder->limit;
}

static void forget_block(qy_builder *builder)
{
    builder->floor = builder->start = builder->end = builder->limit = NULL;
}

/* There are no contents: begin behind the headroom. */
static void begin(qy_builder *builder)
{
    const size_t all = (size_t)(builder->limit - builder->floor);
    if (all != 0)
        builder->start = builder->end = builder->floor + qyi_min(builder->headroom, all);
}

/* How much of the space in front of the contents is to stay when they move. */
static size_t kept_headroom(const qy_builder *builder)
{
    return has_block(builder) ? qyi_min(qy_builder_headroom(builder), builder->headroom) : builder->headroom;
}

/* What all of it needs, at least 1 and at most QYI_SIZE_LIMIT; 0 and ENOMEM if it is more. */
static size_t needed(size_t front, size_t length, size_t back)
{
    if (front > QYI_SIZE_LIMIT - length || back > QYI_SIZE_LIMIT - length - front) {
        errno = ENOMEM;
        return 0;
    }
    return qyi_max(front + length + back, 1);
}

/* A size for a block, aligned like a slice's; 0 and ENOMEM if it is too large. */
static size_t block_bytes(size_t bytes)
{
    const size_t good =
        bytes > QYI_SIZE_LIMIT - QYI_CACHE_LINE ? 0 : qyi_good_size(qyi_align_up(bytes, QYI_CACHE_LINE));
    if (good == 0)
        errno = ENOMEM;
    return good;
}

/* Have the contents in a block of at least that size instead, behind front bytes. False: unchanged, and ENOMEM. */
static bool replace(qy_builder *builder, size_t front, size_t bytes)
{
    const size_t length = qy_builder_length(builder);
    const size_t size = block_bytes(bytes);
    char *base = size == 0 ? NULL : qyi_malloc(size);
    if (base == NULL)
        return false;
    if (length != 0)
        memcpy(base + front, builder->start, length);
    if (has_block(builder))
        (void)qyi_release(builder->floor);
    builder->floor = base;
    builder->start = base + front;
    builder->end = base + front + length;
    builder->limit = base + qyi_usable_size(base, "qy_builder"); /* it may be more */
    return true;
}

/* Let the block, which is the builder's alone, grow to that size at least; front is the headroom, which stays. False: unchanged,
 * and ENOMEM. */
static bool grow(qy_builder *builder, size_t front, size_t bytes)
{
    const size_t length = qy_builder_length(builder);
    const size_t size = block_bytes(bytes);
    char *base = size == 0 ? NULL : qyi_realloc(builder->floor, size);
    if (base == NULL)
        return false;
    builder->floor = base;
    builder->start = base + front;
    builder->end = base + front + length;
    builder->limit = base + qyi_usable_size(base, "qy_builder"); /* it may be more */
    return true;
}

/* Replace or grow to what is wanted, which leaves room for more; or else to what is needed: the memory or its limits may be near their
 * end. 0 or -1, as reserve. */
static int provide(bool (*make)(qy_builder *builder, size_t front, size_t bytes), qy_builder *builder, size_t front,
                   size_t needs, size_t wants)
{
    const int saved_errno = errno;
    if (make(builder, front, qyi_max(needs, wants)))
        return 0;
    if (wants <= needs || !make(builder, front, needs))
        return -1;
    errno = saved_errno;
    return 0;
}

static void move_contents(qy_builder *builder, char *to)
{
    const size_t length = qy_builder_length(builder);
    if (length != 0)
        memmove(to, builder->start, length);
    builder->start = to;
    builder->end = to + length;
}

/* Take back what was split off, if all of it has been dropped (I3). Returns how large the block is, 0 if there is none; *alone:
 * all of it is the builder's. */
static size_t reclaim(qy_builder *builder, bool *alone)
{
    struct qyi_ref_target block;
    *alone = false;
    if (!has_block(builder) || !qyi_ref_find(builder->floor, &block))
        return 0;
    *alone = block.references == 1;
    if (*alone)
        builder->floor = block.base;
    return block.bytes;
}

/* ---- life ---- */

int qy_builder_init(qy_builder *builder, size_t capacity, size_t headroom)
{
    forget_block(builder);
    builder->headroom = 0;
    const size_t bytes = needed(headroom, 0, capacity);
    if (bytes == 0 || (headroom + capacity != 0 && !replace(builder, headroom, bytes)))
        return -1;
    builder->headroom = headroom;
    return 0;
}

void qy_builder_drop(qy_builder *builder)
{
    if (has_block(builder))
        (void)qyi_release(builder->floor);
    forget_block(builder);
    builder->headroom = 0;
}

void qy_builder_clear(qy_builder *builder)
{
    bool alone;
    (void)reclaim(builder, &alone);
    begin(builder);
}

/* ---- room ---- */

bool qy_builder_try_reclaim(qy_builder *builder, size_t bytes)
{
    if (qy_builder_room(builder) >= bytes)
        return true;
    const size_t front = kept_headroom(builder);
    const size_t length = qy_builder_length(builder);
    bool alone;
    const size_t block = reclaim(builder, &alone);
    if (!alone || bytes > block - length || front > block - length - bytes)
        return false;
    move_contents(builder, builder->floor + front);
    return true;
}

int qy_builder_reserve(qy_builder *builder, size_t bytes)
{
    if (qy_builder_room(builder) >= bytes)
        return 0;
    const size_t front = kept_headroom(builder);
    const size_t length = qy_builder_length(builder);
    const size_t all = needed(front, length, bytes);
    if (all == 0)
        return -1;
    bool alone;
    const size_t block = reclaim(builder, &alone);
    if (!alone)
        return provide(replace, builder, front, all, block);
    /* Moving is worth it when it gives as much room as it moves; else many small appends would move the contents each time. */
    const size_t gain = qy_builder_headroom(builder) - front;
    const size_t doubled = 2 * block;
    if (gain >= length && all > block)
        return provide(replace, builder, front, all, doubled);
    const int saved_errno = errno;
    if (gain < length && provide(grow, builder, front + gain, all + gain, doubled) == 0)
        return 0;
    if (all > block)
        return -1;
    errno = saved_errno;
    move_contents(builder, builder->floor + front); /* worth it, or the only way */
    return 0;
}

int qy_builder_reserve_front(qy_builder *builder, size_t bytes)
{
    bool alone;
    (void)reclaim(builder, &alone);
    if (qy_builder_headroom(builder) >= bytes)
        return 0;
    /* As much again as there is, so that many small ones move the contents rarely. */
    const size_t length = qy_builder_length(builder);
    const size_t room = qy_builder_room(builder);
    const size_t spare = qyi_max(builder->headroom, length);
    const size_t front = bytes > QYI_SIZE_LIMIT - spare ? bytes : bytes + spare;
    if (room >= front) {
        move_contents(builder, builder->start + front - qy_builder_headroom(builder));
        return 0;
    }
    const int saved_errno = errno;
    const size_t all = needed(front, length, room);
    if (all != 0 && replace(builder, front, all))
        return 0;
    const size_t least = needed(bytes, length, room);
    if (least == 0 || !replace(builder, bytes, least))
        return -1;
    errno = saved_errno;
    return 0;
}

int qy_builder_commit(qy_builder *builder, size_t bytes)
{
    if (bytes > qy_builder_room(builder))
        return fail(ERANGE);
    builder->end += bytes;
    return 0;
}

/* ---- writing ---- */

int qy_builder_printf(qy_builder *builder, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int result = qy_builder_vprintf(builder, format, arguments);
    va_end(arguments);
    return result;
}

/* Into the room that there is, which mostly does; otherwise it says how much is needed. */
int qy_builder_vprintf(qy_builder *builder, const char *format, va_list arguments)
{
    const int saved_errno = errno;
    va_list again;
    va_copy(again, arguments);
    const size_t room = qy_builder_room(builder);
    int length = vsnprintf(builder->end, room, format, arguments);
    if (length >= 0 && (size_t)length >= room)
        length = qy_builder_reserve(builder, (size_t)length + 1) == 0
                     ? vsnprintf(builder->end, qy_builder_room(builder), format, again)
                     : -1;
    va_end(again);
    if (length < 0)
        return -1;
    builder->end += length;
    errno = saved_errno;
    return 0;
}

int qy_builder_append_varint(qy_builder *builder, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[count++] = (unsigned char)(value | 0x80);
    bytes[count++] = (unsigned char)value;
    return qy_builder_append(builder, bytes, count);
}

/* ---- finishing ---- */

/* The slice has taken over the builder's reference. */
static qy_slice hand_over(qy_slice slice)
{
    struct qyi_ref_target block;
    if (qyi_is_tracking() && qyi_ref_find(slice.iov_base, &block))
        qyi_track_made(block.base, block.bytes, slice.iov_len);
    return slice;
}

qy_slice qy_builder_freeze(qy_builder *builder)
{
    const qy_slice slice = {.iov_base = builder->start, .iov_len = qy_builder_length(builder)};
    const size_t headroom = builder->headroom;
    if (slice.iov_len == 0)
        qy_builder_drop(builder);
    forget_block(builder);
    builder->headroom = headroom;
    return slice.iov_len == 0 ? empty : hand_over(slice);
}

qy_slice qy_builder_split_to(qy_builder *builder, size_t bytes)
{
    if (bytes > qy_builder_length(builder)) {
        errno = ERANGE;
        return empty;
    }
    if (bytes == 0)
        return empty;
    const qy_slice slice = {.iov_base = builder->start, .iov_len = bytes};
    char *rest = builder->start + bytes;
    if (rest == builder->limit) {
        forget_block(builder); /* the slice has its reference */
        return hand_over(slice);
    }
    if (qyi_retain(builder->start, 1) != 0)
        return empty;
    builder->floor = builder->start = rest;
    if (builder->start == builder->end)
        begin(builder);
    return slice;
}

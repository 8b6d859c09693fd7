/*
 * chain.c: chains of slices; include/quarry/chain.h has the contracts. Layer 6.
 *
 *     room              slices              slices + count          limit
 *      |  front gap       |  live slices           |   back gap        |
 *
 * I1  room <= slices and slices + count <= limit; room is inline_slices or a block of its own.
 * I2  every live slice has a length, which is at least 1, and owns a reference; bytes is the sum, at most QY_CHAIN_BYTES_MAX.
 * I3  an empty chain has its front gap closed.
 * I4  alarm is the high mark while that is waited for, and QY_CHAIN_BYTES_MAX when the low one is, or none.
 *
 * Whoever drains moves `slices` on; nothing else moves until a gap is used up (relayout). Then the live slices are moved within
 * the room if they fill half of it at most, so that as many pushes follow as slices were moved, and to one of twice their
 * number otherwise: both ends grow in constant time, amortised.
 *
 * Everything that can fail is done before the first change; the marks are reported after the last.
 */
#include "quarry/chain.h"

#include "alloc.h"
#include "ref.h"
#include "slices.h"

#include <errno.h>
#include <string.h>

static const qy_slice empty = {NULL, 0};

static int fail(int error)
{
    errno = error;
    return -1;
}

static char *at(const qy_slice *slice, size_t offset)
{
    return (char *)slice->iov_base + offset;
}

/* ---- marks ---- */

static void grown(qy_chain *chain)
{
    if (QYI_LIKELY(chain->bytes < chain->alarm) || chain->alarm == QY_CHAIN_BYTES_MAX)
        return;
    const qy_chain_marks *marks = chain->marks;
    chain->alarm = QY_CHAIN_BYTES_MAX; /* I4 */
    if (marks->on_high != NULL)
        marks->on_high(chain, marks->context);
}

static void shrunk(qy_chain *chain)
{
    const qy_chain_marks *marks = chain->marks;
    if (QYI_LIKELY(marks == NULL) || chain->alarm != QY_CHAIN_BYTES_MAX || chain->bytes > marks->low)
        return;
    chain->alarm = marks->high; /* I4 */
    if (marks->on_low != NULL)
        marks->on_low(chain, marks->context);
}

void qy_chain_watch(qy_chain *chain, const qy_chain_marks *marks)
{
    const bool reachable = marks != NULL && marks->high != 0 && marks->high < QY_CHAIN_BYTES_MAX;
    chain->marks = reachable ? marks : NULL;
    chain->alarm = reachable ? marks->high : QY_CHAIN_BYTES_MAX;
    grown(chain);
}

/* ---- room ---- */

static bool is_inline(const qy_chain *chain)
{
    return chain->room == chain->inline_slices;
}

static void give_room_back(qy_chain *chain)
{
    if (!is_inline(chain))
        qyi_free(chain->room);
}

static void use_room(qy_chain *chain, qy_slice *room, size_t capacity)
{
    chain->room = room;
    chain->limit = room + capacity;
}

/* Move the live slices so that the gaps have these sizes at least. False: unchanged, and ENOMEM. */
static QYI_NOINLINE bool relayout(qy_chain *chain, size_t front, size_t back)
{
    static const size_t most = PTRDIFF_MAX / sizeof(qy_slice) / 4; /* each of the numbers below is less */
    const size_t count = chain->count;
    size_t capacity = (size_t)(chain->limit - chain->room);
    qy_slice *room = chain->room;
    if (front > most || back > most || count > most)
        return fail(ENOMEM) == 0;
    const size_t needed = front + count + back;
    if (needed > capacity || (!is_inline(chain) && count > capacity / 2)) {
        const size_t bytes = qyi_good_size(qyi_max(needed, 2 * count) * sizeof(qy_slice));
        room = qyi_malloc(bytes);
        if (room == NULL)
            return false;
        capacity = bytes / sizeof(qy_slice);
    }
    qy_slice *slices = room + front + (front != 0 ? (capacity - needed) / 2 : 0);
    memmove(slices, chain->slices, count * sizeof *slices);
    if (room != chain->room) {
        give_room_back(chain);
        use_room(chain, room, capacity);
    }
    chain->slices = slices;
    return true;
}

/* Room for count slices more, and for bytes more. False: unchanged, and errno. */
QYI_INLINE bool admit(qy_chain *chain, size_t count, size_t bytes)
{
    if (QYI_UNLIKELY(bytes > QY_CHAIN_BYTES_MAX - chain->bytes))
        return fail(EOVERFLOW) == 0;
    const size_t gap = (size_t)(chain->limit - (chain->slices + chain->count));
    return QYI_LIKELY(count <= gap) || relayout(chain, 0, count);
}

/* Room for another reference to each of these slices, which may be the chain's own: then *slices moves with them. */
QYI_INLINE bool admit_clones(qy_chain *chain, const qy_slice **slices, size_t count)
{
    if (QYI_LIKELY(count <= (size_t)(chain->limit - (chain->slices + chain->count))))
        return true;
    const uintptr_t offset = (uintptr_t)*slices - (uintptr_t)chain->slices;
    const bool own = offset < chain->count * sizeof(qy_slice);
    if (!relayout(chain, 0, count))
        return false;
    if (own)
        *slices = chain->slices + offset / sizeof(qy_slice);
    return true;
}

/* The first count slices, which have this many bytes together, are no longer the chain's. */
QYI_INLINE void forget_front(qy_chain *chain, size_t count, size_t bytes)
{
    chain->count -= count;
    chain->bytes -= bytes;
    chain->slices = chain->count == 0 ? chain->room : chain->slices + count; /* I3 */
}

/* The first slice, longer than that, begins later. */
QYI_INLINE void shorten_first(qy_chain *chain, size_t bytes)
{
    chain->slices[0] =
        (qy_slice){.iov_base = at(&chain->slices[0], bytes), .iov_len = chain->slices[0].iov_len - bytes};
    chain->bytes -= bytes;
}

/* Where the first so many bytes end: after `whole` slices and `rest` bytes of the next one. The chain has that many. */
struct cut {
    size_t whole, rest;
};

static struct cut cut_at(const qy_chain *chain, size_t bytes)
{
    struct cut cut = {0, bytes};
    while (cut.whole < chain->count && cut.rest >= chain->slices[cut.whole].iov_len)
        cut.rest -= chain->slices[cut.whole++].iov_len;
    return cut;
}

/* ---- life ---- */

void qy_chain_clear(qy_chain *chain)
{
    qyi_slices_release(chain->slices, chain->count);
    give_room_back(chain);
    use_room(chain, chain->inline_slices, QY_CHAIN_INLINE);
    forget_front(chain, chain->count, chain->bytes);
    shrunk(chain);
}

void qy_chain_move(qy_chain *to, qy_chain *from)
{
    if (to == from)
        return;
    *to = *from;
    if (is_inline(from)) {
        use_room(to, to->inline_slices, QY_CHAIN_INLINE);
        to->slices = to->room + (from->slices - from->room);
    }
    qy_chain_init(from);
}

/* ---- growing ---- */

/* What has been written behind the last slice is the chain's now. */
QYI_INLINE void admitted(qy_chain *chain, size_t count, size_t bytes)
{
    chain->count += count;
    chain->bytes += bytes;
    grown(chain);
}

static char *end_of(const qy_chain *chain)
{
    const qy_slice *last = chain->slices + chain->count - 1;
    return chain->count == 0 ? NULL : at(last, last->iov_len);
}

/* A slice that is the last one's continuation does not need room or a reference. */
static QYI_NOINLINE bool continues(const qy_chain *chain, qy_slice slice)
{
    if (chain->count == 0 || end_of(chain) != slice.iov_base)
        return false;
    const qy_slice both[] = {chain->slices[chain->count - 1], slice};
    return qyi_slices_following(both, 2) == 2;
}

static void lengthen(qy_chain *chain, size_t bytes)
{
    chain->slices[chain->count - 1].iov_len += bytes;
    chain->bytes += bytes;
    grown(chain);
}

int qy_chain_push_slow(qy_chain *chain, qy_slice slice)
{
    if (slice.iov_len == 0)
        return 0;
    if (slice.iov_len > QY_CHAIN_BYTES_MAX - chain->bytes)
        return fail(EOVERFLOW);
    if (continues(chain, slice)) {
        (void)qyi_release(slice.iov_base);
        lengthen(chain, slice.iov_len);
        return 0;
    }
    if (!admit(chain, 1, slice.iov_len))
        return -1;
    chain->slices[chain->count] = slice;
    admitted(chain, 1, slice.iov_len);
    return 0;
}

int qy_chain_push_clone(qy_chain *chain, qy_slice slice)
{
    if (QYI_UNLIKELY(slice.iov_len == 0))
        return 0;
    if (QYI_UNLIKELY(end_of(chain) == slice.iov_base) && slice.iov_len <= QY_CHAIN_BYTES_MAX - chain->bytes &&
        continues(chain, slice)) {
        lengthen(chain, slice.iov_len);
        return 0;
    }
    if (!admit(chain, 1, slice.iov_len) || qyi_retain(slice.iov_base, 1) != 0)
        return -1;
    chain->slices[chain->count] = slice;
    admitted(chain, 1, slice.iov_len);
    return 0;
}

static QYI_NOINLINE int push_clones_slow(qy_chain *chain, const qy_slice *slices, size_t count)
{
    qy_slice *const end = chain->slices + chain->count;
    size_t owners = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (slices[i].iov_len > QY_CHAIN_BYTES_MAX - chain->bytes - bytes)
            return fail(EOVERFLOW);
        bytes += slices[i].iov_len;
        end[owners] = slices[i];
        owners += slices[i].iov_len != 0;
    }
    if (qyi_slices_retain(end, owners) != 0)
        return -1;
    admitted(chain, owners, bytes);
    return 0;
}

/* Join those of the slices behind the last one, all in this block, that follow each other, and the first of them to the last one.
 * Returns how many are left: what has been joined needs no reference. */
static QYI_NOINLINE size_t join_behind(qy_chain *chain, struct qyi_block block, size_t count)
{
    qy_slice *const end = chain->slices + chain->count;
    const bool last_is_there = chain->count != 0 && qyi_block_offset(&block, end[-1].iov_base) < block.bytes;
    qy_slice *into = last_is_there ? end - 1 : end;
    for (const qy_slice *slice = into + 1; slice != end + count; slice++) {
        if (at(into, into->iov_len) == slice->iov_base)
            into->iov_len += slice->iov_len;
        else
            *++into = *slice;
    }
    return (size_t)(into + 1 - end);
}

/*
 * One pass for what most messages are, non-empty slices of one block. A length of at least 1 and a sum in bounds: neither
 * length - 1 nor the sum has its top bit set.
 */
int qy_chain_push_clones(qy_chain *chain, const qy_slice *slices, size_t count)
{
    struct qyi_block block;
    if (!admit_clones(chain, &slices, count))
        return -1;
    if (QYI_UNLIKELY(count - 1 >= QYI_COUNT_MAX || !qyi_block_find(slices->iov_base, true, &block)))
        return push_clones_slow(chain, slices, count);
    qy_slice *const end = chain->slices + chain->count;
    const char *last_end = end_of(chain);
    size_t sum = chain->bytes;
    bool follow = false;
    for (size_t i = 0; i < count; i++) {
        const qy_slice slice = slices[i];
        sum += slice.iov_len;
        if (QYI_UNLIKELY(((slice.iov_len - 1) | sum) > QY_CHAIN_BYTES_MAX ||
                         qyi_block_offset(&block, slice.iov_base) >= block.bytes))
            return push_clones_slow(chain, slices, count);
        if (QYI_UNLIKELY(slice.iov_base == last_end))
            follow = true;
        end[i] = slice;
        last_end = at(&slice, slice.iov_len);
    }
    const size_t owners = QYI_UNLIKELY(follow) ? join_behind(chain, block, count) : count;
    qyi_block_retain(&block, slices->iov_base, owners);
    admitted(chain, owners, sum - chain->bytes);
    return 0;
}

int qy_chain_push_front(qy_chain *chain, qy_slice slice)
{
    if (slice.iov_len == 0)
        return 0;
    if (QYI_UNLIKELY(slice.iov_len > QY_CHAIN_BYTES_MAX - chain->bytes))
        return fail(EOVERFLOW);
    if (chain->slices == chain->room && !relayout(chain, 1, 0))
        return -1;
    *--chain->slices = slice;
    chain->count++;
    chain->bytes += slice.iov_len;
    grown(chain);
    return 0;
}

int qy_chain_append(qy_chain *chain, qy_chain *from)
{
    if (QYI_UNLIKELY(chain == from))
        return fail(EINVAL);
    if (chain->count == 0 && !is_inline(from)) {
        give_room_back(chain);
        use_room(chain, from->room, (size_t)(from->limit - from->room));
        chain->slices = from->slices;
        use_room(from, from->inline_slices, QY_CHAIN_INLINE);
    } else {
        if (!admit(chain, from->count, from->bytes))
            return -1;
        memcpy(chain->slices + chain->count, from->slices, from->count * sizeof *from->slices);
    }
    chain->count += from->count;
    chain->bytes += from->bytes;
    forget_front(from, from->count, from->bytes);
    shrunk(from);
    grown(chain);
    return 0;
}

/* ---- shrinking ---- */

int qy_chain_drain(qy_chain *chain, size_t bytes)
{
    if (QYI_UNLIKELY(bytes > chain->bytes))
        return fail(ERANGE);
    const struct cut cut = cut_at(chain, bytes);
    qyi_slices_release(chain->slices, cut.whole);
    forget_front(chain, cut.whole, bytes - cut.rest);
    if (cut.rest != 0)
        shorten_first(chain, cut.rest);
    shrunk(chain);
    return 0;
}

int qy_chain_split(qy_chain *chain, size_t bytes, qy_chain *to)
{
    if (QYI_UNLIKELY(chain == to))
        return fail(EINVAL);
    if (bytes > chain->bytes)
        return fail(ERANGE);
    const struct cut cut = cut_at(chain, bytes);
    const bool inside = cut.rest != 0;
    if (!admit(to, cut.whole + inside, bytes) || (inside && qyi_retain(chain->slices[cut.whole].iov_base, 1) != 0))
        return -1;
    qy_slice *const end = to->slices + to->count;
    memcpy(end, chain->slices, (cut.whole + inside) * sizeof *end);
    forget_front(chain, cut.whole, bytes - cut.rest);
    if (inside) {
        end[cut.whole].iov_len = cut.rest;
        shorten_first(chain, cut.rest);
    }
    to->count += cut.whole + inside;
    to->bytes += bytes;
    shrunk(chain);
    grown(to);
    return 0;
}

qy_slice qy_chain_take(qy_chain *chain, size_t bytes)
{
    if (bytes == 0 || qy_chain_coalesce(chain, bytes) != 0)
        return empty;
    qy_slice slice = chain->slices[0];
    if (slice.iov_len == bytes) {
        forget_front(chain, 1, bytes);
    } else {
        if (qyi_retain(slice.iov_base, 1) != 0)
            return empty;
        slice.iov_len = bytes;
        shorten_first(chain, bytes);
    }
    shrunk(chain);
    return slice;
}

/* ---- looking ---- */

/* Make one of the first count slices, which are one in pieces. */
static void join_first(qy_chain *chain, size_t count)
{
    qy_slice *const last = chain->slices + count - 1;
    qy_slice whole = {.iov_base = chain->slices[0].iov_base, .iov_len = 0};
    for (size_t i = 0; i < count; i++)
        whole.iov_len += chain->slices[i].iov_len;
    qyi_slices_release(chain->slices + 1, count - 1);
    *last = whole;
    chain->slices = last;
    chain->count -= count - 1;
}

int qy_chain_coalesce(qy_chain *chain, size_t bytes)
{
    if (bytes > chain->bytes)
        return fail(ERANGE);
    const struct cut cut = cut_at(chain, bytes);
    const size_t count = cut.whole + (cut.rest != 0);
    if (count <= 1)
        return 0;
    if (qyi_slices_following(chain->slices, count) == count) {
        join_first(chain, count);
        return 0;
    }
    const qy_slice copy = qy_slice_new(bytes);
    if (copy.iov_len == 0)
        return -1;
    (void)qy_chain_copy_out(chain, 0, copy.iov_base, bytes);
    qyi_slices_release(chain->slices, cut.whole);
    forget_front(chain, cut.whole, bytes - cut.rest);
    if (cut.rest != 0)
        shorten_first(chain, cut.rest);
    /* Two slices at least have become one, so there is a gap in front, or a chain without any. */
    if (chain->count != 0)
        chain->slices--;
    chain->slices[0] = copy;
    chain->count++;
    chain->bytes += bytes;
    return 0;
}

size_t qy_chain_copy_out(const qy_chain *chain, size_t offset, void *to, size_t max)
{
    if (offset >= chain->bytes)
        return 0;
    const struct cut cut = cut_at(chain, offset);
    const size_t bytes = qyi_min(max, chain->bytes - offset);
    size_t done = 0;
    size_t from = cut.rest;
    for (const qy_slice *slice = &chain->slices[cut.whole]; done < bytes; slice++) {
        const size_t part = qyi_min(bytes - done, slice->iov_len - from);
        memcpy((char *)to + done, at(slice, from), part);
        done += part;
        from = 0;
    }
    return done;
}

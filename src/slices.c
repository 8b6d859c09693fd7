/*
 * slices.c: many slices at once; the second half of include/quarry/slice.h. Layer 6.
 *
 * Neighbours in an array that lie in one block are one addition or subtraction together: the atomic operation is most of
 * what a reference costs.
 */
#include "slices.h"

#include "ref.h"

#include "quarry/slice.h"

#include <errno.h>
#include <string.h>

static const qy_slice empty;

/* The block around p: [start, end). Empty for memory that is not ours. */
struct extent {
    const char *start, *end;
};

static struct extent extent_around(const void *p)
{
    struct qyi_ref_target target;
    const int saved_errno = errno;
    const bool found = qyi_ref_find(p, &target);
    errno = saved_errno;
    const char *start = found ? target.base : NULL;
    return (struct extent){.start = start, .end = found ? start + target.bytes : NULL};
}

/* How many of the slices, from the first on, lie in the block of the first one that owns anything; *owners: those that
 * own a reference, *owner: one of them. */
static size_t same_block(const qy_slice *slices, size_t count, uint32_t *owners, const void **owner)
{
    struct extent extent = {NULL, NULL};
    size_t i;
    *owners = 0;
    for (i = 0; i < count && *owners < UINT32_MAX; i++) {
        const char *p = slices[i].iov_base;
        if (slices[i].iov_len == 0)
            continue;
        if (*owners == 0) {
            *owner = p;
        } else {
            if (extent.start == NULL)
                extent = extent_around(*owner);
            if (p < extent.start || p >= extent.end)
                break;
        }
        ++*owners;
    }
    return i;
}

static void forget(qy_slice *slices, size_t count)
{
    if (count != 0)
        memset(slices, 0, count * sizeof *slices);
}

/* The block around a pointer into a slab that has cells. */
struct block {
    uint64_t entry;
    const char *start;
    size_t bytes;
    struct qyi_cell *cell;
};

/* False: it is another kind of memory, or (to_share) not shareable yet. */
QYI_INLINE bool block_around(const char *p, bool to_share, struct block *block)
{
    size_t offset;
    struct qyi_counted counted;
    block->entry = qyi_ref_entry(p, &offset);
    if ((block->entry & QYI_ENTRY_COUNTED) == 0 ||
        !(to_share ? qyi_counted_to_share(&counted, offset) : qyi_counted_at(&counted, offset)))
        return false;
    block->bytes = counted.counts->block_bytes;
    block->start = p - (counted.bytes - counted.block * block->bytes);
    block->cell = qyi_counted_cell(&counted);
    return true;
}

/* As same_block, when the first slice's block is known. */
QYI_INLINE size_t in_block(const qy_slice *slices, size_t count, const struct block *block, uint32_t *owners)
{
    const size_t limit = qyi_min(count, QYI_COUNT_MAX);
    size_t i;
    *owners = 0;
    for (i = 0; i < limit; i++) {
        const size_t within = (size_t)((const char *)slices[i].iov_base - block->start);
        const bool owns = slices[i].iov_len != 0;
        if (within >= block->bytes && owns)
            break;
        *owners += owns;
    }
    return i;
}

/* Add a reference for each of the first slices; *length: how many. Returns 0; or -1, and none has been added. */
static int retain_run(const qy_slice *slices, size_t count, size_t *length)
{
    struct block block;
    uint32_t owners;
    if (QYI_LIKELY(slices->iov_len != 0 && block_around(slices->iov_base, true, &block))) {
        *length = in_block(slices, count, &block, &owners);
        if (QYI_UNLIKELY(!qyi_count_add(block.cell, owners)))
            qyi_too_many_references(slices->iov_base);
        return 0;
    }
    const void *owner;
    *length = same_block(slices, count, &owners, &owner);
    return owners == 0 ? 0 : qyi_retain(owner, owners);
}

int qy_slices_retain(const qy_slice *slices, size_t count)
{
    size_t done = 0;
    while (done < count) {
        size_t length;
        if (QYI_UNLIKELY(retain_run(&slices[done], count - done, &length) != 0)) {
            const int error = errno;
            for (size_t i = 0; i < done; i++) {
                if (slices[i].iov_len != 0)
                    qyi_release(slices[i].iov_base);
            }
            errno = error;
            return -1;
        }
        done += length;
    }
    return 0;
}

/* Drop the references of the first slices; returns how many they are. */
static size_t drop_run(const qy_slice *slices, size_t count)
{
    struct block block;
    uint32_t owners;
    if (slices->iov_len == 0)
        return 1;
    if (QYI_UNLIKELY(!block_around(slices->iov_base, false, &block))) {
        if (block.entry != 0 && (block.entry & QYI_ENTRY_LARGE) == 0) {
            (void)qyi_release(slices->iov_base); /* in a slab without cells it is its block's only owner */
            return 1;
        }
        const void *owner;
        const size_t length = same_block(slices, count, &owners, &owner);
        (void)qyi_release_slow(owner, owners);
        return length;
    }
    const size_t length = in_block(slices, count, &block, &owners);
    const enum qyi_dropped dropped = qyi_count_drop(block.cell, owners);
    if (QYI_UNLIKELY(dropped == QYI_DROPPED_MORE))
        qyi_released_too_often(slices->iov_base);
    if (dropped == QYI_DROPPED_LAST)
        (void)qyi_release_last(slices->iov_base, block.entry);
    return length;
}

void qyi_slices_release(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;)
        done += drop_run(&slices[done], count - done);
}

bool qyi_slices_are_one(const qy_slice *slices, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if ((char *)slices[i - 1].iov_base + slices[i - 1].iov_len != slices[i].iov_base)
            return false;
    }
    uint32_t owners;
    const void *owner;
    return count == 0 || same_block(slices, count, &owners, &owner) == count;
}

void qy_slices_drop(qy_slice *slices, size_t count)
{
    qyi_slices_release(slices, count);
    forget(slices, count);
}

/* ---- frames ---- */

/*
 * The frames of a split have been written to frames[0 .. count), so many of them that own something; used bytes of the slice
 * are gone. Of the references that they need, the slice's own is one if nothing is left of it.
 */
static ssize_t settle(qy_slice *slice, qy_slice *frames, size_t count, uint32_t owners, size_t used)
{
    const bool rest = used != slice->iov_len;
    if (owners + rest > 1 && qyi_retain(slice->iov_base, owners + rest - 1) != 0) {
        forget(frames, count); /* they own nothing */
        return -1;
    }
    if (owners + rest == 0 && slice->iov_len != 0)
        qyi_release(slice->iov_base);
    *slice = rest ? (qy_slice){.iov_base = (char *)slice->iov_base + used, .iov_len = slice->iov_len - used} : empty;
    return (ssize_t)count;
}

static qy_slice frame_at(const char *p, size_t length)
{
    return length == 0 ? empty : (qy_slice){.iov_base = (void *)p, .iov_len = length};
}

ssize_t qy_slice_split_steps(qy_slice *slice, size_t step, qy_slice *frames, size_t max)
{
    if (step == 0) {
        errno = EINVAL;
        return -1;
    }
    const size_t count = qyi_min(qyi_min(slice->iov_len / step, max), UINT32_MAX - 1);
    const char *p = slice->iov_base;
    for (size_t i = 0; i < count; i++)
        frames[i] = (qy_slice){.iov_base = (void *)(p + i * step), .iov_len = step};
    return settle(slice, frames, count, (uint32_t)count, count * step);
}

ssize_t qy_slice_split_lines(qy_slice *slice, char delimiter, qy_slice *frames, size_t max)
{
    const char *p = slice->iov_base;
    const char *const end = p + slice->iov_len;
    size_t count = 0;
    uint32_t owners = 0;
    max = qyi_min(max, UINT32_MAX - 1);
    while (count < max && p < end) {
        const char *stop = memchr(p, delimiter, (size_t)(end - p));
        if (stop == NULL)
            break;
        frames[count++] = frame_at(p, (size_t)(stop - p));
        owners += stop != p;
        p = stop + 1;
    }
    return slice->iov_len == 0 ? 0 : settle(slice, frames, count, owners, (size_t)(p - (const char *)slice->iov_base));
}

static uint64_t read_big_endian(const char *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)p[i];
    return value;
}

ssize_t qy_slice_split_prefixed(qy_slice *slice, unsigned prefix, bool with_prefix, size_t max_length, qy_slice *frames,
                                size_t max)
{
    if (prefix == 0 || prefix > 8 || !qyi_is_power_of_two(prefix)) {
        errno = EINVAL;
        return -1;
    }
    const char *p = slice->iov_base;
    size_t left = slice->iov_len;
    size_t count = 0;
    uint32_t owners = 0;
    max = qyi_min(max, UINT32_MAX - 1);
    while (count < max && left >= prefix) {
        const uint64_t length = read_big_endian(p, prefix);
        if (length > max_length) {
            if (count != 0)
                break; /* it will be the first one of the next call */
            errno = EMSGSIZE;
            return -1;
        }
        if (length > left - prefix)
            break;
        frames[count++] = with_prefix ? frame_at(p, prefix + length) : frame_at(p + prefix, length);
        owners += frames[count - 1].iov_len != 0;
        p += prefix + length;
        left -= prefix + length;
    }
    return slice->iov_len == 0 ? 0 : settle(slice, frames, count, owners, slice->iov_len - left);
}

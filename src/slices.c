/*
 * slices.c: many slices at once; the second half of include/quarry/slice.h. Layer 6.
 *
 * Neighbours in an array that lie in one block are one addition or subtraction together: the atomic operation is most of
 * what a reference costs.
 */
#include "quarry/slice.h"

#include "slices.h"

#include <errno.h>
#include <string.h>

static const qy_slice empty;

static struct qyi_block block_around(const void *p)
{
    struct qyi_block block = {.start = p};
    if (qyi_block_find(p, &block))
        return block;
    struct qyi_ref_target target;
    const int saved_errno = errno;
    if (qyi_ref_find(p, &target))
        block = (struct qyi_block){.start = target.base, .bytes = target.bytes};
    errno = saved_errno;
    return block;
}

/* How many of the slices, from the first on, lie in a block. Four comparisons are one branch: slices of one message mostly
 * share a block. */
QYI_INLINE size_t run_length(const struct qyi_block *block, const qy_slice *slices, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const size_t a =
            qyi_max(qyi_block_offset(block, slices[i].iov_base), qyi_block_offset(block, slices[i + 1].iov_base));
        const size_t b =
            qyi_max(qyi_block_offset(block, slices[i + 2].iov_base), qyi_block_offset(block, slices[i + 3].iov_base));
        if (QYI_UNLIKELY(qyi_max(a, b) >= block->bytes))
            break;
    }
    while (i < count && qyi_block_offset(block, slices[i].iov_base) < block->bytes)
        i++;
    return i;
}

/* The block of the first slice, and how many lie in it: at least that one, at most QYI_COUNT_MAX. */
static size_t first_run(const qy_slice *slices, size_t count, struct qyi_block *block)
{
    *block = block_around(slices->iov_base);
    return qyi_max(run_length(block, slices, qyi_min(count, QYI_COUNT_MAX)), 1);
}

QYI_INLINE void release_counted(const struct qyi_block *block, const void *p, size_t count)
{
    const enum qyi_dropped dropped = qyi_count_drop(block->cell, (uint32_t)count);
    if (QYI_LIKELY(dropped == QYI_DROPPED))
        return;
    if (QYI_UNLIKELY(dropped == QYI_DROPPED_MORE))
        qyi_too_many_releases(p);
    (void)qyi_release_last(p, block->entry);
}

static QYI_NOINLINE void release_runs(const qy_slice *slices, size_t count)
{
    while (count != 0) {
        const void *p = slices->iov_base;
        struct qyi_block block;
        const size_t length = first_run(slices, count, &block);
        if (block.cell != NULL)
            release_counted(&block, p, length);
        else
            (void)(length == 1 ? qyi_release(p) : qyi_release_slow(p, (uint32_t)length));
        slices += length;
        count -= length;
    }
}

static QYI_NOINLINE int retain_runs(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        const void *p = slices[done].iov_base;
        struct qyi_block block;
        const size_t length = first_run(&slices[done], count - done, &block);
        if (block.cell != NULL) {
            qyi_block_retain(&block, p, length);
        } else if (qyi_retain_slow(p, (uint32_t)length) != 0) {
            const int error = errno;
            release_runs(slices, done);
            errno = error;
            return -1;
        }
        done += length;
    }
    return 0;
}

/* Most arrays are short and of one block. */
QYI_INLINE bool is_one_run(const qy_slice *slices, size_t count, struct qyi_block *block)
{
    return count - 1 < QYI_COUNT_MAX && qyi_block_find(slices->iov_base, block) &&
           QYI_LIKELY(run_length(block, slices, count) == count);
}

void qyi_slices_release(const qy_slice *slices, size_t count)
{
    struct qyi_block block;
    if (is_one_run(slices, count, &block))
        release_counted(&block, slices->iov_base, count);
    else
        release_runs(slices, count);
}

int qyi_slices_retain(const qy_slice *slices, size_t count)
{
    struct qyi_block block;
    if (!is_one_run(slices, count, &block))
        return retain_runs(slices, count);
    qyi_block_retain(&block, slices->iov_base, count);
    return 0;
}

size_t qyi_slices_following(const qy_slice *slices, size_t count)
{
    size_t length = 1;
    while (length < count &&
           (char *)slices[length - 1].iov_base + slices[length - 1].iov_len == slices[length].iov_base)
        length++;
    struct qyi_block block;
    return length == 1 ? 1 : first_run(slices, length, &block);
}

/* ---- arrays with empty slices among them ---- */

/* The first stretch of slices that own something: from *start on. Returns its length, 0 if there are no more. */
static size_t next_owners(const qy_slice *slices, size_t count, size_t *start)
{
    while (*start < count && slices[*start].iov_len == 0)
        ++*start;
    size_t end = *start;
    while (end < count && slices[end].iov_len != 0)
        end++;
    return end - *start;
}

int qy_slices_retain(const qy_slice *slices, size_t count)
{
    size_t length;
    for (size_t start = 0; (length = next_owners(slices, count, &start)) != 0; start += length) {
        if (qyi_slices_retain(&slices[start], length) != 0) {
            const int error = errno;
            for (size_t i = 0; i < start; i++) {
                if (slices[i].iov_len != 0)
                    qyi_release(slices[i].iov_base);
            }
            errno = error;
            return -1;
        }
    }
    return 0;
}

void qy_slices_drop(qy_slice *slices, size_t count)
{
    size_t length;
    for (size_t start = 0; (length = next_owners(slices, count, &start)) != 0; start += length)
        qyi_slices_release(&slices[start], length);
    memset(slices, 0, count * sizeof *slices);
}

/* ---- frames ---- */

/*
 * The frames of a split have been written to frames[0 .. count); used bytes of the slice are gone. Of the references that the
 * frames that own something need, the slice's own is one if nothing is left of it.
 */
static ssize_t settle(qy_slice *slice, const qy_slice *frames, size_t count, size_t used)
{
    const bool rest = used != slice->iov_len;
    uint32_t owners = 0;
    for (size_t i = 0; i < count; i++)
        owners += frames[i].iov_len != 0;
    if (owners + rest > 1 && qyi_retain(slice->iov_base, owners + rest - 1) != 0)
        return -1;
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
    return settle(slice, frames, count, count * step);
}

ssize_t qy_slice_split_lines(qy_slice *slice, char delimiter, qy_slice *frames, size_t max)
{
    const char *p = slice->iov_base;
    const char *const end = p + slice->iov_len;
    size_t count = 0;
    max = qyi_min(max, UINT32_MAX - 1);
    while (count < max && p < end) {
        const char *stop = memchr(p, delimiter, (size_t)(end - p));
        if (stop == NULL)
            break;
        frames[count++] = frame_at(p, (size_t)(stop - p));
        p = stop + 1;
    }
    return slice->iov_len == 0 ? 0 : settle(slice, frames, count, (size_t)(p - (const char *)slice->iov_base));
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
        p += prefix + length;
        left -= prefix + length;
    }
    return slice->iov_len == 0 ? 0 : settle(slice, frames, count, slice->iov_len - left);
}

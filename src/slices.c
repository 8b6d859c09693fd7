/*
 * slices.c: many slices at once; the second half of include/quarry/slice.h. Layer 6.
 *
 * Neighbours in an array that lie in one block are one addition or subtraction together: the atomic operation is most of
 * what a reference costs.
 */
#include "quarry/slice.h"

#include "slices.h"

#include "track.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static const qy_slice empty;

/* A message's slices are cleared in less time than a call of memset takes. */
static void forget(qy_slice *slices, size_t count)
{
    if (count > 16) {
        memset(slices, 0, count * sizeof *slices);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        slices[i] = empty;
        __asm__ volatile("" : : : "memory"); /* or the compiler calls memset */
    }
}

static QYI_NOINLINE struct qyi_block block_slow(const void *p)
{
    struct qyi_ref_target target;
    const int saved_errno = errno;
    const bool found = qyi_ref_find(p, &target);
    errno = saved_errno;
    return found ? (struct qyi_block){.start = target.base, .bytes = target.bytes} : (struct qyi_block){.start = p};
}

QYI_INLINE struct qyi_block block_around(const void *p, bool to_share)
{
    struct qyi_block block;
    return qyi_block_find(p, to_share, &block) ? block : block_slow(p);
}

/* How many of the slices, from the first on, which it contains, lie in a block. Those that are empty count too. */
QYI_INLINE size_t run_length(const struct qyi_block *block, const qy_slice *slices, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) { /* four comparisons are one branch: slices of one message mostly share a block */
        const size_t a =
            qyi_max(qyi_block_offset(block, slices[i].iov_base), qyi_block_offset(block, slices[i + 1].iov_base));
        const size_t b =
            qyi_max(qyi_block_offset(block, slices[i + 2].iov_base), qyi_block_offset(block, slices[i + 3].iov_base));
        if (qyi_max(a, b) >= block->bytes)
            break;
    }
    while (i < count && qyi_block_offset(block, slices[i].iov_base) < block->bytes)
        i++;
    return qyi_max(i, 1);
}

/* As below, of slices that all lie in one block, so many of which are not empty, but the counts are not for the fast path. */
static QYI_NOINLINE int retain_slow(const qy_slice *slices, uint32_t count)
{
    if (!qyi_is_tracking())
        return qyi_retain_slow(slices->iov_base, count);
    for (; count > 0; slices++) { /* the first makes the counts; nothing fails after that */
        if (slices->iov_len == 0)
            continue;
        if (qyi_retain_sized(slices->iov_base, 1, slices->iov_len) != 0)
            return -1;
        count--;
    }
    return 0;
}

static QYI_NOINLINE void release_slow(const qy_slice *slices, uint32_t count)
{
    if (count != 1 && !qyi_is_tracking()) {
        (void)qyi_release_slow(slices->iov_base, count);
        return;
    }
    for (; count > 0; slices++) {
        if (slices->iov_len == 0)
            continue;
        (void)qyi_release(slices->iov_base);
        count--;
    }
}

QYI_INLINE int retain_run(const struct qyi_block *block, const qy_slice *slices, uint32_t count)
{
    if (QYI_UNLIKELY(block->cell == NULL))
        return retain_slow(slices, count);
    qyi_block_retain(block, slices->iov_base, count);
    return 0;
}

QYI_INLINE void release_counted(const struct qyi_block *block, const void *p, uint32_t count)
{
    const enum qyi_dropped dropped = qyi_count_drop(block->cell, count);
    if (QYI_LIKELY(dropped == QYI_DROPPED))
        return;
    if (QYI_UNLIKELY(dropped == QYI_DROPPED_MORE))
        qyi_too_many_releases(p);
    (void)qyi_release_last(p, block->entry);
}

QYI_INLINE void release_run(const struct qyi_block *block, const qy_slice *slices, uint32_t count)
{
    if (QYI_LIKELY(block->cell != NULL))
        release_counted(block, slices->iov_base, count);
    else
        release_slow(slices, count);
}

/* A run has at most this many references. */
static const size_t RUN_MAX = QYI_COUNT_MAX;

static QYI_NOINLINE void release_runs(const qy_slice *slices, size_t count)
{
    while (count > 1) {
        const struct qyi_block block = block_around(slices->iov_base, false);
        const size_t length = run_length(&block, slices, qyi_min(count, RUN_MAX));
        release_run(&block, slices, (uint32_t)length);
        slices += length;
        count -= length;
    }
    if (count != 0)
        (void)qyi_release(slices->iov_base);
}

/* Most arrays are short and of one block, and need no loop over runs. */
void qyi_slices_release(const qy_slice *slices, size_t count)
{
    struct qyi_block block;
    if (QYI_LIKELY(count - 1 < RUN_MAX && qyi_block_find(slices->iov_base, false, &block)) &&
        run_length(&block, slices, count) == count)
        release_counted(&block, slices->iov_base, (uint32_t)count);
    else
        release_runs(slices, count);
}

int qyi_slices_retain(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        const struct qyi_block block = block_around(slices[done].iov_base, true);
        const size_t length = run_length(&block, &slices[done], qyi_min(count - done, RUN_MAX));
        if (QYI_UNLIKELY(retain_run(&block, &slices[done], (uint32_t)length) != 0)) {
            const int error = errno;
            qyi_slices_release(slices, done);
            errno = error;
            return -1;
        }
        done += length;
    }
    return 0;
}

size_t qyi_slices_following(const qy_slice *slices, size_t count)
{
    size_t length = 1;
    while (length < count &&
           (char *)slices[length - 1].iov_base + slices[length - 1].iov_len == slices[length].iov_base)
        length++;
    if (length == 1)
        return 1;
    const struct qyi_block block = block_around(slices->iov_base, false);
    return run_length(&block, slices, qyi_min(length, RUN_MAX));
}

/* ---- arrays with empty slices among them ---- */

/* As run_length; *owners: how many of them own something, the first one among them. */
QYI_INLINE size_t run_of_owners(const struct qyi_block *block, const qy_slice *slices, size_t count, uint32_t *owners)
{
    const size_t limit = qyi_min(count, RUN_MAX);
    size_t i = 0;
    for (; i + 4 <= limit; i += 4) { /* four at once, as in run_length: in the block, and none of them empty */
        const qy_slice *s = &slices[i];
        const size_t far =
            qyi_max(qyi_max(qyi_block_offset(block, s[0].iov_base), qyi_block_offset(block, s[1].iov_base)),
                    qyi_max(qyi_block_offset(block, s[2].iov_base), qyi_block_offset(block, s[3].iov_base)));
        const size_t least = qyi_min(qyi_min(s[0].iov_len, s[1].iov_len), qyi_min(s[2].iov_len, s[3].iov_len));
        if (far >= block->bytes || least == 0)
            break;
    }
    i = qyi_max(i, 1); /* the first one, whatever it is */
    *owners = (uint32_t)i;
    for (; i < limit; i++) {
        const bool owns = slices[i].iov_len != 0;
        if (qyi_block_offset(block, slices[i].iov_base) >= block->bytes && owns)
            break;
        *owners += owns;
    }
    return i;
}

int qy_slices_retain(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        uint32_t owners;
        if (slices[done].iov_len == 0) {
            done++;
            continue;
        }
        const struct qyi_block block = block_around(slices[done].iov_base, true);
        const size_t length = run_of_owners(&block, &slices[done], count - done, &owners);
        if (QYI_UNLIKELY(retain_run(&block, &slices[done], owners) != 0)) {
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

void qy_slices_drop(qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        uint32_t owners;
        if (slices[done].iov_len == 0) {
            done++;
            continue;
        }
        const struct qyi_block block = block_around(slices[done].iov_base, false);
        const size_t length = run_of_owners(&block, &slices[done], count - done, &owners);
        release_run(&block, &slices[done], owners);
        done += length;
    }
    forget(slices, count);
}

/* ---- frames ---- */

/* A reference for each frame; the slice's own is for the rest of it, or else for the last frame. */
static QYI_NOINLINE int retain_frames(const qy_slice *slice, const qy_slice *frames, size_t count, size_t used,
                                      uint32_t more)
{
    struct qyi_ref_target target;
    if (!qyi_is_tracking() || !qyi_ref_find(slice->iov_base, &target))
        return qyi_retain_slow(slice->iov_base, more);
    size_t i = 0;
    for (; more > 0; i++) {
        if (frames[i].iov_len == 0)
            continue;
        if (qyi_retain_sized(frames[i].iov_base, 1, frames[i].iov_len) != 0)
            return -1;
        more--;
    }
    while (i < count && frames[i].iov_len == 0)
        i++;
    const qy_slice own = i < count
                             ? frames[i]
                             : (qy_slice){.iov_base = (char *)slice->iov_base + used, .iov_len = slice->iov_len - used};
    qyi_track_resized(target.base, slice->iov_base, own.iov_base, own.iov_len);
    return 0;
}

/*
 * The frames of a split have been written to frames[0 .. count), so many of them that own something; used bytes of the slice
 * are gone. Of the references that they need, the slice's own is one if nothing is left of it.
 */
static ssize_t settle(qy_slice *slice, qy_slice *frames, size_t count, uint32_t owners, size_t used)
{
    const bool rest = used != slice->iov_len;
    if (owners + rest > 1 && !qyi_retain_fast(slice->iov_base, owners + rest - 1) &&
        retain_frames(slice, frames, count, used, owners + rest - 1) != 0) {
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
    const size_t count = qyi_min(qyi_min(slice->iov_len / step, max), QYI_COUNT_MAX);
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
    max = qyi_min(max, QYI_COUNT_MAX);
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

/* One load and one swap: a loop over the bytes was two thirds of a frame's cost. */
static uint64_t read_big_endian(const char *p, unsigned bytes)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (bytes) {
    case 1: return (uint8_t)*p;
    case 2: memcpy(&two, p, sizeof two); return be16toh(two);
    case 4: memcpy(&four, p, sizeof four); return be32toh(four);
    default: memcpy(&eight, p, sizeof eight); return be64toh(eight);
    }
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
    max = qyi_min(max, QYI_COUNT_MAX);
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

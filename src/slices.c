/*
 * slices.c: many slices at once; the second half of include/quarry/slice.h. Layer 6.
 *
 * Neighbours in an array that lie in one block are one addition or subtraction together: the atomic operation is most of
 * what a reference costs.
 */
#include "quarry/slice.h"

#include "ref.h"
#include "track.h"

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

/* count references to the block of owner, one for each of the slices that own something. 0 or -1. */
static QYI_NOINLINE int retain_slow(const qy_slice *slices, size_t count, const void *owner, uint32_t owners)
{
    if (!qyi_is_tracking())
        return qyi_retain_slow(owner, owners);
    for (; count > 0; slices++, count--) { /* the first makes the counts; nothing fails after that */
        if (slices->iov_len != 0 && qyi_retain_sized(slices->iov_base, 1, slices->iov_len) != 0)
            return -1;
    }
    return 0;
}

static void release_many(const qy_slice *slices, size_t count, const void *owner, uint32_t owners)
{
    if (owners == 1) {
        (void)qyi_release(owner);
    } else if (!qyi_is_tracking()) {
        (void)qyi_release_slow(owner, owners);
    } else {
        for (; count > 0; slices++, count--) {
            if (slices->iov_len != 0)
                (void)qyi_release(slices->iov_base);
        }
    }
}

int qy_slices_retain(const qy_slice *slices, size_t count)
{
    size_t done = 0;
    while (done < count) {
        uint32_t owners;
        const void *owner;
        const size_t length = same_block(&slices[done], count - done, &owners, &owner);
        if (owners != 0 && !qyi_retain_fast(owner, owners) && retain_slow(&slices[done], length, owner, owners) != 0) {
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
    size_t done = 0;
    while (done < count) {
        uint32_t owners;
        const void *owner;
        const size_t length = same_block(&slices[done], count - done, &owners, &owner);
        if (owners != 0)
            release_many(&slices[done], length, owner, owners);
        done += length;
    }
    memset(slices, 0, count * sizeof *slices);
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
 * The frames of a split have been written to frames[0 .. count); used bytes of the slice are gone. Of the references that the
 * frames that own something need, the slice's own is one if nothing is left of it.
 */
static ssize_t settle(qy_slice *slice, const qy_slice *frames, size_t count, size_t used)
{
    const bool rest = used != slice->iov_len;
    uint32_t owners = 0;
    for (size_t i = 0; i < count; i++)
        owners += frames[i].iov_len != 0;
    if (owners + rest > 1 && !qyi_retain_fast(slice->iov_base, owners + rest - 1) &&
        retain_frames(slice, frames, count, used, owners + rest - 1) != 0)
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

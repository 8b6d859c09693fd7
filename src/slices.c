/*
 * slices.c: many slices at once; the second half of include/quarry/slice.h. Layer 6.
 *
 * Neighbours in an array that lie in one block are one addition or subtraction together: the atomic operation is most of
 * what a reference costs.
 */
#include "quarry/slice.h"

#include "slices.h"

#include "ref.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static const qy_slice empty;

/* The block around p: bytes from start on; 0 for memory that is not ours. */
struct extent {
    const char *start;
    size_t bytes;
};

static QYI_NOINLINE struct extent extent_slow(const void *p)
{
    struct qyi_ref_target target;
    const int saved_errno = errno;
    const bool found = qyi_ref_find(p, &target);
    errno = saved_errno;
    return found ? (struct extent){.start = target.base, .bytes = target.bytes} : (struct extent){NULL, 0};
}

QYI_INLINE struct extent extent_around(const void *p)
{
    const size_t offset = qyi_region_offset(p);
    if (QYI_LIKELY(qyi_region_has(offset))) {
        const uint64_t entry = qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT);
        if (QYI_LIKELY((entry & QYI_ENTRY_COUNTED) != 0)) {
            const struct qyi_place place = qyi_place_of(p, entry);
            if (qyi_place_is_block(&place))
                return (struct extent){.start = qyi_place_start(&place), .bytes = place.interior->bytes};
        }
    }
    return extent_slow(p);
}

QYI_INLINE bool extent_has(const struct extent *extent, const void *p)
{
    return (size_t)((const char *)p - extent->start) < extent->bytes;
}

/* Slices in one block: the first `length` of an array, of which `owners` own a reference; `owner` is in the block. */
struct run {
    size_t length;
    uint32_t owners;
    const void *owner;
};

/* The block is looked up once, and only if there is a second slice to compare with it. */
QYI_INLINE struct run run_of(const qy_slice *slices, size_t count)
{
    struct run run = {0, 0, NULL};
    while (run.length < count && slices[run.length].iov_len == 0)
        run.length++;
    if (run.length == count)
        return run;
    run.owner = slices[run.length++].iov_base;
    run.owners = 1;
    if (run.length == count)
        return run;
    const struct extent extent = extent_around(run.owner);
    for (; run.length < count && run.owners < UINT32_MAX; run.length++) {
        if (slices[run.length].iov_len == 0)
            continue;
        if (!extent_has(&extent, slices[run.length].iov_base))
            break;
        run.owners++;
    }
    return run;
}

void qyi_slices_release(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        const struct run run = run_of(&slices[done], count - done);
        if (run.owners != 0)
            (void)qyi_release_n(run.owner, run.owners);
        done += run.length;
    }
}

bool qyi_slices_are_one(const qy_slice *slices, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if ((char *)slices[i - 1].iov_base + slices[i - 1].iov_len != slices[i].iov_base)
            return false;
    }
    return run_of(slices, count).length == count;
}

int qy_slices_retain(const qy_slice *slices, size_t count)
{
    for (size_t done = 0; done < count;) {
        const struct run run = run_of(&slices[done], count - done);
        if (run.owners != 0 && qyi_retain(run.owner, run.owners) != 0) {
            const int error = errno;
            qyi_slices_release(slices, done);
            errno = error;
            return -1;
        }
        done += run.length;
    }
    return 0;
}

void qy_slices_drop(qy_slice *slices, size_t count)
{
    qyi_slices_release(slices, count);
    if (count != 0) /* memset() wants a pointer even for nothing */
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

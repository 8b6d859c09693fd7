/*
 * slice.c: counted slices; include/quarry/slice.h has the contracts. Layer 6.
 *
 * I1  a slice of length 0 owns nothing; every other one owns one reference to the block or range around its first byte.
 * I2  a slice does not reach beyond its block, so its first byte finds the same block as its last.
 */
#include "quarry/slice.h"

#include "alloc.h"
#include "foreign.h"
#include "os.h"
#include "ref.h"
#include "sample.h"
#include "thread.h"
#include "track.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static_assert(sizeof(qy_slice) == sizeof(struct iovec) && sizeof(qy_slice) == 16, "a slice is an iovec");

static const qy_slice empty = {NULL, 0};

static qy_slice fail(int error)
{
    errno = error;
    return empty;
}

static qy_slice make(const void *p, size_t length)
{
    return (qy_slice){.iov_base = (void *)p, .iov_len = length};
}

static char *at(const qy_slice *slice, size_t offset)
{
    return (char *)slice->iov_base + offset;
}

/* ---- making ---- */

/* A block whose references are tracked, if any are; NULL and ENOMEM. */
static QYI_COLD void *take_tracked(size_t align, size_t length)
{
    void *p = length <= QYI_SIZE_LIMIT && qyi_is_tracking() ? qyi_track_take(align, length) : NULL;
    if (qyi_is_profiling() && p != NULL)
        qyi_sample_pass(p, qyi_usable_size(p, "qy_slice_new"));
    if (p == NULL)
        p = qyi_aligned(align, length);
    struct qyi_ref_target target;
    if (p != NULL && qyi_is_tracking() && qyi_ref_find(p, &target))
        qyi_track_made(p, target.bytes, length);
    return p;
}

/* By itself, so that new_slow has no register to save. */
static QYI_NOINLINE qy_slice new_hard(size_t length)
{
    if (length == 0)
        return empty;
    /* Every multiple of 64 up to 1 KiB is a class, and larger classes are multiples of 64. */
    const size_t bytes = length <= QYI_TABLE_BYTES ? qyi_align_up(length, QYI_CACHE_LINE) : length;
    void *p = !qyi_is_tracking() ? qyi_malloc_slow(bytes) : take_tracked(QYI_CACHE_LINE, length);
    return QYI_LIKELY(p != NULL) ? make(p, length) : empty;
}

static QYI_LINE_ALIGNED QYI_NOINLINE qy_slice new_slow(size_t length)
{
    void *block;
    if (QYI_LIKELY(!qyi_is_tracking()) && QYI_LIKELY(length - 1 < QYI_SMALL_BYTES) && /* not if it is 0 */
        QYI_LIKELY(qyi_malloc_common(qyi_class_of(length), &block)))
        return make(block, length);
    return new_hard(length);
}

qy_slice qy_slice_new(size_t length)
{
    void *p;
    if (QYI_LIKELY(length - 1 < qyi_slice_fast_max) && /* not if it is 0 */
        QYI_LIKELY(qyi_magazine_pop(qyi_my_magazine(qyi_align_up(length, QYI_CACHE_LINE)), &p)))
        return make(p, length);
    return new_slow(length);
}

qy_slice qy_slice_new_aligned(size_t align, size_t length)
{
    if (!qyi_is_power_of_two(align))
        return fail(EINVAL);
    if (length == 0)
        return empty;
    void *p = !qyi_is_tracking() ? qyi_aligned(align, length) : take_tracked(align, length);
    return p != NULL ? make(p, length) : empty;
}

qy_slice qy_slice_zeroed(size_t length)
{
    if (length == 0)
        return empty;
    void *p;
    if (length <= QYI_SIZE_LIMIT && !qyi_is_tracking())
        p = qyi_calloc(1, qyi_align_up(length, QYI_CACHE_LINE));
    else if ((p = take_tracked(QYI_CACHE_LINE, length)) != NULL)
        memset(p, 0, length);
    return p != NULL ? make(p, length) : empty;
}

qy_slice qy_slice_copy(const void *bytes, size_t length)
{
    const qy_slice slice = qy_slice_new(length);
    if (slice.iov_len != 0)
        memcpy(slice.iov_base, bytes, length);
    return slice;
}

qy_slice qy_slice_adopt(void *p, size_t length)
{
    struct qyi_ref_target target;
    if (p == NULL && length == 0)
        return empty;
    if (!qyi_ref_find(p, &target))
        return empty;
    if (target.base != p || target.foreign)
        return fail(EINVAL);
    if (length > target.bytes)
        return fail(ERANGE);
    if (length == 0) {
        qyi_release(p);
        return empty;
    }
    if (qyi_is_tracking())
        qyi_track_made(p, target.bytes, length);
    return make(p, length);
}

void *qy_slice_into_raw(qy_slice *slice)
{
    if (slice->iov_len == 0)
        return NULL;
    struct qyi_ref_target target;
    if (!qyi_ref_find(slice->iov_base, &target))
        return NULL;
    void *p = target.base;
    if (target.foreign || (p != slice->iov_base && target.references != 1)) {
        p = qyi_malloc(slice->iov_len);
        if (p == NULL)
            return NULL;
        memcpy(p, slice->iov_base, slice->iov_len);
        qyi_release(slice->iov_base);
    } else if (p != slice->iov_base) {
        memmove(p, slice->iov_base, slice->iov_len);
    }
    *slice = empty;
    return p;
}

qy_slice qy_slice_static(const void *bytes, size_t length)
{
    if (length == 0)
        return empty;
    const int error = qyi_foreign_add((void *)bytes, length, QYI_FOREIGN_STATIC, NULL, NULL);
    return error == 0 ? make(bytes, length) : fail(error);
}

qy_slice qy_slice_foreign(void *p, size_t length, void (*release)(void *p, size_t length, void *context), void *context)
{
    if (length == 0) { /* nobody will own it */
        const int saved_errno = errno;
        if (release != NULL)
            release(p, 0, context);
        errno = saved_errno;
        return empty;
    }
    const int error = qyi_foreign_add(p, length, QYI_FOREIGN_COUNTED, release, context);
    return error == 0 ? make(p, length) : fail(error);
}

static void unmap(void *p, size_t length, void *context)
{
    (void)context;
    qyi_os_unmap(p, length);
}

qy_slice qy_slice_map(int fd, off_t offset, size_t length)
{
    struct stat status;
    if (!qyi_start())
        return fail(ENOMEM);
    if (fstat(fd, &status) != 0)
        return empty;
    if (offset < 0 || offset > status.st_size || length > (size_t)(status.st_size - offset))
        return fail(ERANGE);
    if (length == 0)
        length = (size_t)(status.st_size - offset);
    if (length == 0)
        return empty;
    const size_t before = (size_t)offset % qyi_os_page_bytes;
    void *p = qyi_os_map_file(fd, offset - (off_t)before, before + length);
    if (p == NULL)
        return empty;
    const size_t mapped = qyi_align_up(before + length, qyi_os_page_bytes);
    const int error = qyi_foreign_add(p, mapped, QYI_FOREIGN_CONSTANT, unmap, NULL);
    if (error != 0) {
        qyi_os_unmap(p, mapped);
        return fail(error);
    }
    return make((char *)p + before, length);
}

/* ---- sharing ---- */

static QYI_NOINLINE qy_slice clone_slow(qy_slice slice)
{
    return qyi_retain_sized(slice.iov_base, 1, slice.iov_len) == 0 ? slice : empty;
}

qy_slice qy_slice_clone(qy_slice slice)
{
    if (QYI_UNLIKELY(slice.iov_len == 0))
        return empty;
    return QYI_LIKELY(qyi_retain_fast(slice.iov_base, 1)) ? slice : clone_slow(slice);
}

qy_slice qy_slice_sub(qy_slice slice, size_t offset, size_t length)
{
    if (QYI_UNLIKELY(offset > slice.iov_len || length > slice.iov_len - offset))
        return fail(ERANGE);
    return qy_slice_clone(make(at(&slice, offset), length));
}

qy_slice qy_slice_from(const void *p, size_t length)
{
    struct qyi_ref_target target;
    if (length == 0)
        return empty;
    if (!qyi_ref_find(p, &target))
        return empty;
    if (length > target.bytes - (size_t)((const char *)p - (const char *)target.base))
        return fail(ERANGE);
    return qy_slice_clone(make(p, length));
}

void qy_slice_drop(qy_slice *slice)
{
    const void *p = slice->iov_base;
    const bool owns = slice->iov_len != 0;
    *slice = empty;
    if (QYI_LIKELY(owns))
        qyi_release(p);
}

/* ---- cutting ---- */

/* A reference for the bytes from where on, whose slice keeps those before. */
static QYI_NOINLINE bool retain_rest(const qy_slice *slice, size_t where)
{
    if (qyi_retain_sized(at(slice, where), 1, slice->iov_len - where) != 0)
        return false;
    struct qyi_ref_target target;
    if (qyi_is_tracking() && qyi_ref_find(slice->iov_base, &target))
        qyi_track_resized(target.base, slice->iov_base, slice->iov_base, where);
    return true;
}

/* Make of *slice the two parts [0, cut) and [cut, length). False: unchanged, and errno. */
static bool cut(const qy_slice *slice, size_t where, qy_slice *front, qy_slice *back)
{
    if (QYI_UNLIKELY(where > slice->iov_len)) {
        errno = ERANGE;
        return false;
    }
    const bool two_parts = where != 0 && where != slice->iov_len;
    if (two_parts && !QYI_LIKELY(qyi_retain_fast(slice->iov_base, 1)) && !retain_rest(slice, where))
        return false;
    const qy_slice whole = *slice;
    *front = where == 0 ? empty : make(whole.iov_base, where);
    *back = where == whole.iov_len ? empty : make(at(&whole, where), whole.iov_len - where);
    return true;
}

qy_slice qy_slice_split_to(qy_slice *slice, size_t where)
{
    qy_slice front = empty;
    cut(slice, where, &front, slice);
    return front;
}

qy_slice qy_slice_split_off(qy_slice *slice, size_t where)
{
    qy_slice back = empty;
    cut(slice, where, slice, &back);
    return back;
}

void qy_slice_truncate(qy_slice *slice, size_t length)
{
    if (length >= slice->iov_len)
        return;
    if (length == 0)
        qy_slice_drop(slice);
    else
        slice->iov_len = length;
}

int qy_slice_advance(qy_slice *slice, size_t bytes)
{
    if (QYI_UNLIKELY(bytes > slice->iov_len)) {
        errno = ERANGE;
        return -1;
    }
    if (bytes == slice->iov_len)
        qy_slice_drop(slice);
    else
        *slice = make(at(slice, bytes), slice->iov_len - bytes);
    return 0;
}

int qy_slice_unsplit(qy_slice *front, qy_slice *back)
{
    if (back->iov_len == 0)
        return 0;
    if (front->iov_len == 0) {
        *front = *back;
        *back = empty;
        return 0;
    }
    struct qyi_ref_target first;
    struct qyi_ref_target second;
    if (at(front, front->iov_len) != back->iov_base || !qyi_ref_find(front->iov_base, &first) ||
        !qyi_ref_find(back->iov_base, &second) || first.base != second.base) {
        errno = EINVAL;
        return -1;
    }
    front->iov_len += back->iov_len;
    qyi_release(front->iov_base); /* the second reference */
    *back = empty;
    return 0;
}

/* ---- writing ---- */

/* Have the bytes in a block of their own instead. False: unchanged, and ENOMEM. */
static bool copy_out(qy_slice *slice)
{
    /* Not one that is larger than need be: see qyi_magazines_borrow. */
    void *p =
        !qyi_is_tracking() ? qyi_aligned(QYI_CACHE_LINE, slice->iov_len) : take_tracked(QYI_CACHE_LINE, slice->iov_len);
    if (p == NULL)
        return false;
    memcpy(p, slice->iov_base, slice->iov_len);
    qyi_release(slice->iov_base);
    slice->iov_base = p;
    return true;
}

void *qy_slice_make_mut(qy_slice *slice)
{
    struct qyi_ref_target target;
    if (slice->iov_len == 0 || !qyi_ref_find(slice->iov_base, &target))
        return NULL;
    return qyi_ref_is_sole(&target) || copy_out(slice) ? slice->iov_base : NULL;
}

void *qy_slice_try_mut(const qy_slice *slice)
{
    struct qyi_ref_target target;
    if (slice->iov_len == 0 || !qyi_ref_find(slice->iov_base, &target))
        return NULL;
    if (qyi_ref_is_sole(&target))
        return slice->iov_base;
    errno = EBUSY;
    return NULL;
}

int qy_slice_compact(qy_slice *slice, unsigned min_percent)
{
    struct qyi_ref_target target;
    if (slice->iov_len == 0)
        return 0;
    if (!qyi_ref_find(slice->iov_base, &target))
        return -1;
    if (slice->iov_len / 100.0 >= target.bytes / 10000.0 * min_percent)
        return 0;
    if (target.bytes <= qyi_good_size(qyi_align_up(slice->iov_len, QYI_CACHE_LINE)))
        return 0; /* the copy's block would be no smaller */
    return copy_out(slice) ? 1 : -1;
}

/* ---- looking ---- */

int qy_slice_compare(qy_slice a, qy_slice b)
{
    const size_t common = qyi_min(a.iov_len, b.iov_len);
    const int order = common == 0 ? 0 : memcmp(a.iov_base, b.iov_base, common);
    return order != 0 ? order : (a.iov_len > b.iov_len) - (a.iov_len < b.iov_len);
}

bool qy_slice_equal(qy_slice a, qy_slice b)
{
    return a.iov_len == b.iov_len && (a.iov_len == 0 || memcmp(a.iov_base, b.iov_base, a.iov_len) == 0);
}

ssize_t qy_slice_find(qy_slice slice, size_t from, const void *needle, size_t length)
{
    if (from > slice.iov_len)
        return -1;
    if (length == 0)
        return (ssize_t)from;
    if (length > slice.iov_len - from)
        return -1;
    const char *found = memmem(at(&slice, from), slice.iov_len - from, needle, length);
    return found == NULL ? -1 : found - (const char *)slice.iov_base;
}

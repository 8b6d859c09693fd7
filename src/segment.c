/*
 * segment.c: slices that are parts of files. Layer 6.
 *
 *     registry (foreign.c):  [mapped range, count, release = close_segment, context]
 *                                                                              `-> struct file: descriptor, offset
 *
 * I1  a range whose release function is close_segment has a struct file as context. The last reference closes the
 *     descriptor, so that it is valid for whoever has a slice.
 */
#include "segment.h"

#include "quarry/io.h"

#include "alloc.h"
#include "foreign.h"
#include "os.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    int fd;
    int64_t start;  /* of the mapping, in the file */
    int64_t offset; /* of the slice that was made first */
    size_t length;
};

static const qy_slice empty;

static void close_segment(void *p, size_t bytes, void *context)
{
    struct file *file = context;
    const int saved_errno = errno;
    qyi_os_unmap(p, bytes);
    close(file->fd);
    errno = saved_errno;
    qyi_free(file);
}

bool qyi_segment_find_slow(const qy_slice *slice, struct qyi_segment *segment)
{
    struct qyi_foreign range;
    if (!qyi_foreign_find(slice->iov_base, &range) || range.release != close_segment)
        return false;
    const struct file *file = range.context; /* I1: ours as long as the slice is */
    segment->fd = file->fd;
    segment->offset = file->start + ((char *)slice->iov_base - (char *)range.base);
    segment->whole = segment->offset == file->offset && slice->iov_len == file->length;
    return true;
}

/* Map and register; 0, or an errno value and nothing is left behind. file->fd is the range's to close on success. */
static int add_mapping(struct file *file, qy_slice *slice)
{
    const size_t before = (size_t)(file->offset - file->start);
    const int saved_errno = errno;
    char *p = qyi_os_map_file(file->fd, file->start, before + file->length);
    if (p == NULL) {
        const int error = errno;
        errno = saved_errno;
        return error;
    }
    const size_t mapped = qyi_align_up(before + file->length, qyi_os_page_bytes);
    const int error = qyi_foreign_add(p, mapped, QYI_FOREIGN_CONSTANT, close_segment, file);
    if (error != 0)
        qyi_os_unmap(p, mapped);
    else
        *slice = (qy_slice){.iov_base = p + before, .iov_len = file->length};
    return error;
}

static int make_segment(int fd, int64_t offset, size_t length, qy_slice *slice)
{
    struct file *file = qyi_malloc(sizeof *file);
    if (file == NULL)
        return ENOMEM;
    *file = (struct file){
        .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
        .start = (int64_t)qyi_align_down((size_t)offset, qyi_os_page_bytes),
        .offset = offset,
        .length = length,
    };
    const int error = file->fd < 0 ? errno : add_mapping(file, slice);
    if (error != 0) {
        if (file->fd >= 0)
            close(file->fd);
        qyi_free(file);
    }
    return error;
}

qy_slice qy_slice_file(int fd, off_t offset, size_t length)
{
    struct stat status;
    qy_slice slice = empty;
    int error = 0;
    if (!qyi_start())
        error = ENOMEM;
    else if (fstat(fd, &status) != 0)
        error = errno;
    else if (offset < 0 || offset > status.st_size || length > (size_t)(status.st_size - offset))
        error = ERANGE;
    else if (offset != status.st_size)
        error = make_segment(fd, offset, length != 0 ? length : (size_t)(status.st_size - offset), &slice);
    if (error != 0)
        errno = error;
    return slice;
}

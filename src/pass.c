/*
 * pass.c: slices for other processes, as sealed memory files. Layer 6.
 *
 *     qy_slice_share          bytes -> memory file -> seals           (or the file that the bytes came in)
 *     qy_slice_open_shared    seals and size checked -> segment.c maps it
 *     qy_slice_pass/receive   a byte and a descriptor over a socket
 *
 * The receiver trusts nobody: a file that is sealed against writing and resizing can no longer be changed by anyone,
 * so the bytes are checked once and stay as they are.
 */
#include "quarry/io.h"

#include "os.h"
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static const qy_slice empty;
static const char greeting = 'q';

static int fail(int error)
{
    errno = error;
    return -1;
}

static void close_quietly(int fd)
{
    const int saved_errno = errno;
    close(fd);
    errno = saved_errno;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        const ssize_t written = write(fd, bytes + done, length - done);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            return false;
    }
    return true;
}

static bool is_sealed(int fd)
{
    const int seals = fcntl(fd, F_GET_SEALS); /* -1 for all but memory files */
    return seals >= 0 && (seals & SEALS) == SEALS;
}

/* The slice is all of a sealed file. */
static bool is_shared_file(const qy_slice *slice, int *fd)
{
    struct qyi_segment segment;
    struct stat status;
    const int saved_errno = errno;
    const bool found = qyi_segment_find(slice, &segment) && segment.offset == 0 && is_sealed(segment.fd) &&
                       fstat(segment.fd, &status) == 0 && (size_t)status.st_size == slice->iov_len;
    errno = saved_errno;
    *fd = found ? segment.fd : -1;
    return found;
}

int qy_slice_share(qy_slice slice)
{
    int fd;
    const int saved_errno = errno;
    if (slice.iov_len == 0)
        return fail(EINVAL);
    if (is_shared_file(&slice, &fd))
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    fd = qyi_os_memory_file("quarry");
    if (fd < 0)
        return -1;
    if (!write_all(fd, slice.iov_base, slice.iov_len) || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0) {
        close_quietly(fd);
        return -1;
    }
    errno = saved_errno;
    return fd;
}

qy_slice qy_slice_open_shared(int fd, size_t max)
{
    struct stat status;
    int error = 0;
    const int saved_errno = errno;
    if (fstat(fd, &status) != 0)
        error = errno;
    else if (!is_sealed(fd))
        error = EPERM;
    else if (status.st_size <= 0)
        error = EINVAL;
    else if ((size_t)status.st_size > max)
        error = EMSGSIZE;
    errno = error != 0 ? error : saved_errno;
    return error != 0 ? empty : qy_slice_file(fd, 0, (size_t)status.st_size);
}

int qy_slice_pass(int socket, qy_slice slice)
{
    const int fd = qy_slice_share(slice);
    if (fd < 0)
        return -1;
    union {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct iovec bytes = {.iov_base = (void *)&greeting, .iov_len = sizeof greeting};
    const struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    close_quietly(fd);
    return sent == sizeof greeting ? 0 : -1;
}

/* The one descriptor of a message; -1 if it has none, or several, which are closed. */
static int take_descriptor(struct msghdr *message)
{
    int taken = -1;
    unsigned count = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof taken <= part->cmsg_len - CMSG_LEN(0); at += sizeof taken) {
            if (taken >= 0)
                close_quietly(taken);
            memcpy(&taken, CMSG_DATA(part) + at, sizeof taken);
            count++;
        }
    }
    if (count > 1) {
        close_quietly(taken);
        taken = -1;
    }
    return taken;
}

int qy_slice_receive(int socket, size_t max, qy_slice *slice)
{
    enum { DESCRIPTORS = 8 }; /* one is expected */
    *slice = empty;
    char byte = 0;
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    const ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0)
        return -1;
    const int fd = take_descriptor(&message);
    if (received == 0 && fd < 0)
        return 0;
    if (fd < 0)
        return fail(EPROTO);
    if (byte != greeting || (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) {
        close_quietly(fd);
        return fail(EPROTO);
    }
    *slice = qy_slice_open_shared(fd, max);
    close_quietly(fd);
    return slice->iov_len != 0 ? 1 : -1;
}

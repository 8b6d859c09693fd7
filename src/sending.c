/*
 * sending.c: sending an array of slices to its end. Layer 6.
 *
 *     slices     [ bytes ][ bytes ][ file .... ][ bytes ][ file ][ bytes ]
 *     calls      sendmsg(MSG_MORE)  sendfile     sendmsg .................        (the small part of a file is copied)
 *
 * The loop ends when everything is sent, or with the first call that fails or sends less than it was given: a full
 * socket, or a signal, which must not be lost by waiting again. What was sent until then is the result.
 */
#include "sending.h"

#include "quarry/io.h"

#include "os.h"
#include "ref.h"
#include "segment.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

/*
 * Parts of files below this are copied from the mapping: see qy_io(3) for the figures.
 * When a call ended inside a slice, the next one needs an array that begins there: that many of them are copied.
 */
enum { SENDFILE_MIN = 16 << 10, CONTINUED = 64 };

/* Linux sends no more by one call, and says so by sending less: that is no reason to end. */
static size_t call_most(void)
{
    return qyi_align_down(INT_MAX, qyi_os_page_bytes);
}

/* Where the loop stands. */
struct position {
    const qy_slice *slices;
    size_t count;
    size_t index;
    size_t offset; /* in slices[index], less than its length */
    bool no_files; /* the descriptor takes no sendfile */
    bool cut_short;
};

static qy_slice rest_of(const struct position *at)
{
    const qy_slice *slice = &at->slices[at->index];
    return (qy_slice){.iov_base = (char *)slice->iov_base + at->offset, .iov_len = slice->iov_len - at->offset};
}

static void advance(struct position *at, size_t bytes)
{
    bytes += at->offset;
    while (at->index < at->count && bytes >= at->slices[at->index].iov_len)
        bytes -= at->slices[at->index++].iov_len;
    at->offset = bytes;
}

static bool goes_by_sendfile(const struct qyi_sending *sending, const struct position *at, const qy_slice *slice,
                             struct qyi_segment *segment)
{
    /* MSG_DONTWAIT cannot be said to sendfile */
    return slice->iov_len >= SENDFILE_MIN && !at->no_files && (sending->flags & MSG_DONTWAIT) == 0 &&
           qyi_segment_find(slice, segment);
}

/*
 * sendfile does not know MSG_NOSIGNAL: keep the signal from being delivered, and take it back. It comes with EPIPE, and also
 * when the other end goes in the middle, after some bytes, which then are the result.
 */
static ssize_t sendfile_without_signal(int fd, int file, off_t *offset, size_t bytes)
{
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    const ssize_t sent = sendfile(fd, file, offset, bytes);
    const int error = errno;
    if (sent < (ssize_t)bytes && sigismember(&pending, SIGPIPE) == 0) {
        while (sigtimedwait(&pipe, NULL, &(const struct timespec){0}) < 0 && errno == EINTR)
            continue;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return sent;
}

/* sendfile fills a pipe once, and does not wait for more room as write does. */
static bool is_pipe(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

static ssize_t send_file(const struct qyi_sending *sending, struct position *at, const qy_slice *slice,
                         const struct qyi_segment *segment)
{
    const int saved_errno = errno;
    off_t offset = segment->offset;
    const ssize_t sent = (sending->flags & MSG_NOSIGNAL) != 0
                             ? sendfile_without_signal(sending->fd, segment->fd, &offset, slice->iov_len)
                             : sendfile(sending->fd, segment->fd, &offset, slice->iov_len);
    if (sent < 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        at->no_files = true;
        errno = saved_errno;
        return 0;
    }
    if (sent == 0) { /* the file has become shorter */
        errno = EIO;
        return -1;
    }
    at->cut_short = (size_t)sent < qyi_min(slice->iov_len, call_most()) && !is_pipe(sending->fd);
    return sent;
}

/* What it means that bytes of these slices cannot be read: a file that has become shorter, if there is one among them. */
static int missing_bytes(const qy_slice *slices, size_t count)
{
    struct qyi_segment segment;
    for (size_t i = 0; i < count; i++) {
        if (qyi_segment_find(&slices[i], &segment))
            return EIO;
    }
    return EFAULT;
}

/* Everything up to the next part of a file. */
static ssize_t send_bytes(const struct qyi_sending *sending, struct position *at)
{
    qy_slice continued[CONTINUED];
    struct qyi_segment segment;
    const qy_slice *slices = &at->slices[at->index];
    const size_t max = qyi_min(at->count - at->index, at->offset != 0 ? CONTINUED : IOV_MAX);
    size_t count = 1; /* the first has been looked at */
    while (count < max && !goes_by_sendfile(sending, at, &slices[count], &segment))
        count++;
    if (at->offset != 0) {
        continued[0] = rest_of(at);
        for (size_t i = 1; i < count; i++)
            continued[i] = slices[i];
        slices = continued;
    }
    const bool more = count < max; /* a file follows */
    const ssize_t sent = sending->some(sending, slices, count, more);
    if (sent >= 0) {
        size_t wanted = 0;
        for (size_t i = 0; i < count; i++)
            wanted += slices[i].iov_len;
        at->cut_short = (size_t)sent < qyi_min(wanted, call_most());
    } else if (errno == EFAULT) {
        errno = missing_bytes(slices, count);
    }
    return sent;
}

ssize_t qyi_sending_run(const struct qyi_sending *sending, const qy_slice *slices, size_t count)
{
    struct position at = {.slices = slices, .count = count};
    size_t sent_before = 0;
    const int saved_errno = errno;
    for (advance(&at, 0); at.index < at.count && !at.cut_short; advance(&at, 0)) {
        struct qyi_segment segment;
        const qy_slice next = rest_of(&at);
        const ssize_t sent = goes_by_sendfile(sending, &at, &next, &segment) ? send_file(sending, &at, &next, &segment)
                                                                             : send_bytes(sending, &at);
        if (sent < 0) {
            if (sent_before == 0)
                return -1;
            errno = saved_errno; /* the error comes back with the next call */
            break;
        }
        sent_before += (size_t)sent;
        advance(&at, (size_t)sent);
    }
    return (ssize_t)sent_before;
}

void qyi_slices_drain(qy_slice *slices, size_t count, size_t bytes)
{
    size_t whole = 0;
    while (whole < count && bytes >= slices[whole].iov_len)
        bytes -= slices[whole++].iov_len;
    qy_slices_drop(slices, whole);
    if (bytes != 0)
        (void)qy_slice_advance(&slices[whole], bytes);
}

ssize_t qyi_sending_message(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)slices, .msg_iovlen = count};
    return sendmsg(sending->fd, &message, sending->flags | (more ? MSG_MORE : 0));
}

ssize_t qyi_sending_write(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more)
{
    (void)more;
    return writev(sending->fd, slices, (int)count);
}

/*
 * io.c: writing and reading slices; include/quarry/io.h has the contracts. Layer 6.
 *
 * A function that sends lends its slices to the loop in sending.c, and drains what went out.
 */
#include "quarry/io.h"

#include "ref.h"
#include "sending.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const qy_slice empty;

static ssize_t fail(int error)
{
    errno = error;
    return -1;
}

static ssize_t send_and_drain(const struct qyi_sending *sending, qy_slice *slices, size_t count)
{
    const ssize_t sent = qyi_sending_run(sending, slices, count);
    if (sent > 0)
        qyi_slices_drain(slices, count, (size_t)sent);
    return sent;
}

ssize_t qy_slices_write(int fd, qy_slice *slices, size_t count)
{
    const struct qyi_sending sending = {.fd = fd, .some = qyi_sending_write};
    return send_and_drain(&sending, slices, count);
}

ssize_t qy_slices_send(int socket, qy_slice *slices, size_t count, int flags)
{
    if ((flags & MSG_ZEROCOPY) != 0)
        return fail(EINVAL);
    const struct qyi_sending sending = {.fd = socket, .flags = flags, .some = qyi_sending_message};
    return send_and_drain(&sending, slices, count);
}

static ssize_t send_chain(const struct qyi_sending *sending, qy_chain *chain)
{
    const ssize_t sent = qyi_sending_run(sending, chain->slices, chain->count);
    if (sent > 0)
        (void)qy_chain_drain(chain, (size_t)sent);
    return sent;
}

ssize_t qy_chain_write(int fd, qy_chain *chain)
{
    const struct qyi_sending sending = {.fd = fd, .some = qyi_sending_write};
    return send_chain(&sending, chain);
}

ssize_t qy_chain_send(int socket, qy_chain *chain, int flags)
{
    if ((flags & MSG_ZEROCOPY) != 0)
        return fail(EINVAL);
    const struct qyi_sending sending = {.fd = socket, .flags = flags, .some = qyi_sending_message};
    return send_chain(&sending, chain);
}

ssize_t qy_slice_read(int fd, size_t max, qy_slice *slice)
{
    *slice = empty;
    if (max == 0)
        return fail(EINVAL);
    qy_slice block = qy_slice_new(max);
    if (block.iov_len == 0)
        return -1;
    const ssize_t bytes = read(fd, block.iov_base, max);
    if (bytes > 0) {
        block.iov_len = (size_t)bytes;
        *slice = block;
        return bytes;
    }
    qy_slice_drop(&block);
    return bytes;
}

ssize_t qy_slices_read(int fd, const qy_slice *slices, size_t count)
{
    count = qyi_min(count, IOV_MAX);
    for (size_t i = 0; i < count; i++) {
        if (slices[i].iov_len != 0 && !qy_is_unique(slices[i].iov_base))
            return fail(EBUSY);
    }
    return readv(fd, slices, (int)count);
}

ssize_t qy_chain_read(int fd, qy_chain *chain, size_t max)
{
    if (max > QY_CHAIN_BYTES_MAX - chain->bytes)
        return fail(EOVERFLOW);
    if (qy_chain_push_clones(chain, &empty, 1) != 0) /* adds nothing, and makes room for one */
        return -1;
    qy_slice slice;
    const ssize_t bytes = qy_slice_read(fd, max, &slice);
    if (bytes > 0)
        (void)qy_chain_push(chain, slice);
    return bytes;
}

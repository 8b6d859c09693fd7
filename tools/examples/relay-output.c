/*
 * relay-output.c: what waits for a subscriber of relay.c, and what is under way.
 *
 *     chain     [slice][slice][slice]     owned; sent from the front
 *     tail      [slice]                   the last one, which the next run makes longer if it follows in the same block
 *     under way [slice #7][slice #8]      MSG_ZEROCOPY, io_uring: the kernel still reads the bytes, the library holds them
 *
 * In automatic mode, qy_zerocopy decides for each send whether it is worth the trouble: not if it is small, and not for a
 * while after the kernel has reported that it copied in the end (loopback, a receiver in the same machine). What only one
 * subscriber gets is copied in any case: the cache has it from read(), and the block can be read to again at once.
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include "program.h"
#include "relay-ring.h"

#include <quarry/io.h>
#include <quarry/zerocopy.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_BYTES_MAX = 1 << 30 };

struct output {
    int fd;
    void *owner;
    bool abandoned;
    bool shared; /* the last run is in other outputs as well */
    qy_chain chain;
    qy_slice tail;
    qy_zerocopy *zerocopy; /* NULL: always copy */
    size_t in_ring;        /* bytes that the ring is sending */
};

static bool prepare(struct output *output)
{
    if (relay_options.send == SEND_URING) {
        const int flags = fcntl(output->fd, F_GETFL);
        return fcntl(output->fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
    }
    if (relay_options.send == SEND_WRITEV)
        return true;
    output->zerocopy = qy_zerocopy_new(output->fd);
    if (output->zerocopy != NULL && relay_options.send == SEND_ZEROCOPY)
        qy_zerocopy_set_limits(output->zerocopy, 0, 0);
    return output->zerocopy != NULL;
}

struct output *output_new(int fd, void *owner)
{
    struct output *output = calloc(1, sizeof *output);
    if (output == NULL)
        return NULL;
    output->fd = fd;
    output->owner = owner;
    qy_chain_init(&output->chain);
    if (!prepare(output)) {
        free(output);
        return NULL;
    }
    return output;
}

void output_free(struct output *output)
{
    qy_chain_clear(&output->chain);
    qy_slice_drop(&output->tail);
    qy_zerocopy_free(output->zerocopy);
    free(output);
}

/* The kernel has done with everything that was handed over. */
static bool at_rest(struct output *output)
{
    if (output->zerocopy != NULL)
        (void)qy_zerocopy_reap(output->zerocopy);
    return output->in_ring == 0 && (output->zerocopy == NULL || qy_zerocopy_pending(output->zerocopy) == 0);
}

bool output_abandon(struct output *output)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    /* Closed, the socket would go on sending from pages that are ours to reuse, and tell nobody when it is done. Disconnected,
     * it forgets what it had to send and says so. */
    if (!output->abandoned && !at_rest(output))
        (void)connect(output->fd, &nowhere, sizeof nowhere);
    output->abandoned = true;
    return at_rest(output);
}

size_t output_bytes(const struct output *output)
{
    return qy_chain_bytes(&output->chain) + output->tail.iov_len + output->in_ring;
}

/* The tail goes where the others are. */
static int push_tail(struct output *output)
{
    if (qy_chain_push(&output->chain, output->tail) != 0)
        return -1;
    output->tail = QY_SLICE_EMPTY;
    return 0;
}

int output_append(struct output *output, const struct run *run)
{
    qy_slice slice = {.iov_base = (void *)run->bytes, .iov_len = run->length};
    output->shared = run->shared;
    if (output->tail.iov_len != 0 && qy_slice_unsplit(&output->tail, &slice) == 0)
        return 0;
    if (push_tail(output) != 0) {
        qy_slice_drop(&slice);
        return -1;
    }
    output->tail = slice;
    return 0;
}

/* As much of the chain as one request takes. */
static size_t request_bytes(const qy_chain *chain)
{
    size_t count, bytes = 0;
    const struct iovec *pieces = qy_chain_iov(chain, &count);
    for (size_t i = 0; i < count && i < IOV_MAX; i++)
        bytes += pieces[i].iov_len;
    return bytes < REQUEST_BYTES_MAX ? bytes : REQUEST_BYTES_MAX;
}

/* The ring tells when: until then, the bytes count as waiting. */
static ssize_t send_by_ring(struct output *output)
{
    if (output->in_ring == 0) {
        const size_t bytes = request_bytes(&output->chain);
        qy_chain request;
        qy_chain_init(&request);
        if (qy_chain_split(&output->chain, bytes, &request) != 0 || ring_send(output->fd, &request, output) != 0) {
            const int error = errno != EAGAIN ? errno : EIO;
            qy_chain_clear(&request);
            errno = error;
            return -1;
        }
        output->in_ring = bytes;
    }
    errno = EAGAIN;
    return -1;
}

ssize_t output_send(struct output *output)
{
    if (push_tail(output) != 0)
        return -1;
    if (relay_options.send == SEND_URING)
        return send_by_ring(output);
    if (output->zerocopy != NULL && (output->shared || relay_options.send == SEND_ZEROCOPY))
        return qy_zerocopy_send_chain(output->zerocopy, &output->chain, 0);
    return qy_chain_send(output->fd, &output->chain, 0);
}

static void sent_by_ring(void *context, int result)
{
    struct output *output = context;
    const bool whole = result >= 0 && (size_t)result == output->in_ring;
    output->in_ring = 0;
    relay_sent(output->owner, result, whole);
}

void outputs_open(void)
{
    if (relay_options.send == SEND_URING)
        ring_open();
}

int outputs_descriptor(void)
{
    return ring_descriptor();
}

void outputs_advance(void)
{
    ring_events(sent_by_ring);
}

bool output_reported(struct output *output)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (output->zerocopy != NULL)
        (void)qy_zerocopy_reap(output->zerocopy);
    return getsockopt(output->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

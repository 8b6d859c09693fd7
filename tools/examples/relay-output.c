/*
 * relay-output.c: what waits for a subscriber of relay.c, and what is under way.
 *
 *     waiting   [slice][slice][slice]     owned; sent from the front
 *     under way [slice #7][slice #8]      sent with MSG_ZEROCOPY: the kernel still reads the bytes (qy_zerocopy)
 *
 * In automatic mode, the account decides for each send whether it is worth the trouble: not if it is small, and not for a
 * while after the kernel has reported that it copied in the end (loopback, a receiver in the same machine).
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include <quarry/io.h>
#include <quarry/zerocopy.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct output {
    int fd;
    bool abandoned;
    size_t bytes; /* waiting */
    qy_slice *waiting;
    size_t first, end, room;
    qy_zerocopy *zerocopy; /* NULL: always copy */
};

struct output *output_new(int fd)
{
    struct output *output = calloc(1, sizeof *output);
    if (output == NULL)
        return NULL;
    output->fd = fd;
    if (relay_options.send == SEND_WRITEV)
        return output;
    output->zerocopy = qy_zerocopy_new(fd);
    if (output->zerocopy == NULL) {
        free(output);
        return NULL;
    }
    if (relay_options.send == SEND_ZEROCOPY)
        qy_zerocopy_set_limits(output->zerocopy, 0, 0);
    return output;
}

void output_free(struct output *output)
{
    qy_slices_drop(output->waiting + output->first, output->end - output->first);
    free(output->waiting);
    qy_zerocopy_free(output->zerocopy);
    free(output);
}

bool output_abandon(struct output *output)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    if (output->zerocopy == NULL)
        return true;
    /* Closed, the socket would go on sending from pages that are ours to reuse, and tell nobody when it is done. Disconnected,
     * it forgets what it had to send and says so. */
    if (!output->abandoned && qy_zerocopy_pending(output->zerocopy) != 0)
        (void)connect(output->fd, &nowhere, sizeof nowhere);
    output->abandoned = true;
    (void)qy_zerocopy_reap(output->zerocopy);
    return qy_zerocopy_pending(output->zerocopy) == 0;
}

size_t output_bytes(const struct output *output)
{
    return output->bytes;
}

/* Room for one more at the end. */
static bool make_room(struct output *output)
{
    const size_t count = output->end - output->first;
    if (output->end < output->room)
        return true;
    if (count >= output->room / 2) {
        const size_t room = output->room != 0 ? 2 * output->room : 8;
        qy_slice *larger = realloc(output->waiting, room * sizeof *larger);
        if (larger == NULL)
            return false;
        output->waiting = larger;
        output->room = room;
    }
    memmove(output->waiting, output->waiting + output->first, count * sizeof *output->waiting);
    output->first = 0;
    output->end = count;
    return true;
}

int output_append(struct output *output, const struct run *run)
{
    qy_slice slice = {.iov_base = (void *)run->bytes, .iov_len = run->length};
    if (output->end == output->first || qy_slice_unsplit(&output->waiting[output->end - 1], &slice) != 0) {
        if (!make_room(output)) {
            qy_slice_drop(&slice);
            return -1;
        }
        output->waiting[output->end++] = slice;
    }
    output->bytes += run->length;
    return 0;
}

ssize_t output_send(struct output *output)
{
    qy_slice *slices = output->waiting + output->first;
    const size_t count = output->end - output->first;
    const ssize_t sent = output->zerocopy != NULL ? qy_zerocopy_send(output->zerocopy, slices, count, 0)
                                                  : qy_slices_send(output->fd, slices, count, 0);
    if (sent <= 0)
        return sent;
    output->bytes -= (size_t)sent;
    while (output->first < output->end && output->waiting[output->first].iov_len == 0)
        output->first++;
    if (output->first == output->end)
        output->first = output->end = 0;
    return sent;
}

bool output_reported(struct output *output)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (output->zerocopy != NULL)
        (void)qy_zerocopy_reap(output->zerocopy);
    return getsockopt(output->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

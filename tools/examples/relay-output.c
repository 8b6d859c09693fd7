/*
 * relay-output.c: what waits for a subscriber of relay.c, and what is under way.
 *
 *     waiting   [slice][slice][slice]     owned; sent from the front
 *     pinned    [slice #7][slice #8]      sent with MSG_ZEROCOPY: the kernel still reads the bytes
 *
 * With MSG_ZEROCOPY the kernel takes the pages instead of the bytes, and says in the socket's error queue when it is done with
 * them; until then each slice keeps its reference. Notifications name calls by number, one after the other for each socket.
 * Where the kernel had to copy in the end (loopback, a receiver in the same machine), it says so too, and automatic mode
 * gives up for this socket. Below ZEROCOPY_LEAST bytes, pinning pages costs more than copying.
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include "program.h"

#include <quarry/slice.h>

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PIECES_AT_ONCE = 64, ZEROCOPY_LEAST = 16 << 10, COPIED_MOST = 8 };

struct pinned {
    qy_slice slice;
    uint32_t call;
};

struct output {
    int fd;
    size_t bytes; /* waiting */
    qy_slice *waiting;
    size_t waiting_first, waiting_end, waiting_room;
    struct pinned *pinned;
    size_t pinned_first, pinned_end, pinned_room;
    bool zerocopy;
    bool abandoned;
    unsigned copied; /* notifications that say so, in a row */
    uint32_t calls;  /* with MSG_ZEROCOPY so far */
};

struct output *output_new(int fd)
{
    const int yes = 1;
    struct output *output = calloc(1, sizeof *output);
    if (output == NULL)
        return NULL;
    output->fd = fd;
    output->zerocopy = (relay_options.send == SEND_ZEROCOPY || relay_options.send == SEND_AUTO) &&
                       setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof yes) == 0;
    return output;
}

void output_free(struct output *output)
{
    qy_slices_drop(output->waiting + output->waiting_first, output->waiting_end - output->waiting_first);
    for (size_t i = output->pinned_first; i < output->pinned_end; i++)
        qy_slice_drop(&output->pinned[i].slice);
    free(output->waiting);
    free(output->pinned);
    free(output);
}

size_t output_bytes(const struct output *output)
{
    return output->bytes;
}

/* Room for one more at the end of an array whose used part is [*first, *end). */
static int make_room(void **array, size_t size, size_t *first, size_t *end, size_t *room)
{
    if (*end < *room)
        return 0;
    if (*first > *room / 2) {
        memmove(*array, (char *)*array + *first * size, (*end - *first) * size);
    } else {
        const size_t more = *room != 0 ? 2 * *room : 8;
        char *larger = realloc(*array, more * size);
        if (larger == NULL)
            return -1;
        memmove(larger, larger + *first * size, (*end - *first) * size);
        *array = larger;
        *room = more;
    }
    *end -= *first;
    *first = 0;
    return 0;
}

int output_append(struct output *output, const struct run *run)
{
    qy_slice slice = {.iov_base = (void *)run->bytes, .iov_len = run->length};
    if (output->waiting_end != output->waiting_first &&
        qy_slice_unsplit(&output->waiting[output->waiting_end - 1], &slice) == 0) {
        output->bytes += run->length;
        return 0;
    }
    if (make_room((void **)&output->waiting, sizeof *output->waiting, &output->waiting_first, &output->waiting_end,
                  &output->waiting_room) != 0) {
        qy_slice_drop(&slice);
        return -1;
    }
    output->waiting[output->waiting_end++] = slice;
    output->bytes += run->length;
    return 0;
}

static int pin(struct output *output, qy_slice slice)
{
    if (make_room((void **)&output->pinned, sizeof *output->pinned, &output->pinned_first, &output->pinned_end,
                  &output->pinned_room) != 0)
        return -1;
    output->pinned[output->pinned_end++] = (struct pinned){.slice = slice, .call = output->calls};
    return 0;
}

/* The first bytes that wait have been sent; with MSG_ZEROCOPY, their references are kept. */
static void sent_bytes(struct output *output, size_t bytes, bool zerocopy)
{
    output->bytes -= bytes;
    while (bytes != 0) {
        qy_slice *slice = &output->waiting[output->waiting_first];
        const size_t piece = bytes < slice->iov_len ? bytes : slice->iov_len;
        if (zerocopy) {
            const qy_slice front = qy_slice_split_to(slice, piece);
            if (front.iov_len == 0 || pin(output, front) != 0)
                die("out of memory");
        } else if (piece < slice->iov_len) {
            (void)qy_slice_advance(slice, piece);
        } else {
            qy_slice_drop(slice);
        }
        if (slice->iov_len == 0)
            output->waiting_first++;
        bytes -= piece;
    }
    if (output->waiting_first == output->waiting_end)
        output->waiting_first = output->waiting_end = 0;
}

/* Calls first to last are done with. */
static void unpin(struct output *output, uint32_t first, uint32_t last)
{
    for (size_t i = output->pinned_first; i < output->pinned_end; i++) {
        if (output->pinned[i].call - first <= last - first)
            qy_slice_drop(&output->pinned[i].slice);
    }
    while (output->pinned_first < output->pinned_end && output->pinned[output->pinned_first].slice.iov_len == 0)
        output->pinned_first++;
    if (output->pinned_first == output->pinned_end)
        output->pinned_first = output->pinned_end = 0;
}

/* Read one message of the error queue. False: there is none, or *error says that it is an error of the connection. */
static bool read_report(struct output *output, bool *error)
{
    char control[CMSG_SPACE(sizeof(struct sock_extended_err)) + CMSG_SPACE(sizeof(struct sockaddr_in))];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(output->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        struct sock_extended_err report;
        if (c->cmsg_level != SOL_IP || c->cmsg_type != IP_RECVERR)
            continue;
        memcpy(&report, CMSG_DATA(c), sizeof report);
        if (report.ee_origin != SO_EE_ORIGIN_ZEROCOPY) {
            *error = true;
            return false;
        }
        unpin(output, report.ee_info, report.ee_data);
        output->copied = (report.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0 ? output->copied + 1 : 0;
        if (output->copied >= COPIED_MOST && relay_options.send == SEND_AUTO)
            output->zerocopy = false;
    }
    return true;
}

bool output_reported(struct output *output)
{
    int pending = 0;
    socklen_t length = sizeof pending;
    bool error = false;
    while (read_report(output, &error))
        ;
    return !error && getsockopt(output->fd, SOL_SOCKET, SO_ERROR, &pending, &length) == 0 && pending == 0;
}

bool output_abandon(struct output *output)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    bool error = false;
    if (output->pinned_first == output->pinned_end)
        return true;
    /* Closed, the socket would go on sending from pages that are ours to reuse, and tell nobody when it is done. Disconnected,
     * it forgets what it had to send and says so. */
    if (!output->abandoned)
        (void)connect(output->fd, &nowhere, sizeof nowhere);
    output->abandoned = true;
    while (read_report(output, &error))
        ;
    return output->pinned_first == output->pinned_end;
}

ssize_t output_send(struct output *output)
{
    const size_t count = output->waiting_end - output->waiting_first;
    struct msghdr message = {.msg_iov = output->waiting + output->waiting_first,
                             .msg_iovlen = count < PIECES_AT_ONCE ? count : PIECES_AT_ONCE};
    bool zerocopy = output->zerocopy && output->bytes >= ZEROCOPY_LEAST;
    ssize_t sent = sendmsg(output->fd, &message, zerocopy ? MSG_ZEROCOPY : 0);
    if (sent < 0 && zerocopy && errno == ENOBUFS) { /* too much is pinned already: this time, copy */
        zerocopy = false;
        sent = sendmsg(output->fd, &message, 0);
    }
    if (sent > 0) {
        sent_bytes(output, (size_t)sent, zerocopy);
        output->calls += zerocopy;
    }
    return sent;
}

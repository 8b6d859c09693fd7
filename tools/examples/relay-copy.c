/*
 * relay-copy.c: the twin of relay.c that copies: each subscriber has a buffer of its own, a ring that grows, and gets its bytes
 * with one memcpy() for a run of frames. Nothing of Quarry in it.
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

const char relay_about[] = "A publish/subscribe relay over TCP that copies each frame into each subscriber's buffer.";

/* ---- input: [0, parsed) is done, [parsed, filled) an unfinished frame ---- */

struct input {
    char *bytes;
    size_t room, parsed, filled;
};

struct input *input_new(void)
{
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        return NULL;
    input->room = relay_options.buffer_bytes;
    input->bytes = malloc(input->room);
    if (input->bytes == NULL) {
        free(input);
        return NULL;
    }
    return input;
}

void input_free(struct input *input)
{
    free(input->bytes);
    free(input);
}

size_t input_rest(const struct input *input)
{
    return input->filled - input->parsed;
}

/* The length of the frame at p, with its prefix. */
static size_t frame_bytes(const char *p)
{
    uint32_t length;
    memcpy(&length, p, sizeof length);
    return PREFIX_BYTES + (size_t)ntohl(length);
}

char *input_space(struct input *input, size_t *room)
{
    const size_t rest = input_rest(input);
    const size_t wanted = rest >= PREFIX_BYTES ? frame_bytes(input->bytes + input->parsed) : PREFIX_BYTES;
    if (rest == 0) {
        input->parsed = input->filled = 0;
    } else if (input->room - input->filled < input->room / 4 || input->room - input->parsed < wanted) {
        memmove(input->bytes, input->bytes + input->parsed, rest);
        input->parsed = 0;
        input->filled = rest;
    }
    if (wanted > input->room) {
        char *larger = realloc(input->bytes, wanted);
        if (larger == NULL)
            return NULL;
        input->bytes = larger;
        input->room = wanted;
    }
    *room = input->room - input->filled;
    return input->bytes + input->filled;
}

int input_filled(struct input *input, size_t bytes)
{
    input->filled += bytes;
    struct run run = {.bytes = input->bytes + input->parsed};
    bool too_long = false;
    while (input->filled - input->parsed >= PREFIX_BYTES) {
        const size_t frame = frame_bytes(input->bytes + input->parsed);
        too_long = frame - PREFIX_BYTES > relay_options.frame_limit;
        if (too_long || frame > input->filled - input->parsed)
            break;
        run.frames++;
        run.length += frame;
        input->parsed += frame;
    }
    if (run.frames != 0)
        relay_publish(&run);
    if (too_long) {
        errno = EMSGSIZE;
        return -1;
    }
    return 0;
}

/* ---- output: a ring ---- */

struct output {
    int fd;
    char *bytes;
    size_t room, first, used;
};

void outputs_open(void)
{
}

int outputs_descriptor(void)
{
    return -1;
}

void outputs_advance(void)
{
}

struct output *output_new(int fd, void *owner)
{
    (void)owner;
    struct output *output = calloc(1, sizeof *output);
    if (output != NULL)
        output->fd = fd;
    return output;
}

void output_free(struct output *output)
{
    free(output->bytes);
    free(output);
}

bool output_abandon(struct output *output)
{
    (void)output;
    return true; /* the kernel has copies */
}

size_t output_bytes(const struct output *output)
{
    return output->used;
}

int run_share(struct run *run, uint32_t times)
{
    (void)run;
    (void)times;
    return 0;
}

/* The bytes that wait, in at most two pieces. */
static int pieces_of(const struct output *output, struct iovec *pieces)
{
    const size_t straight = output->room - output->first;
    if (output->used <= straight) {
        pieces[0] = (struct iovec){output->bytes + output->first, output->used};
        return 1;
    }
    pieces[0] = (struct iovec){output->bytes + output->first, straight};
    pieces[1] = (struct iovec){output->bytes, output->used - straight};
    return 2;
}

static int grow(struct output *output, size_t least)
{
    size_t room = output->room != 0 ? output->room : 64 * KIB;
    while (room < least)
        room *= 2;
    char *bytes = malloc(room);
    if (bytes == NULL)
        return -1;
    struct iovec pieces[2];
    const int count = output->used != 0 ? pieces_of(output, pieces) : 0;
    size_t copied = 0;
    for (int i = 0; i < count; i++) {
        memcpy(bytes + copied, pieces[i].iov_base, pieces[i].iov_len);
        copied += pieces[i].iov_len;
    }
    free(output->bytes);
    output->bytes = bytes;
    output->room = room;
    output->first = 0;
    return 0;
}

int output_append(struct output *output, const struct run *run)
{
    if (output->used + run->length > output->room && grow(output, output->used + run->length) != 0)
        return -1;
    size_t at = output->first + output->used;
    if (at >= output->room)
        at -= output->room;
    const size_t straight = output->room - at < run->length ? output->room - at : run->length;
    memcpy(output->bytes + at, run->bytes, straight);
    memcpy(output->bytes, run->bytes + straight, run->length - straight);
    output->used += run->length;
    return 0;
}

ssize_t output_send(struct output *output)
{
    struct iovec pieces[2];
    const int count = pieces_of(output, pieces);
    const ssize_t sent = writev(output->fd, pieces, count);
    if (sent > 0) {
        output->used -= (size_t)sent;
        output->first += (size_t)sent;
        if (output->first >= output->room)
            output->first -= output->room;
        if (output->used == 0)
            output->first = 0; /* the next run lies in one piece, where the cache still has the last one */
    }
    return sent;
}

bool output_reported(struct output *output)
{
    (void)output;
    return false;
}

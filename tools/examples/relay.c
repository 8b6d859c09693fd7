/*
 * relay.c: a publish/subscribe relay that copies no frame.
 *
 *     a publisher's block   [ frame | frame | frame | fra . . . ]
 *                           '--------- run ---------'            the frames that one read completed
 *                                ^        ^       ^
 *     subscribers' queues     slice    slice    slice            16 bytes and one reference each
 *
 * A run of frames lies in one piece in the block that read() filled, so a queue gets it as one slice, however small the frames
 * are. The references for all subscribers are one addition. A queue whose last slice the run follows just makes that slice
 * longer; a slow subscriber therefore has one slice for each block that it has not received yet, and all slow subscribers share
 * these blocks.
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include "relay-ring.h"

#include <quarry/slice.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char relay_about[] =
    "A publish/subscribe relay over TCP that shares frames among its subscribers instead of copying them.";

/* ---- input: [0, parsed) is published, [parsed, filled) an unfinished frame ---- */

struct input {
    qy_slice block; /* all of it, one reference */
    size_t parsed, filled;
};

enum { FRAMES_AT_ONCE = 256 };

struct input *input_new(void)
{
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        return NULL;
    input->block = ring_block(relay_options.buffer_bytes);
    if (input->block.iov_len == 0) {
        free(input);
        return NULL;
    }
    return input;
}

void input_free(struct input *input)
{
    qy_slice_drop(&input->block);
    free(input);
}

static char *input_at(const struct input *input, size_t offset)
{
    return (char *)input->block.iov_base + offset;
}

size_t input_rest(const struct input *input)
{
    return input->filled - input->parsed;
}

/* Bytes of the unfinished frame when it is finished, as far as that is known. */
static size_t wanted_bytes(const struct input *input)
{
    uint32_t length;
    if (input_rest(input) < PREFIX_BYTES)
        return PREFIX_BYTES;
    memcpy(&length, input_at(input, input->parsed), sizeof length);
    return PREFIX_BYTES + (size_t)ntohl(length);
}

/* Go on at the start of a block that nobody else uses, with the unfinished frame copied there. */
static bool begin_block(struct input *input, size_t wanted)
{
    const size_t rest = input_rest(input);
    const size_t least = wanted > relay_options.buffer_bytes ? wanted : relay_options.buffer_bytes;
    if (input->block.iov_len >= wanted && input->block.iov_len <= 2 * least && qy_is_unique(input->block.iov_base)) {
        memmove(input->block.iov_base, input_at(input, input->parsed), rest);
    } else {
        qy_slice fresh = ring_block(least);
        if (fresh.iov_len == 0)
            return false;
        memcpy(fresh.iov_base, input_at(input, input->parsed), rest);
        qy_slice_drop(&input->block); /* it lives on in the queues */
        input->block = fresh;
    }
    input->parsed = 0;
    input->filled = rest;
    return true;
}

char *input_space(struct input *input, size_t *room)
{
    const size_t wanted = wanted_bytes(input);
    const size_t rest = input_rest(input);
    const bool full = input->block.iov_len - input->filled < input->block.iov_len / 4 ||
                      input->block.iov_len - input->parsed < wanted;
    /* Nobody else uses a block whose runs have all been sent: begin anew where the cache still has it. */
    const bool sent = rest == 0 && input->filled != 0 && qy_is_unique(input->block.iov_base);
    if ((full || sent) && !begin_block(input, wanted))
        return NULL;
    *room = input->block.iov_len - input->filled;
    return input_at(input, input->filled);
}

int input_filled(struct input *input, size_t bytes)
{
    qy_slice frames[FRAMES_AT_ONCE];
    ssize_t count;
    input->filled += bytes;
    qy_slice rest = qy_slice_from(input_at(input, input->parsed), input_rest(input));
    if (rest.iov_len == 0)
        return -1;
    struct run run = {.bytes = rest.iov_base};
    while ((count = qy_slice_split_prefixed(&rest, PREFIX_BYTES, true, relay_options.frame_limit, frames,
                                            FRAMES_AT_ONCE)) > 0) {
        const char *end = (const char *)frames[count - 1].iov_base + frames[count - 1].iov_len;
        run.length = (size_t)(end - run.bytes);
        run.frames += (uint32_t)count;
    }
    const int error = errno;
    qy_slice_drop(&rest);
    input->parsed += run.length;
    if (run.frames != 0)
        relay_publish(&run);
    errno = error;
    return count == 0 ? 0 : -1;
}

/* The frames' own references become the subscribers': what they lack is added, what is too much dropped, at once. */
int run_share(struct run *run, uint32_t times)
{
    run->shared = times > 1;
    if (times > run->frames)
        return qy_retain_n(run->bytes, times - run->frames);
    return qy_release_n(run->bytes, run->frames - times);
}

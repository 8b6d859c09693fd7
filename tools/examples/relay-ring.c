/*
 * relay-ring.c: sending by io_uring, from registered memory.
 *
 *     arena     blocks for reading frames, registered once: the kernel pins no page when it sends from them
 *     ring      one request for each subscriber at a time; many are handed over by one system call
 *
 * When slow subscribers hold all of the arena, frames are read into other memory, and sent from there in the ordinary way.
 */
#include "relay-ring.h"

#include "program.h"

#include <quarry/uring.h>

#include <errno.h>
#include <liburing.h>
#include <string.h>

enum { RING_ENTRIES = 512, ARENA_BYTES = 32 << 20 };

static qy_uring *ring;
static qy_arena *arena;

void ring_open(void)
{
    const struct qy_arena_attr attributes = {.bytes = ARENA_BYTES, .flags = QY_ARENA_HUGE};
    ring = qy_uring_new(RING_ENTRIES);
    if (ring == NULL)
        die("--send=uring: %s", strerror(errno));
    arena = qy_arena_new(&attributes);
    if (arena == NULL)
        die("--send=uring: %s", strerror(errno));
    if (qy_uring_register_arena(ring, arena) != 0)
        complain("--send=uring: memory cannot be registered: %s", strerror(errno));
}

int ring_descriptor(void)
{
    return ring != NULL ? qy_uring_ring(ring)->ring_fd : -1;
}

qy_slice ring_block(size_t bytes)
{
    if (arena != NULL) {
        const qy_slice slice = qy_arena_slice(arena, bytes);
        if (slice.iov_len != 0)
            return slice;
    }
    return qy_slice_new(bytes);
}

int ring_send(int socket, qy_chain *chain, void *context)
{
    return qy_uring_send_chain(ring, socket, chain, 0, context);
}

void ring_events(void (*sent)(void *context, int result))
{
    struct qy_uring_event event;
    int more;
    if (ring == NULL)
        return;
    while ((more = qy_uring_next(ring, &event, 0)) > 0)
        sent(event.context, event.result);
    if (more < 0 && errno != EINTR)
        die("io_uring: %s", strerror(errno));
}

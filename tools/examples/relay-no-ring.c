/*
 * relay-no-ring.c: a relay without liburing.
 */
#include "relay-ring.h"

#include "program.h"

#include <errno.h>

void ring_open(void)
{
    die_usage("--send: this relay was built without liburing, there is no 'uring'");
}

int ring_descriptor(void)
{
    return -1;
}

qy_slice ring_block(size_t bytes)
{
    return qy_slice_new(bytes);
}

int ring_send(int socket, qy_chain *chain, void *context)
{
    (void)socket;
    (void)chain;
    (void)context;
    errno = ENOSYS;
    return -1;
}

void ring_events(void (*sent)(void *context, int result))
{
    (void)sent;
}

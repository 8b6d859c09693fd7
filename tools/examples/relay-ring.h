/*
 * relay-ring.h: --send=uring. relay-ring.c does it, relay-no-ring.c where there is no liburing refuses.
 */
#ifndef EXAMPLES_RELAY_RING_H
#define EXAMPLES_RELAY_RING_H

#include <quarry/chain.h>

/* Make the ring; ends the program if that does not work. */
void ring_open(void);

/* Readable when there is something for ring_events(). */
int ring_descriptor(void);

/* A block to read frames into, in memory that the ring has registered if there is room. Empty without memory. */
qy_slice ring_block(size_t bytes);

/* Send all of a chain, which is empty afterwards; context comes back when it has been sent. One at a time for each socket, which must
 * not be O_NONBLOCK. -1 with errno. */
int ring_send(int socket, qy_chain *chain, void *context);

/* Hand over what was prepared, and see what is done. sent() may call ring_send(). */
void ring_events(void (*sent)(void *context, int result));

#endif

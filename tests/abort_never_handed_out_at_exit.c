/* Misuse: free, in another thread, of an address that was never handed out; its neighbours' thread runs on and does nothing until the end. */
#include "abort.h"
#include <semaphore.h>

static sem_t allocated;
static char *block;

static void *owner(void *unused)
{
    block = malloc(48);
    sem_post(&allocated);
    pause();
    return unused;
}

static void *freer(void *pointer)
{
    free(malloc(100));
    free(bb_hide(pointer));
    return NULL;
}

int main(void)
{
    enum { BYTES = 48, NEIGHBOURHOOD = 32 << 10 };
    sem_init(&allocated, 0, 0);
    (void)bb_start(owner, NULL);
    sem_wait(&allocated);
    char *never = block - (uintptr_t)block % NEIGHBOURHOOD + (NEIGHBOURHOOD / BYTES - 40) * BYTES;
    announce(never, REASON_INTERIOR);
    bb_join(bb_start(freer, never));
    return 0;
}

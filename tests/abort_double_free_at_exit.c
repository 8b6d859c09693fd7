/* Misuse: another thread's block is freed by two threads, one of which ends with the process. */
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
    sem_init(&allocated, 0, 0);
    (void)bb_start(owner, NULL);
    sem_wait(&allocated);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    bb_join(bb_start(freer, block));
    return 0;
}

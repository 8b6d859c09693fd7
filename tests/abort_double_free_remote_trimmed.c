/* Misuse: a block is freed by its owner, then by another thread, and before that one ends, the memory around it is given back. */
#include "abort.h"
#include <malloc.h>
#include <semaphore.h>

static sem_t freed, trimmed;

static void *body(void *pointer)
{
    free(malloc(100));
    free(bb_hide(pointer));
    sem_post(&freed);
    sem_wait(&trimmed);
    return NULL;
}

int main(void)
{
    sem_init(&freed, 0, 0);
    sem_init(&trimmed, 0, 0);
    void *block = malloc(880);
    void *kept = bb_hide(block);
    announce(kept, REASON_DOUBLE_FREE);
    free(block);
    pthread_t thread = bb_start(body, kept);
    sem_wait(&freed);
    malloc_trim(0);
    sem_post(&trimmed);
    bb_join(thread);
    return 0;
}

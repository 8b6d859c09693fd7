/* For the misuse programs in which threads free each other's blocks. */
#ifndef BLACKBOX_ABORT_THREADS_H
#define BLACKBOX_ABORT_THREADS_H

#include "abort.h"
#include <semaphore.h>

/* The body of a thread that frees this pointer, and not with its very first call. */
static BB_UNUSED void *free_in_thread(void *pointer)
{
    free(malloc(100));
    free(bb_hide(pointer));
    return NULL;
}

struct allocation {
    sem_t done;
    size_t bytes;
    char *block;
};

static BB_UNUSED void *allocate_and_pause(void *argument)
{
    struct allocation *allocation = argument;
    allocation->block = malloc(allocation->bytes);
    sem_post(&allocation->done);
    pause();
    return NULL;
}

/* A block of another thread's, which does nothing more until the process ends. */
static BB_UNUSED char *block_of_pausing_thread(size_t bytes)
{
    static struct allocation allocation;
    allocation.bytes = bytes;
    sem_init(&allocation.done, 0, 0);
    (void)bb_start(allocate_and_pause, &allocation);
    sem_wait(&allocation.done);
    return allocation.block;
}

#endif

/*
 * An early fork handler (see atfork_early.h) starts threads in the child, which allocate, free and trim while the forking thread
 * does the same: one of them puts the allocator in order, and nobody may go on in it before that is done. The parent's threads trim
 * too: the child's get the stack of one that was giving memory back.
 */
#include "atfork_early.h"
#include <malloc.h>

enum { HELPER_COUNT = 5 }; /* as many as the parent has threads: all of their stacks */
static pthread_t helpers[HELPER_COUNT];
static _Atomic size_t scribbled;
#define MAIN ((void *)14)

/* Whatever the stack's last owner had there is gone, on all of them. */
static void scribble(void)
{
    volatile char bytes[32 * BB_KIB];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0x5a;
    scribbled++;
    while (scribbled < HELPER_COUNT)
        sched_yield();
}

static void *turn_over_and_trim(void *argument)
{
    if (argument != MAIN)
        scribble();
    for (int i = 0; i < 5; i++) {
        fork_turnover((uintptr_t)argument, 100);
        malloc_trim(0);
    }
    return NULL;
}

static void start_helpers(void)
{
    scribbled = 0;
    for (uintptr_t i = 0; i < HELPER_COUNT; i++)
        helpers[i] = bb_start(turn_over_and_trim, (void *)(17 + i));
    while (scribbled < HELPER_COUNT)
        sched_yield();
}

static void register_early(void)
{
    pthread_atfork(NULL, NULL, start_helpers);
}

static int in_child(int i)
{
    (void)i;
    turn_over_and_trim(MAIN);
    for (size_t i = 0; i < HELPER_COUNT; i++)
        bb_join(helpers[i]);
    return 0;
}

static void *give_back(void *argument)
{
    (void)argument;
    while (!atfork_stop) {
        char *block = malloc(16 * BB_MIB);
        CHECK(block != NULL);
        for (size_t i = 0; i < 16 * BB_MIB; i += 4096)
            block[i] = 1;
        free(block);
        malloc_trim(0);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(give_back, NULL);
    fork_many(300, in_child);
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

/*
 * A fork handler registered before the allocator could register its own (from .preinit_array; a library's constructor does
 * the same). In the child such a handler runs first, while the locks are still those of the parent's threads, which are at work
 * in the allocator all the time.
 *
 * A test defines register_early, and calls fork_many. A child that hangs before it has set its alarm is ended by the runner's time-out.
 */
#ifndef BLACKBOX_ATFORK_EARLY_H
#define BLACKBOX_ATFORK_EARLY_H

#include "children.h"
#include <stdatomic.h>

static void register_early(void);
__attribute__((section(".preinit_array"), used)) static void (*const atfork_entry)(void) = register_early;

static _Atomic bool atfork_stop;

static void *atfork_turn_over(void *argument)
{
    while (!atfork_stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

/* So many times: fork beside threads at work, and have the child exit with what in_child(i) returns. */
static void fork_many(int times, int (*in_child)(int i))
{
    pthread_t threads[3];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(atfork_turn_over, (void *)(i + 1));
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(in_child(i));
        expect_child(child, "child");
    }
    atfork_stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
}

#endif

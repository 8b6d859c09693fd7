/*
 * An early fork handler (see atfork_early.h) starts a thread in the child, which allocates, frees and trims while the forking thread
 * does the same: one of them puts the allocator in order, and nobody may go on in it before that is done.
 */
#include "atfork_early.h"
#include <malloc.h>

static pthread_t helper;

static void *turn_over_and_trim(void *argument)
{
    for (int i = 0; i < 5; i++) {
        fork_turnover((uintptr_t)argument, 100);
        malloc_trim(0);
    }
    return NULL;
}

static void start_helper(void)
{
    helper = bb_start(turn_over_and_trim, (void *)17);
}

static void register_early(void)
{
    pthread_atfork(NULL, NULL, start_helper);
}

static int in_child(int i)
{
    (void)i;
    turn_over_and_trim((void *)14);
    bb_join(helper);
    return 0;
}

int main(void)
{
    fork_many(300, in_child);
    return 0;
}

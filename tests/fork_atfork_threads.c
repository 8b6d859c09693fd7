/*
 * As fork_atfork_early, but the handler starts a thread in the child, which allocates, frees and trims while the forking thread
 * does the same: one of them puts the allocator in order, and nobody may go on in it before that is done.
 */
#include "children.h"
#include <malloc.h>
#include <stdatomic.h>

static _Atomic bool stop;
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
__attribute__((section(".preinit_array"), used)) static void (*const entry)(void) = register_early;

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(turn_over, (void *)(i + 1));
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();
        if (child == 0) {
            turn_over_and_trim((void *)14);
            bb_join(helper);
            _exit(0);
        }
        expect_child(child, "child");
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

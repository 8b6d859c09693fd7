/*
 * A fork handler registered before the allocator could register its own (from .preinit_array; a library's constructor does
 * the same). In the child such a handler runs first, and allocates, while the locks are still those of the parent's threads.
 * A child that hangs there has set no alarm yet: the runner's time-out ends it.
 */
#include "children.h"
#include <stdatomic.h>

static _Atomic bool stop;
static int calls;

static void turn_over_in_handler(void)
{
    calls++;
    fork_turnover(13, 200);
}

static void register_early(void)
{
    pthread_atfork(turn_over_in_handler, turn_over_in_handler, turn_over_in_handler);
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
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            fork_turnover(14, 500);
            _exit(calls == 2 * (i + 1) ? 0 : 3);
        }
        expect_child(child, "child");
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

/*
 * pthread_atfork handlers that allocate and free, in the parent before fork, in the parent and in the child after it;
 * registered in main and by a library opened later, while other threads allocate. (Earlier ones: fork_atfork_early.)
 */
#include "children.h"
#include <stdatomic.h>

enum { HANDLERS = 40 };
static _Atomic bool stop;
static char *held[2];
static int prepared, continued;

static void prepare(void)
{
    prepared++;
    held[0] = malloc(100);
    held[1] = calloc(1, 50000);
    CHECK(held[0] != NULL && held[1] != NULL && bb_is_zero(held[1], 50000));
    bb_fill(held[0], 100, 1);
    bb_fill(held[1], 50000, 2);
    fork_turnover(11, 50);
    continued = 0;
}

static void afterwards(void)
{
    if (continued++ == 0) {
        CHECK(bb_holds(held[0], 100, 1) && bb_holds(held[1], 50000, 2));
        free(held[0]);
        free(held[1]);
    }
    fork_turnover(12, 50);
}

static void only_turnover(void)
{
    fork_turnover(13, 20);
}

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

int main(void)
{
    CHECK(pthread_atfork(prepare, afterwards, afterwards) == 0);
    for (int i = 0; i < HANDLERS; i++) /* so many that the table of handlers itself is allocated */
        CHECK(pthread_atfork(NULL, NULL, only_turnover) == 0);
    pthread_t threads[2];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(turn_over, (void *)(i + 1));
    void *module = NULL;
    for (int i = 0; i < 60; i++) {
        if (i == 30)
            module = bb_open_module("fork_atfork_module", RTLD_NOW);
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            fork_turnover(14, 500);
            _exit(prepared == i + 1 ? 0 : 3);
        }
        expect_child(child, "child");
    }
    CHECK(*(int *)bb_module_symbol(module, "fork_atfork_module_calls") == 60);
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

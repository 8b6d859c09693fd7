/* The child of a process with threads starts threads of its own, uses their heaps, calls exit and runs atexit handlers. */
#include "children.h"
#include <stdatomic.h>

static _Atomic bool stop;

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

static void *in_child(void *argument)
{
    fork_turnover((uintptr_t)argument, 2000);
    return strdup("from a thread of the child");
}

static void at_exit(void)
{
    fork_turnover(77, 500);
}

int main(void)
{
    CHECK(atexit(at_exit) == 0);
    pthread_t threads[3];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(turn_over, (void *)(i + 1));
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            pthread_t helpers[4];
            for (size_t j = 0; j < BB_COUNT(helpers); j++)
                helpers[j] = bb_start(in_child, (void *)(j + 1));
            for (size_t j = 0; j < BB_COUNT(helpers); j++) {
                char *text = bb_join(helpers[j]);
                CHECK(strcmp(text, "from a thread of the child") == 0);
                free(text);
            }
            exit(0);
        }
        expect_child(child, "child");
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

/* The process ends, by return from main, by exit in another thread and by _exit, while threads allocate and free. */
#include "children.h"

static void *turn_over(void *argument)
{
    for (uint64_t i = 0;; i++)
        fork_turnover((uintptr_t)argument + i, 1000);
    return NULL;
}

static void *leave(void *argument)
{
    (void)argument;
    fork_turnover(3, 200);
    exit(0);
}

static void at_exit(void)
{
    fork_turnover(4, 500);
}

static void child(int kind)
{
    alarm(CHILD_SECONDS);
    atexit(at_exit);
    for (size_t i = 0; i < 3; i++)
        bb_start(turn_over, (void *)(i + 1));
    fork_turnover(5, 300);
    if (kind == 0)
        exit(0);
    if (kind == 1)
        _exit(0);
    if (kind == 2) {
        bb_start(leave, NULL);
        pthread_exit(NULL);
    }
    quick_exit(0);
}

int main(void)
{
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(i % 4);
        expect_child(pid, i % 4 == 0 ? "exit" : i % 4 == 1 ? "_exit" : i % 4 == 2 ? "exit in a thread" : "quick_exit");
    }
    return 0;
}

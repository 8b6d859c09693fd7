/* vfork and exec while other threads allocate: the child runs on the parent's memory and must find it usable afterwards. */
#include "children.h"
#include <stdatomic.h>

static _Atomic bool stop;

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

/* A function of its own: the compiler must keep no local of main in registers across vfork. */
static __attribute__((noinline)) pid_t start(char *const *arguments)
{
    pid_t child = vfork();
    if (child == 0) {
        if (arguments != NULL)
            execv("/proc/self/exe", arguments);
        _exit(arguments != NULL ? 126 : 0);
    }
    return child;
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* executed by the child: itself a preloaded program */
        fork_turnover(1, 300);
        return strcmp(argv[1], "executed") == 0 ? 0 : 1;
    }
    pthread_t threads[2];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(turn_over, (void *)(i + 1));
    char *const arguments[] = {argv[0], (char *)"executed", NULL};
    for (int i = 0; i < 100; i++) {
        fork_turnover((uint64_t)i, 100);
        expect_child(start(i % 2 == 0 ? arguments : NULL), "vfork");
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

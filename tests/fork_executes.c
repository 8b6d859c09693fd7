/* fork and exec of preloaded programs from several threads at once, and forks of forks to some depth. */
#include "children.h"

static char *own_name;

static void *run_programs(void *argument)
{
    char *const arguments[] = {own_name, (char *)"executed", NULL};
    for (int i = 0; i < 20; i++) {
        fork_turnover((uintptr_t)argument, 200);
        pid_t child = fork();
        if (child == 0) {
            fork_turnover(5, 50);
            execv("/proc/self/exe", arguments);
            _exit(126);
        }
        expect_child(child, "exec");
    }
    return NULL;
}

static void descend(int depth)
{
    fork_turnover((uint64_t)depth, 300);
    if (depth == 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        descend(depth - 1);
        _exit(0);
    }
    fork_turnover((uint64_t)depth, 300);
    expect_child(child, "descendant");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        fork_turnover(1, 300);
        return 0;
    }
    own_name = argv[0];
    pthread_t threads[4];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(run_programs, (void *)(i + 1));
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    descend(25);
    return 0;
}

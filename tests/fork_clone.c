/*
 * Processes made by the bare clone system call: no fork handler runs. In a process with one thread the child, a copy, must be
 * able to allocate and to free; with CLONE_VM the child on its own stack only calls exec, as container programs do.
 */
#include "children.h"
#include <sched.h>
#include <sys/syscall.h>

static char **program_arguments;

static int execute(void *unused)
{
    (void)unused;
    execv("/proc/self/exe", program_arguments);
    return 126;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        fork_turnover(1, 300);
        return 0;
    }
    static char *blocks[2000];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK((blocks[i] = malloc(i)) != NULL);
        bb_fill(blocks[i], i, i);
    }
    for (int round = 0; round < 20; round++) {
        pid_t child = (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, NULL);
        if (child == 0) {
            alarm(CHILD_SECONDS);
            fork_turnover(2, 2000);
            for (size_t i = 0; i < BB_COUNT(blocks); i++) {
                CHECK(bb_holds(blocks[i], i, i));
                free(blocks[i]);
            }
            fork_turnover(3, 2000);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                fork_turnover(4, 1000);
                _exit(0);
            }
            expect_child(grandchild, "fork in a clone");
            _exit(0);
        }
        fork_turnover(5, 1000);
        expect_child(child, "clone");
    }

    char *arguments[] = {argv[0], (char *)"executed", NULL};
    program_arguments = arguments;
    size_t size = 64 * BB_KIB;
    char *stack = malloc(size);
    CHECK(stack != NULL);
    for (int round = 0; round < 20; round++) {
        pid_t child = clone(execute, stack + size, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        expect_child(child, "clone with CLONE_VM");
        fork_turnover(6, 500);
    }
    free(stack);
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK(bb_holds(blocks[i], i, i));
        free(blocks[i]);
    }
    return 0;
}

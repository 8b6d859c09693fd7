/*
 * A pointer into a block is freed, and then the process forks while other threads hold locks: however the child finds the allocator, the
 * misuse ends it with a message, and is no reason to write into other memory.
 */
#include "children.h"

enum { CHILDREN = 150, THREADS = 2 };

static void *turn_over(void *unused)
{
    for (;;) {
        void *blocks[40];
        for (size_t i = 0; i < BB_COUNT(blocks); i++)
            blocks[i] = malloc(1500);
        for (size_t i = 0; i < BB_COUNT(blocks); i++)
            free(bb_hide(blocks[i]));
    }
    return unused;
}

int main(void)
{
    for (int i = 0; i < THREADS; i++)
        (void)bb_start(turn_over, NULL);
    char *block = malloc(2048);
    free(bb_hide(block + 16));
    for (int i = 0; i < CHILDREN; i++) {
        const pid_t child = fork();
        CHECK(child >= 0, "fork: %s", strerror(errno));
        if (child == 0) {
            alarm(CHILD_SECONDS);
            close(STDERR_FILENO);
            exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "child %d: status %#x", i, (unsigned)status);
    }
    _exit(0);
}

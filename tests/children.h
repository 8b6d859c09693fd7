/*
 * Helpers of the tests that make child processes. A child that hangs is what these tests are for, so every child sets an
 * alarm: it dies by SIGALRM and the parent reports it. The alarm is generous, it only ends what would never end.
 */
#ifndef BLACKBOX_CHILDREN_H
#define BLACKBOX_CHILDREN_H

#include "blackbox.h"
#include <signal.h>
#include <sys/wait.h>

enum { CHILD_SECONDS = 40 };

static BB_UNUSED void expect_child(pid_t child, const char *what)
{
    int status = 0;
    CHECK(child > 0, "%s: fork: %s", what, strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR, "%s: waitpid: %s", what, strerror(errno));
    CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "%s: the child hung", what);
    CHECK(!WIFSIGNALED(status), "%s: the child was ended by signal %d", what, WTERMSIG(status));
    CHECK(WEXITSTATUS(status) == 0, "%s: the child exited with status %d", what, WEXITSTATUS(status));
}

/* Some turnover over all kinds of sizes, as a child would do. */
static BB_UNUSED void fork_turnover(uint64_t seed, int steps)
{
    uint64_t state = seed;
    char *blocks[100] = {0};
    size_t sizes[BB_COUNT(blocks)] = {0};
    for (int i = 0; i < steps; i++) {
        size_t slot = bb_random(&state) % BB_COUNT(blocks);
        CHECK(blocks[slot] == NULL || bb_holds(blocks[slot], sizes[slot], slot), "%zu bytes changed", sizes[slot]);
        free(blocks[slot]);
        sizes[slot] = bb_random(&state) % (i % 100 == 0 ? 200000 : 2000);
        blocks[slot] = malloc(sizes[slot]);
        CHECK(blocks[slot] != NULL);
        bb_fill(blocks[slot], sizes[slot], slot);
    }
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
}

#endif

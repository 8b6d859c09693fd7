/*
 * The program that the options_*.sh scripts run: it allocates a little and ends in the way its argument says. What it prints
 * itself goes to stdout, so stderr belongs to the library.
 */
#include "children.h"

static void *leave(void *unused)
{
    (void)unused;
    fork_turnover(2, 500);
    exit(0);
}

static void close_stderr(void)
{
    close(STDERR_FILENO);
}

static void reuse_stderr(void)
{
    close(STDERR_FILENO);
    int fd = open("/dev/null", O_WRONLY);
    CHECK(fd == STDERR_FILENO);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "return";
    fork_turnover(1, 3000);
    bb_note("done");
    if (strcmp(way, "exit-in-thread") == 0) {
        bb_start(leave, NULL);
        pthread_exit(NULL);
    } else if (strcmp(way, "close-stderr") == 0) {
        CHECK(atexit(close_stderr) == 0);
    } else if (strcmp(way, "reuse-stderr") == 0) {
        CHECK(atexit(reuse_stderr) == 0);
    } else if (strcmp(way, "fork") == 0) {
        pid_t child = fork();
        if (child == 0) {
            fork_turnover(3, 500);
            _exit(0);
        }
        expect_child(child, "child");
        fork_turnover(4, 500);
    } else if (strcmp(way, "fork-exit") == 0) {
        pid_t child = fork();
        if (child == 0) {
            fork_turnover(3, 500);
            exit(0);
        }
        expect_child(child, "child");
    }
    return 0;
}

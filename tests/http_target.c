/*
 * What the http_*.sh tests run: a program that waits for a byte on standard input, in many ways. It says "ready" when it
 * waits, and "done" at its end.
 */
#include "children.h"

#include <dirent.h>
#include <sys/socket.h>

static void wait_for_byte(void)
{
    char byte;
    bb_note("ready");
    while (read(STDIN_FILENO, &byte, 1) < 0)
        CHECK(errno == EINTR);
}

/* Standard output is a FILE here: what is in its buffer comes out at exit, or never. */
static void *last_thread(void *unused)
{
    (void)unused;
    wait_for_byte();
    CHECK(printf("done\n") > 0);
    return NULL;
}

static _Atomic bool busy_ends;

static void *be_busy(void *argument)
{
    for (uint64_t seed = (uint64_t)(uintptr_t)argument; !busy_ends; seed += 10)
        fork_turnover(seed, 1000);
    return NULL;
}

static void busy(void)
{
    pthread_t threads[3];
    for (uintptr_t i = 0; i < BB_COUNT(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, be_busy, (void *)i) == 0);
    wait_for_byte();
    busy_ends = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static int count_entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    CHECK(folder != NULL);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2;
}

/* Everything that is not known is closed, and all numbers up to a thousand come to stand for one file. */
static void close_and_reuse(void)
{
    struct stat status;
    for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
        close(fd);
    const int file = open("reused", O_RDWR | O_CREAT, 0600);
    CHECK(file >= 0);
    for (int fd = file + 1; fd < 1000; fd++)
        CHECK(dup2(file, fd) == fd);
    wait_for_byte();
    CHECK(fstat(file, &status) == 0 && status.st_size == 0, "somebody writes to our file");
}

static volatile sig_atomic_t signals_here, signals_elsewhere;

static void on_signal(int number)
{
    (void)number;
    if (gettid() == getpid())
        signals_here = signals_here + 1;
    else
        signals_elsewhere = signals_elsewhere + 1;
}

static void take_signals(void)
{
    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
    for (int i = 0; i < 1000; i++)
        CHECK(kill(getpid(), SIGUSR1) == 0);
    wait_for_byte();
    CHECK(signals_here > 0 && signals_elsewhere == 0, "%d signals here, %d elsewhere", signals_here, signals_elsewhere);
}

/* The parent leaves at once, its child goes on. */
static void leave_child(void)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        bb_note("child %d", (int)child);
        exit(0);
    }
    fork_turnover(1, 1000);
    bb_note("threads %d descriptors %d", count_entries("/proc/self/task"), count_entries("/proc/self/fd"));
    wait_for_byte();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    fork_turnover(1, 3000);
    if (strcmp(what, "wait") == 0) {
        wait_for_byte();
    } else if (strcmp(what, "count") == 0) {
        bb_note("threads %d descriptors %d", count_entries("/proc/self/task"), count_entries("/proc/self/fd"));
    } else if (strcmp(what, "busy") == 0) {
        busy();
    } else if (strcmp(what, "signal") == 0) {
        take_signals();
    } else if (strcmp(what, "reuse") == 0) {
        close_and_reuse();
    } else if (strcmp(what, "leave-child") == 0) {
        leave_child();
    } else if (strcmp(what, "main-leaves") == 0) {
        bb_start(last_thread, NULL);
        pthread_exit(NULL);
    } else if (strcmp(what, "exec") == 0) {
        wait_for_byte();
        execl(argv[0], argv[0], "wait", (char *)NULL);
        bb_fail("exec: %s", strerror(errno));
    } else {
        bb_fail("what?");
    }
    bb_note("done");
    return 0;
}

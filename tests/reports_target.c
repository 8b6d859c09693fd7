/*
 * The program that the reports_*.sh scripts run: it allocates a little and does what its argument says. Where it waits for something
 * that the library or the script should do, it looks for a file; and gives up after a minute.
 */
#include "children.h"

enum { STEPS = 10, STEP_BYTES = 8 << 20 };

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

static void await(const char *name)
{
    for (int i = 0; i < 6000 && !exists(name); i++)
        usleep(10000);
    CHECK(exists(name), "there is no %s", name);
}

static void *await_go(void *unused)
{
    (void)unused;
    fork_turnover(2, 500);
    await("go");
    return NULL;
}

static void *leave(void *unused)
{
    (void)unused;
    fork_turnover(2, 500);
    exit(0);
}

static void close_all(int first)
{
    for (int fd = first; fd < 1024; fd++)
        close(fd);
}

/* The program's own file takes the number of standard error. */
static void reuse_stderr(void)
{
    close(STDERR_FILENO);
    int fd = open("data", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd == STDERR_FILENO);
    bb_write(fd, "data\n", 5);
}

/* More memory by steps, each of which makes a dump "peak.N". */
static void grow(void)
{
    static char *blocks[STEPS];
    for (int i = 0; i < STEPS; i++) {
        char name[32];
        blocks[i] = malloc(STEP_BYTES);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, STEP_BYTES);
        snprintf(name, sizeof name, "peak.%d", i + 1);
        await(name);
    }
    for (int i = 0; i < STEPS; i++)
        free(blocks[i]);
}

/* Allocates until the file is there: threads of the library start from ticks. */
static void allocate_until(const char *name)
{
    for (int i = 0; i < 6000 && !exists(name); i++) {
        fork_turnover((uint64_t)i, 200);
        usleep(10000);
    }
    CHECK(exists(name), "there is no %s", name);
}

static void allocate_until_mine(void)
{
    char name[32];
    snprintf(name, sizeof name, "child.%d", (int)getpid());
    allocate_until(name);
}

static void in_child(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        body();
        exit(0);
    }
    expect_child(child, "child");
}

static void turn_over(void)
{
    fork_turnover(3, 500);
}

static void die_by_term(void)
{
    raise(SIGTERM);
    _exit(0); /* it should not come to this */
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "return";
    fork_turnover(1, 3000);
    if (strcmp(way, "thread") == 0) {
        bb_start(leave, NULL);
        pthread_exit(NULL);
    } else if (strcmp(way, "main-leaves") == 0) {
        bb_start(await_go, NULL);
        printf("buffered\n"); /* until the last thread writes it out */
        pthread_exit(NULL);
    } else if (strcmp(way, "close-all") == 0) {
        close_all(0);
    } else if (strcmp(way, "closefrom") == 0) {
        close_all(3);
    } else if (strcmp(way, "reuse") == 0) {
        reuse_stderr();
    } else if (strcmp(way, "chdir") == 0) {
        CHECK(chdir("/") == 0);
    } else if (strcmp(way, "fork") == 0) {
        in_child(turn_over);
    } else if (strcmp(way, "fork-until") == 0) {
        in_child(allocate_until_mine);
    } else if (strcmp(way, "fork-term") == 0) {
        pid_t child = fork();
        int status = 0;
        if (child == 0)
            die_by_term();
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    } else if (strcmp(way, "grow") == 0) {
        grow();
    } else if (strcmp(way, "until") == 0) {
        allocate_until(argv[2]);
    } else if (strcmp(way, "await") == 0) {
        bb_note("waiting");
        await(argv[2]);
    } else if (strcmp(way, "name") == 0) { /* as programs do that change what ps shows */
        memset(argv[0], '/', strlen(argv[0]));
    }
    bb_note("done");
    return 0;
}

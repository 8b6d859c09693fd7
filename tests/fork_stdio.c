/*
 * fork while one thread is in fflush(NULL), which holds the lock of all streams, and another in getline, which holds its
 * stream's lock while it allocates. An allocator that holds its locks across fork deadlocks here: fork waits for the lock of all
 * streams, whose holder waits for the stream, whose holder waits for malloc.
 */
#include "children.h"
#include <stdatomic.h>

static _Atomic bool stop;
static int pipe_ends[2];

static void *flush_all(void *unused)
{
    while (!stop) {
        fflush(NULL);
        free(malloc(100));
    }
    return unused;
}

/* Ever new buffers, so that getline allocates all the time with its stream locked. */
static void *read_lines(void *argument)
{
    FILE *stream = argument;
    for (;;) {
        char *line = NULL;
        size_t capacity = 0;
        ssize_t length = getline(&line, &capacity, stream);
        free(line);
        if (length < 0)
            return NULL;
    }
}

static void *write_lines(void *unused)
{
    static char text[5000];
    memset(text, 'x', sizeof(text));
    uint64_t state = 1;
    while (!stop) {
        size_t length = bb_random(&state) % (sizeof(text) - 1) + 1;
        text[length] = '\n';
        bb_write(pipe_ends[1], text, length + 1);
        text[length] = 'x';
    }
    close(pipe_ends[1]);
    return unused;
}

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0);
    FILE *stream = fdopen(pipe_ends[0], "r");
    CHECK(stream != NULL);
    pthread_t threads[] = {bb_start(flush_all, NULL), bb_start(read_lines, stream), bb_start(write_lines, NULL),
                           bb_start(turn_over, (void *)1)};
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            fork_turnover((uint64_t)i, 300);
            char *text = NULL;
            CHECK(asprintf(&text, "%d", i) > 0);
            free(text);
            _exit(0);
        }
        expect_child(child, "child");
        fork_turnover((uint64_t)i, 100);
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    fclose(stream);
    return 0;
}

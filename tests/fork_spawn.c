/* posix_spawn, system and popen while other threads allocate. */
#include "children.h"
#include <spawn.h>
#include <stdatomic.h>

extern char **environ;
static _Atomic bool stop;

static void *turn_over(void *argument)
{
    while (!stop)
        fork_turnover((uintptr_t)argument, 1000);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        fork_turnover(1, 300);
        bb_note("hello %s", argv[1]);
        return 0;
    }
    pthread_t threads[2];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(turn_over, (void *)(i + 1));
    for (int i = 0; i < 60; i++) {
        char *const arguments[] = {argv[0], (char *)"from posix_spawn", NULL};
        pid_t child = -1;
        posix_spawn_file_actions_t actions;
        CHECK(posix_spawn_file_actions_init(&actions) == 0);
        CHECK(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0);
        int error = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
        CHECK(error == 0, "posix_spawn: %s", strerror(error));
        CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
        expect_child(child, "posix_spawn");
    }
    for (int i = 0; i < 10; i++) {
        CHECK(system("exit 0") == 0);
        FILE *stream = popen("echo one; echo two", "r");
        CHECK(stream != NULL);
        char *line = NULL;
        size_t capacity = 0;
        CHECK(getline(&line, &capacity, stream) == 4 && strcmp(line, "one\n") == 0);
        CHECK(getline(&line, &capacity, stream) == 4 && strcmp(line, "two\n") == 0);
        free(line);
        CHECK(pclose(stream) == 0);
    }
    stop = true;
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    return 0;
}

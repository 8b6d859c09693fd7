/*
 * Starts one program, waits for it, and reports what it took: `bench-spawn REPORT [NAME=VALUE…] -- PROGRAM ARGUMENT…`
 * writes "seconds peak_rss_kib wait_status" to the file REPORT.
 *
 * Why not from Python: a child's peak RSS as wait4 tells it starts from what its parent had at the fork, so
 * everything smaller than a Python interpreter would read as large as one. This program is linked statically and
 * stays smaller than any program it starts. It also sets LD_PRELOAD for the child alone, so nothing else runs under
 * the allocator.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    int argument = 2;
    for (; argument < argc && strcmp(argv[argument], "--") != 0; argument++)
        putenv(argv[argument]);
    if (argument + 1 >= argc) {
        fprintf(stderr, "usage: bench-spawn REPORT [NAME=VALUE...] -- PROGRAM ARGUMENT...\n");
        return 2;
    }
    char **command = argv + argument + 1;

    double start = now_seconds();
    pid_t child = vfork();
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    if (child < 0) {
        fprintf(stderr, "bench-spawn: cannot start %s: %s\n", command[0], strerror(errno));
        return 1;
    }
    int status = 0;
    struct rusage usage = {0};
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    double seconds = now_seconds() - start;

    FILE *report = fopen(argv[1], "w");
    if (!report || fprintf(report, "%.6f %ld %d\n", seconds, usage.ru_maxrss, status) < 0 || fclose(report) != 0) {
        fprintf(stderr, "bench-spawn: cannot write %s\n", argv[1]);
        return 1;
    }
    return 0;
}

/*
 * Starts one program, waits for it, and reports what it took: `bench-spawn [--exact] REPORT [NAME=VALUE…] -- PROGRAM
 * ARGUMENT…` writes "seconds peak_rss_kib wait_status" to the file REPORT.
 *
 * Peak RSS is what wait4 tells, of the program or of the largest of its children. The kernel counts it per processor and
 * leaves out up to some hundred KiB that have not been added up yet, which is much for a small program. With --exact
 * the program is stopped at its end (by ptrace) and asked through /proc/PID/status, where the kernel does add up; its
 * children are then left out.
 *
 * Why not from Python: a child's peak RSS as wait4 tells it starts from what its parent had at the fork, so
 * everything smaller than a Python interpreter would read as large as one. This program is linked statically and
 * stays smaller than any program it starts. It also sets LD_PRELOAD for the child alone, so nothing else runs under
 * the allocator.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
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

/* Peak RSS of a process that has stopped at its end, in KiB, or -1. */
static long peak_of_stopped(pid_t pid)
{
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/status", (int)pid);
    FILE *status = fopen(line, "r");
    long peak_kib = -1;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld kB", &peak_kib) == 1)
            break;
    if (status)
        fclose(status);
    return peak_kib;
}

/* Waits for a child that asked to be traced; returns its wait status. */
static int wait_traced(pid_t child, long *peak_kib)
{
    int status = 0;
    bool began = false;
    while (waitpid(child, &status, 0) >= 0 || errno == EINTR) {
        if (!WIFSTOPPED(status))
            return status;
        int signal = WSTOPSIG(status);
        if (!began) { /* the first stop is exec's */
            began = true;
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL);
            signal = 0;
        } else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
            *peak_kib = peak_of_stopped(child);
            signal = 0;
        }
        ptrace(PTRACE_CONT, child, NULL, signal);
    }
    return status;
}

static pid_t start_program(char **command, bool traced)
{
    const pid_t child = vfork();
    if (child == 0) {
        if (traced)
            ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execvp(command[0], command);
        _exit(127);
    }
    return child;
}

int main(int argc, char **argv)
{
    const bool exact = argc > 1 && strcmp(argv[1], "--exact") == 0;
    if (exact) {
        argv++;
        argc--;
    }
    int argument = 2;
    for (; argument < argc && strcmp(argv[argument], "--") != 0; argument++)
        putenv(argv[argument]);
    if (argument + 1 >= argc) {
        fprintf(stderr, "usage: bench-spawn [--exact] REPORT [NAME=VALUE...] -- PROGRAM ARGUMENT...\n");
        return 2;
    }
    char **command = argv + argument + 1;

    double start = now_seconds();
    const pid_t child = start_program(command, exact);
    if (child < 0) {
        fprintf(stderr, "bench-spawn: cannot start %s: %s\n", command[0], strerror(errno));
        return 1;
    }
    int status = 0;
    struct rusage usage = {0};
    if (exact) {
        status = wait_traced(child, &usage.ru_maxrss);
    } else {
        while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
            ;
    }
    double seconds = now_seconds() - start;

    FILE *report = fopen(argv[1], "w");
    if (!report || fprintf(report, "%.6f %ld %d\n", seconds, usage.ru_maxrss, status) < 0 || fclose(report) != 0) {
        fprintf(stderr, "bench-spawn: cannot write %s\n", argv[1]);
        return 1;
    }
    return 0;
}

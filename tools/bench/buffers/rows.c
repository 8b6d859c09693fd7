/* Measures the rows of a program's table; see rows.h. */
#define _GNU_SOURCE 1 /* processor sets */

#include "rows.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The result is the median of BATCHES batches of about BATCH_NS: short enough that most of them escape interruption, long
 * enough that reading the clock (20 ns) is nothing. */
enum { BATCHES = 9, BATCH_NS = 1500000, THREADED_BATCH_NS = 6000000, THREADS_MAX = 2 };

static const struct program *program;
static int cpus[THREADS_MAX]; /* where the threads of a row run */
static unsigned cpu_count;

void rows_fail(const char *what)
{
    fprintf(stderr, "bench-buffers: failed: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* From the last one down: the first processor serves most interrupts. */
static void choose_cpus(void)
{
    cpu_set_t allowed;
    must(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && cpu_count < THREADS_MAX; cpu--) {
        if (CPU_ISSET(cpu, &allowed))
            cpus[cpu_count++] = cpu;
    }
}

static void pin(unsigned thread)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus[thread], &one);
    must(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0);
}

static void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void start_sleeper(void)
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, sleep_for_ever, NULL) == 0);
}

/* ---- batches ---- */

static int64_t batch_single(const struct row *row, const struct work *work)
{
    const int64_t started = now_ns();
    row->run(work);
    return now_ns() - started;
}

struct helper {
    const struct row *row;
    const struct work *work;
    pthread_barrier_t *barrier;
    int64_t started, ended;
};

static void run_between_barriers(struct helper *helper)
{
    pthread_barrier_wait(helper->barrier);
    helper->started = now_ns();
    helper->row->run(helper->work);
    helper->ended = now_ns();
    pthread_barrier_wait(helper->barrier);
}

static void *run_helper(void *argument)
{
    pin(1);
    if (program->start_thread != NULL)
        program->start_thread();
    run_between_barriers(argument);
    return NULL;
}

/* Mean of the two threads' own times. */
static int64_t batch_threaded(const struct row *row, const struct work *work)
{
    pthread_barrier_t barrier;
    struct helper mine = {.row = row, .work = work, .barrier = &barrier};
    struct helper other = mine;
    pthread_t thread;
    must(pthread_barrier_init(&barrier, NULL, THREADS_MAX) == 0);
    must(pthread_create(&thread, NULL, run_helper, &other) == 0);
    run_between_barriers(&mine);
    must(pthread_join(thread, NULL) == 0);
    must(pthread_barrier_destroy(&barrier) == 0);
    return (mine.ended - mine.started + other.ended - other.started) / 2;
}

static int64_t batch(const struct row *row, const struct work *work)
{
    return row->threads > 1 ? batch_threaded(row, work) : batch_single(row, work);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ns per part. */
static double measure(const struct row *row)
{
    const int64_t batch_ns = row->threads > 1 ? THREADED_BATCH_NS : BATCH_NS;
    struct work work = {.rounds = 100, .bytes = row->bytes};
    work.subject = row->prepare != NULL ? row->prepare(row->bytes) : NULL;
    int64_t ns;
    while ((ns = batch(row, &work)) < batch_ns / 4)
        work.rounds *= 2;
    work.rounds = (size_t)((double)work.rounds * (double)batch_ns / (double)ns) + 1;

    double results[BATCHES];
    for (int i = 0; i < BATCHES; i++)
        results[i] = (double)batch(row, &work) / (double)work.rounds / (row->parts != 0 ? row->parts : 1);
    if (row->finish != NULL)
        row->finish(work.subject);
    qsort(results, BATCHES, sizeof *results, compare);
    return results[BATCHES / 2];
}

/* ---- what the driver asks for ---- */

static const struct row *find_row(const char *system, const char *name)
{
    for (size_t i = 0; i < program->row_count; i++) {
        const struct row *row = &program->rows[i];
        if (strcmp(row->system, system) == 0 && strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

static void answer(const char *system, const char *name, bool threaded)
{
    const struct row *row = find_row(system, name);
    if (row == NULL || (row->threads > 1 && (!threaded || cpu_count < THREADS_MAX)))
        puts("-");
    else
        printf("%.4f\n", measure(row));
    fflush(stdout);
}

static int list(void)
{
    for (size_t i = 0; i < program->row_count; i++) {
        const struct row *row = &program->rows[i];
        printf("%s\t%s\t%u\n", row->system, row->name, row->threads > 1 ? row->threads : 1);
    }
    return 0;
}

int rows_main(int argc, char **argv, const struct program *table)
{
    program = table;
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    if (argc != 3 || (strcmp(argv[2], "single") != 0 && strcmp(argv[2], "threaded") != 0)) {
        fprintf(stderr, "usage: %s --list | SYSTEM single|threaded\n", argv[0]);
        return 2;
    }
    const bool threaded = strcmp(argv[2], "threaded") == 0;
    choose_cpus(); /* before the library may pin the thread itself */
    if (program->start != NULL && !program->start())
        return 77;
    pin(0);
    if (threaded)
        start_sleeper();
    char name[64];
    while (fgets(name, sizeof name, stdin) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        answer(argv[1], name, threaded);
    }
    return 0;
}

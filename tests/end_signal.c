/*
 * The process ends in a signal's handler, wherever that finds a thread that competes with others for the allocator's locks: the end does
 * not wait for a lock for ever.
 *
 * END_RUNS (60) makes it longer: make check-soak.
 */
#include "children.h"
#include <stdatomic.h>
#include <sys/time.h>

enum { THREADS = 3, BOXES = 8192 };

static void *_Atomic boxes[BOXES];

static void end(int number)
{
    (void)number;
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_SECONDS);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    exit(0);
}

/* Sizes that come from everybody's memory. */
static void exchange(uint64_t *state)
{
    const size_t size = bb_random(state) % 8 != 0 ? 70000 + bb_random(state) % 30000 : 1000 + bb_random(state) % 60000;
    free(atomic_exchange(&boxes[bb_random(state) % BOXES], bb_hide(malloc(size))));
}

static void *turn_over(void *number)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (uint64_t state = (uintptr_t)number;;)
        exchange(&state);
    return NULL;
}

static void child_main(uint64_t seed)
{
    for (uintptr_t i = 1; i <= THREADS; i++)
        (void)bb_start(turn_over, (void *)i);
    signal(SIGALRM, end);
    const struct itimerval timer = {.it_value = {.tv_usec = 1 + (suseconds_t)(bb_random(&seed) % 20000)}};
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (;;)
        exchange(&seed);
}

int main(void)
{
    const size_t runs = bb_setting("END_RUNS", 60);
    for (size_t i = 0; i < runs; i++) {
        const pid_t child = fork();
        if (child == 0)
            child_main(i);
        expect_child(child, "child");
    }
    return 0;
}

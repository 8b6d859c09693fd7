/*
 * fork from a signal handler that interrupts malloc and free, in threads that do nothing else. The child leaves at once, or
 * allocates only after exec. An allocator that takes its locks before fork waits for itself here.
 */
#include "children.h"
#include <stdatomic.h>
#include <sys/time.h>

enum { FORKS = 300 };
static _Atomic int forks;

/* One signal at a time, so that work goes on between two forks however long they take. */
static void arm(void)
{
    const struct itimerval soon = {{0, 0}, {0, 1000}};
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void handler(int signal_number)
{
    (void)signal_number;
    int kept = errno;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0) {
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        if (status == 0)
            forks++;
    }
    if (forks < FORKS)
        arm();
    errno = kept;
}

static void *turn_over(void *argument)
{
    for (uint64_t i = 0; forks < FORKS; i++)
        fork_turnover((uintptr_t)argument + i, 300);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    pthread_t other = bb_start(turn_over, (void *)1);
    arm();
    turn_over((void *)1000000);
    bb_join(other);
    return 0;
}

/*
 * As fork_handler, but the child returns from the signal handler and goes on with the malloc or free that was interrupted: then
 * it works on for a while, alone, with a heap caught in any state.
 */
#include "children.h"
#include <stdatomic.h>
#include <sys/time.h>

enum { FORKS = 200 };
static _Atomic int forks;
static volatile sig_atomic_t in_child;
static volatile sig_atomic_t bad_status;

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
    if (!in_child) {
        pid_t child = fork();
        if (child == 0) {
            in_child = 1;
            signal(SIGALRM, SIG_DFL); /* inherited timers do not exist; the alarm that does is for hanging */
            alarm(CHILD_SECONDS);
        } else if (child > 0) {
            int status = 0;
            while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
            if (status != 0)
                bad_status = status;
            forks++;
            if (forks < FORKS)
                arm();
        }
    }
    errno = kept;
}

static void turn_over(uint64_t seed)
{
    for (uint64_t i = 0; forks < FORKS && !bad_status; i++) {
        fork_turnover(seed + i, 300);
        if (in_child) {
            fork_turnover(seed, 2000);
            _exit(0);
        }
    }
}

static void *other_thread(void *unused)
{
    /* Signals go to the main thread only; this one makes the process multi-threaded and holds locks now and then. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    turn_over(5000000);
    return unused;
}

int main(void)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    pthread_t other = bb_start(other_thread, NULL);
    arm();
    turn_over(1000000);
    bb_join(other);
    int status = bad_status;
    CHECK(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "a child hung");
    CHECK(status == 0, "a child ended with wait status 0x%x", (unsigned)status);
    return 0;
}

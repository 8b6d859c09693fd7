/*
 * A large block with one reference, which two threads release at the same time: one of them is told, or the process ends. Its memory is
 * never given back twice, which would go unnoticed until somebody else's is.
 */
#include "children.h"

#include "quarry/ref.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { TRIALS = 1500, THREADS = 2, BYTES = 200000 };

static char *block;
static _Atomic int waiting, refused;

static void *release_it(void *unused)
{
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&waiting) < THREADS)
        ;
    if (qy_release(block) != 0)
        atomic_fetch_add(&refused, 1);
    return unused;
}

static _Noreturn void trial(void)
{
    static const struct rlimit no_core = {0, 0};
    pthread_t threads[THREADS];
    alarm(CHILD_SECONDS);
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO); /* the message, hundreds of times */
    block = malloc(BYTES);
    for (int i = 0; i < THREADS; i++)
        threads[i] = bb_start(release_it, NULL);
    for (int i = 0; i < THREADS; i++)
        bb_join(threads[i]);
    _exit(atomic_load(&refused) == 1 ? 0 : 1);
}

int main(void)
{
    int aborts = 0;
    for (int i = 0; i < TRIALS; i++) {
        const pid_t child = fork();
        if (child == 0)
            trial();
        int status = 0;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
        aborts += aborted;
        CHECK(aborted || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
              "trial %d: both threads have released the only reference (status %x)", i, (unsigned)status);
    }
    bb_note("%d of %d trials ended in an abort", aborts, TRIALS);
    return 0;
}

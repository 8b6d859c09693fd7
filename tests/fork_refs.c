/*
 * Forks while other threads retain, release, register and cut: the child takes over what lies on the board, shares it, drops
 * it, and allocates. What another thread was just busy with is lost to the child, no more.
 */
#include "references.h"
#include "children.h"

enum { TRADERS = 3, FORKS = 150 };

static _Atomic bool stop;

static void *trade(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    while (!stop)
        parcel_trade(&state);
    return NULL;
}

static _Noreturn void child(uint64_t state)
{
    alarm(CHILD_SECONDS);
    for (int i = 0; i < 300; i++)
        parcel_trade(&state);
    for (int i = 0; i < BOARD; i++)
        parcel_drop(atomic_exchange(&board[i], NULL), &state);
    fork_turnover(state, 500);
    qy_slice slice = qy_slice_new(100);
    CHECK(slice.iov_len == 100 && qy_is_unique(slice.iov_base));
    _exit(0);
}

int main(void)
{
    pthread_t threads[TRADERS];
    for (uintptr_t i = 0; i < TRADERS; i++)
        threads[i] = bb_start(trade, (void *)(i + 1)); /* NOLINT(performance-no-int-to-ptr) */
    uint64_t state = 1000;
    const size_t forks = bb_setting("FORKS", FORKS);
    for (size_t i = 0; i < forks; i++) {
        parcel_trade(&state);
        const pid_t pid = fork();
        if (pid == 0)
            child(state + i);
        expect_child(pid, "child");
    }
    stop = true;
    for (int i = 0; i < TRADERS; i++)
        bb_join(threads[i]);
    for (int i = 0; i < BOARD; i++)
        parcel_drop(atomic_exchange(&board[i], NULL), &state);
    return 0;
}

/*
 * A signal's handler that allocates a few blocks and frees them, the last one first, while the interrupted code is anywhere in a malloc or
 * free that needs no slow path: no block is handed out twice. (Nothing is promised where the handler interrupts a slow path.)
 */
#include "blackbox.h"
#include <signal.h>
#include <sys/time.h>

enum { DEPTH = 4, SIGNALS = 20000, SIZES = 3 };

static const size_t size_of[SIZES] = {40, 100, 700};
static volatile sig_atomic_t signals;
static volatile sig_atomic_t wrong;

struct mark {
    uint64_t self, number;
};

static struct mark *take(size_t size, uint64_t number)
{
    struct mark *block = bb_hide(malloc(size));
    *block = (struct mark){(uintptr_t)block, number};
    return block;
}

static void give(struct mark *block, uint64_t number)
{
    if (block->self != (uintptr_t)block || block->number != number)
        wrong = 1;
    *block = (struct mark){0};
    free(block);
}

static void nest(size_t size, uint64_t number)
{
    struct mark *stack[DEPTH];
    for (uint64_t i = 0; i < DEPTH; i++)
        stack[i] = take(size, number + i);
    for (uint64_t i = DEPTH; i-- > 0;)
        give(stack[i], number + i);
}

static void handler(int signal_number)
{
    (void)signal_number;
    for (size_t i = 0; i < SIZES; i++)
        nest(size_of[i], UINT64_MAX / 2 + i);
    signals++;
}

int main(void)
{
    /* Enough at hand, in thread and handler together, that neither needs more. */
    void *first[SIZES][4 * DEPTH];
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t k = 0; k < BB_COUNT(first[0]); k++)
            CHECK((first[i][k] = bb_hide(malloc(size_of[i]))) != NULL);
        for (size_t k = 0; k < 2 * DEPTH; k++)
            free(first[i][k]);
    }
    signal(SIGALRM, handler);
    const struct itimerval often = {{0, 50}, {0, 50}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (uint64_t round = 0; signals < SIGNALS && !wrong; round++)
        nest(size_of[round % SIZES], round);
    /* At the end, the process gives everything back, which is a slow path: a handler in the middle would wait for its own lock. */
    signal(SIGALRM, SIG_IGN);
    CHECK(!wrong, "a block was handed out twice, after %d signals", (int)signals);
    return 0;
}

/*
 * Threads end while others hold references to their blocks: the bytes stay as they are, and the memory comes back when the last
 * reference goes, wherever that is.
 */
#include "references.h"

enum { GENERATIONS = 200, THREADS = 4, TRADES = 300 };

static void *live(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    for (int i = 0; i < TRADES; i++)
        parcel_trade(&state);
    return NULL;
}

static void clear_board(uint64_t state)
{
    for (int i = 0; i < BOARD; i++)
        parcel_drop(atomic_exchange(&board[i], NULL), &state);
}

static void generation(uintptr_t number)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        threads[i] = bb_start(live, (void *)(number * THREADS + i)); /* NOLINT(performance-no-int-to-ptr) */
    for (int i = 0; i < THREADS; i++)
        bb_join(threads[i]);
}

int main(void)
{
    size_t early = 0;
    for (uintptr_t number = 0; number < GENERATIONS; number++) {
        generation(number);
        if (number % 20 != 19)
            continue;
        clear_board(number);
        const struct mallinfo2 info = mallinfo2();
        const size_t in_use = info.uordblks + info.hblkhd;
        if (number == 19)
            early = in_use;
        CHECK(in_use <= early + 64 * BB_KIB, "after %zu generations %zu bytes are in use, not %zu", (size_t)number,
              in_use, early);
    }
    return 0;
}

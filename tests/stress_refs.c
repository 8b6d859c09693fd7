/*
 * References in many hands: two threads that drop the last two of a block at the same moment; threads that add and drop
 * references to one block as fast as they can; and slices of blocks of all kinds that travel between threads.
 *
 * STRESS_ROUNDS (100000) makes it longer or shorter.
 */
#include "references.h"
#include <sched.h>

static size_t rounds;

/* Bytes in the program's hands. */
static size_t bytes_in_use(void)
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* ---- the last two ---- */

static struct {
    _Atomic size_t ready, done; /* rounds that the first has prepared, and the second has finished */
    char *block;
    size_t length;
} last_two;

static void wait_until(_Atomic size_t *number, size_t reached)
{
    for (unsigned turns = 0; atomic_load_explicit(number, memory_order_acquire) < reached; turns++) {
        if (turns % 1000 == 999)
            sched_yield();
    }
}

static void *drop_second(void *unused)
{
    for (size_t round = 1; round <= rounds; round++) {
        wait_until(&last_two.ready, round);
        char *block = last_two.block;
        const size_t length = last_two.length;
        block[length - 1] = (char)round;
        if (round % 5 == 0) /* in either of the ways */
            CHECK(qy_release_n(block + length / 2, 1) == 0);
        else
            CHECK(qy_release(block + length - 1) == 0);
        atomic_store_explicit(&last_two.done, round, memory_order_release);
    }
    return unused;
}

/* The next block is mostly the same one, and must be as good as new; all blocks must be different ones. */
static void drop_first(void)
{
    enum { KEPT = 8 };
    static const size_t LENGTHS[] = {16, 48, 64, 1000, 1024, 5000, 40000, 65536, 100000};
    char *kept[KEPT] = {NULL};
    for (size_t round = 1; round <= rounds; round++) {
        const size_t length = LENGTHS[round % BB_COUNT(LENGTHS)];
        char *block = malloc(length);
        CHECK(block != NULL && qy_refcount(block) == 1, "a new block has %u references", qy_refcount(block));
        for (int i = 0; i < KEPT; i++)
            CHECK(kept[i] != block, "a block was handed out twice");
        CHECK(qy_retain(block + length - 1) == 0);
        last_two.block = block;
        last_two.length = length;
        atomic_store_explicit(&last_two.ready, round, memory_order_release);
        block[0] = (char)round;
        if (round % 3 == 0)
            free(block);
        else
            CHECK(qy_release(block + length / 3) == 0);
        free(kept[round % KEPT]);
        kept[round % KEPT] = malloc(length);
        CHECK(kept[round % KEPT] != NULL && qy_refcount(kept[round % KEPT]) == 1);
        wait_until(&last_two.done, round);
    }
    for (int i = 0; i < KEPT; i++)
        free(kept[i]);
}

static void two_threads_drop_the_last_two(void)
{
    pthread_t second = bb_start(drop_second, NULL);
    drop_first();
    bb_join(second);
}

/* ---- one block ---- */

enum { HAMMERS = 4, HAMMERED_BYTES = 3000 };
static char *hammered;

static void *hammer(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    size_t mine = 1;
    for (size_t i = 0; i < rounds; i++) {
        const char *p = hammered + bb_random(&state) % HAMMERED_BYTES;
        const uint32_t count = (uint32_t)(bb_random(&state) % 3) + 1;
        if (mine > 20 || (mine > count && bb_random(&state) % 2 == 0)) {
            CHECK(qy_release_n(p, count) == 0);
            mine -= count;
        } else {
            CHECK(qy_retain_n(p, count) == 0);
            mine += count;
        }
        CHECK(*p == 'h' && !(mine > 1 && qy_is_unique(p)));
    }
    CHECK(qy_release_n(hammered, (uint32_t)mine) == 0);
    return NULL;
}

static void threads_hammer_one_block(size_t offset)
{
    pthread_t threads[HAMMERS];
    hammered = malloc(offset + HAMMERED_BYTES);
    CHECK(hammered != NULL);
    hammered += offset;
    memset(hammered, 'h', HAMMERED_BYTES);
    CHECK(qy_retain_n(hammered, HAMMERS) == 0);
    for (uintptr_t i = 0; i < HAMMERS; i++)
        threads[i] = bb_start(hammer, (void *)i); /* NOLINT(performance-no-int-to-ptr) */
    for (int i = 0; i < HAMMERS; i++)
        bb_join(threads[i]);
    CHECK(qy_refcount(hammered) == 1 && qy_is_unique(hammered), "%u references are left", qy_refcount(hammered));
    CHECK(qy_release(hammered) == 0);
}

/* ---- all kinds ---- */

enum { TRADERS = 4 };

static void *trade(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    for (size_t i = 0; i < rounds / 2; i++)
        parcel_trade(&state);
    return NULL;
}

static void threads_trade(void)
{
    pthread_t threads[TRADERS];
    for (uintptr_t i = 0; i < TRADERS; i++)
        threads[i] = bb_start(trade, (void *)(i + 1)); /* NOLINT(performance-no-int-to-ptr) */
    for (int i = 0; i < TRADERS; i++)
        bb_join(threads[i]);
    uint64_t state = 99;
    for (int i = 0; i < BOARD; i++)
        parcel_drop(atomic_exchange(&board[i], NULL), &state);
    for (int i = 0; i < FOREIGN; i++)
        CHECK(!foreign[i].used, "registered memory was not released");
}

static void all_of_it(void)
{
    two_threads_drop_the_last_two();
    threads_hammer_one_block(0);
    threads_hammer_one_block(60000);  /* lies across granules */
    threads_hammer_one_block(300000); /* has a run for itself */
    threads_trade();
}

int main(void)
{
    rounds = bb_setting("STRESS_ROUNDS", 100000);
    threads_trade(); /* the registry keeps what it needs at most */
    const size_t before = bytes_in_use();
    all_of_it();
    const size_t after = bytes_in_use();
    CHECK(after <= before + 64 * BB_KIB, "%zu bytes were in use, and %zu are", before, after);
    bb_note("%zu rounds, %zu bytes in use", rounds, after);
    return 0;
}

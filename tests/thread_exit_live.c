/* Threads that end with live blocks: the blocks stay intact, can be resized and freed by others, and the memory is used again. */
#include "blackbox.h"

enum { THREADS = 200, BLOCKS = 300 };

struct leavings {
    char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
};

static void *leave(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    struct leavings *left = malloc(sizeof(*left));
    CHECK(left != NULL);
    for (size_t i = 0; i < BLOCKS; i++) {
        left->sizes[i] = bb_random(&state) % (i % 30 == 0 ? 100000 : 1500);
        left->blocks[i] = malloc(left->sizes[i]);
        CHECK(left->blocks[i] != NULL);
        bb_fill(left->blocks[i], left->sizes[i], i);
        free(malloc(left->sizes[i] / 2)); /* so that magazines are not empty at the end */
    }
    return left;
}

static void take_over(struct leavings *left)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK(bb_holds(left->blocks[i], left->sizes[i], i), "block %zu of %zu bytes", i, left->sizes[i]);
        if (i % 3 == 0) {
            char *block = realloc(left->blocks[i], left->sizes[i] * 2 + 1);
            CHECK(block != NULL && bb_holds(block, left->sizes[i], i));
            left->blocks[i] = block;
        }
        free(left->blocks[i]);
    }
    free(left);
}

static void *take_over_in_thread(void *left)
{
    take_over(left);
    return NULL;
}

int main(void)
{
    size_t first_peak = 0;
    size_t last_peak = 0;
    for (size_t round = 0; round < 6; round++) {
        static struct leavings *all[THREADS];
        for (size_t i = 0; i < THREADS; i += 4) {
            pthread_t threads[4];
            for (size_t j = 0; j < 4; j++)
                threads[j] = bb_start(leave, (void *)(round * THREADS + i + j + 1));
            for (size_t j = 0; j < 4; j++)
                all[i + j] = bb_join(threads[j]);
        }
        last_peak = bb_rss_bytes(); /* all blocks are live, and their threads are not */
        if (round == 0)
            first_peak = last_peak;
        for (size_t i = 0; i < THREADS; i++) {
            if (i % 2 == 0)
                take_over(all[i]);
            else
                bb_join(bb_start(take_over_in_thread, all[i]));
        }
    }
    const size_t end = bb_rss_bytes();
    bb_note("resident with all blocks of round 1 %zu, of round 6 %zu, and without %zu", first_peak, last_peak, end);
    CHECK(last_peak < first_peak * 3 / 2, "resident in round 1 %zu, in round 6 %zu", first_peak, last_peak);
    CHECK(end < first_peak * 3 / 2, "resident in round 1 %zu, after all rounds %zu", first_peak, end);
    return 0;
}

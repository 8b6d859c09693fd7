/* Many blocks of all sizes resized at random among each other: every one keeps its contents. Seeded. */
#include "blackbox.h"

enum { SLOTS = 500, STEPS = 60000 };

static size_t random_size(uint64_t *state)
{
    static const size_t limits[] = {64, 64, 512, 512, 4096, 4096, 32768, 300000};
    size_t limit = limits[bb_random(state) % BB_COUNT(limits)];
    if (bb_random(state) % 500 == 0)
        limit = 8 * BB_MIB;
    return bb_random(state) % limit + 1;
}

int main(void)
{
    static char *blocks[SLOTS];
    static size_t sizes[SLOTS];
    uint64_t seed = bb_setting("STRESS_SEED", 20240229), state = seed;
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = bb_random(&state) % SLOTS;
        size_t next = random_size(&state);
        char *block = realloc(blocks[i], next);
        CHECK(block != NULL);
        CHECK(bb_holds(block, sizes[i] < next ? sizes[i] : next, i), "seed %ju, step %zu: %zu to %zu", (uintmax_t)seed,
              step, sizes[i], next);
        if (next > sizes[i])
            bb_fill(block, next, i);
        blocks[i] = block;
        sizes[i] = next;
        /* The tail word of a pattern depends on nothing but its position, so shrinking keeps the pattern whole. */
    }
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK(bb_holds(blocks[i], sizes[i], i));
        free(blocks[i]);
    }
    return 0;
}

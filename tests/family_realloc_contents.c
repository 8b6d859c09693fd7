/* realloc keeps the contents up to the smaller size: up and down a ladder, in small steps, in leaps, and for aligned blocks. */
#include "blackbox.h"
#include <malloc.h>

static char *resize(char *block, size_t from, size_t to, uint64_t seed)
{
    char *next = realloc(block, to);
    CHECK(next != NULL, "%zu to %zu", from, to);
    CHECK(bb_aligned(next, to >= 16 ? 16 : 8), "%zu to %zu: %p", from, to, (void *)next);
    CHECK(bb_holds(next, from < to ? from : to, seed), "%zu to %zu: contents changed", from, to);
    CHECK(malloc_usable_size(next) >= to);
    bb_fill(next, to, seed);
    return next;
}

int main(void)
{
    /* Small steps, up and down, with a neighbour that must not be touched. */
    char *block = malloc(1), *neighbour = malloc(1);
    bb_fill(block, 1, 1);
    bb_fill(neighbour, 1, 2);
    size_t size = 1;
    for (; size < 3000; size++) {
        block = resize(block, size, size + 1, 1);
        neighbour = resize(neighbour, size, size + 1, 2);
        CHECK(bb_holds(block, size + 1, 1));
    }
    for (; size > 1; size--) {
        block = resize(block, size, size - 1, 1);
        neighbour = resize(neighbour, size, size - 1, 2);
        CHECK(bb_holds(block, size - 1, 1));
    }
    free(block);
    free(neighbour);

    /* Every pair of a ladder of sizes. */
    static const size_t ladder[] = {1,      15,     16,     17,      100,     128,     129,    500,   1024,
                                    2000,   4096,   4097,   10000,   32768,   33000,   65536,  65537, 100000,
                                    200000, 262144, 500000, 1048576, 1048577, 3000000, 9000000};
    for (size_t i = 0; i < BB_COUNT(ladder); i++) {
        for (size_t j = 0; j < BB_COUNT(ladder); j++) {
            block = malloc(ladder[i]);
            CHECK(block != NULL);
            bb_fill(block, ladder[i], i);
            block = resize(block, ladder[i], ladder[j], i);
            free(block);
        }
    }

    /* Blocks with an alignment of their own. */
    for (size_t alignment = 32; alignment <= BB_MIB; alignment *= 4) {
        for (size_t i = 0; i < BB_COUNT(ladder); i += 3) {
            block = memalign(alignment, ladder[i]);
            CHECK(block != NULL);
            bb_fill(block, ladder[i], i);
            block = resize(block, ladder[i], ladder[i] * 2 + 1, i);
            block = resize(block, ladder[i] * 2 + 1, ladder[i] / 2 + 1, i);
            free(block);
        }
    }
    return 0;
}

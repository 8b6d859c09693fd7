/* Large blocks keep their contents when they grow in place, when a neighbour makes them move, and when they shrink. */
#include "blackbox.h"

static char *resize(char *block, size_t from, size_t to, uint64_t seed)
{
    block = realloc(block, to);
    CHECK(block != NULL);
    CHECK(bb_holds(block, from < to ? from : to, seed), "%zu to %zu: contents changed", from, to);
    bb_fill(block, to, seed);
    return block;
}

int main(void)
{
    for (size_t start = 100000; start <= 20000000; start = start * 3 + 4097) {
        /* Two that block each other. */
        char *left = malloc(start), *right = malloc(start);
        CHECK(left != NULL && right != NULL);
        bb_fill(left, start, 1);
        bb_fill(right, start, 2);
        size_t size = start;
        for (int step = 0; step < 5; step++) {
            size_t next = size + size / 2;
            left = resize(left, size, next, 1);
            right = resize(right, size, next, 2);
            CHECK(bb_holds(left, next, 1), "%zu", next);
            size = next;
        }
        /* Down again, into what is left over other blocks go. */
        for (int step = 0; step < 6; step++) {
            size_t next = size / 3;
            left = resize(left, size, next, 1);
            right = resize(right, size, next, 2);
            char *filler = malloc(size - next);
            CHECK(filler != NULL);
            memset(filler, 0xff, size - next);
            CHECK(bb_holds(left, next, 1) && bb_holds(right, next, 2), "%zu to %zu", size, next);
            free(filler);
            size = next;
        }
        free(left);
        free(right);
    }
    return 0;
}

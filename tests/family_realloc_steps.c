/*
 * A block grown to 256 MB in steps of 4 KiB, with other allocation going on: growth must not copy everything every time. There
 * is no clock here, the runner's time-out decides: copying at each step would move 8 TB.
 */
#include "blackbox.h"

int main(void)
{
    enum { STEP = 4096 };
    uint64_t *block = NULL;
    void *others[64] = {0};
    size_t steps = 256 * BB_MIB / STEP;
    for (size_t i = 0; i < steps; i++) {
        block = realloc(block, (i + 1) * STEP);
        CHECK(block != NULL, "at %zu", i * STEP);
        block[i * STEP / sizeof(*block)] = bb_word(3, i);
        free(others[i % 64]);
        CHECK((others[i % 64] = malloc(i % 64 == 0 ? 100000 : 1000)) != NULL);
        if (i % 1024 == 0)
            for (size_t j = 0; j <= i; j++)
                CHECK(block[j * STEP / sizeof(*block)] == bb_word(3, j), "step %zu: page %zu changed", i, j);
    }
    for (size_t i = 0; i < 64; i++)
        free(others[i]);
    for (size_t i = 0; i < steps; i++)
        CHECK(block[i * STEP / sizeof(*block)] == bb_word(3, i), "page %zu changed", i);
    free(block);
    return 0;
}

/*
 * Large blocks from 256 KiB to 32 MiB: up to 16 live at a time, the first quarter of each written a page at a time,
 * freed in random order. Images, matrices and input/output buffers live like this.
 */
#include "workload.h"

enum { SLOT_COUNT = 16, PAGE_SIZE = 4096, LOWEST_SHIFT = 18, SHIFT_RANGE = 7 };

static double run_large(double scale)
{
    char *slots[SLOT_COUNT] = {NULL};
    struct random random = random_seeded(8);

    double start = now_seconds();
    for (size_t count = scaled(4000, scale); count > 0; count--) {
        char **slot = &slots[random_below(&random, SLOT_COUNT)];
        size_t base = (size_t)1 << (LOWEST_SHIFT + random_below(&random, SHIFT_RANGE));
        size_t size = base + random_below(&random, (uint32_t)base);
        free(*slot);
        *slot = take(size);
        for (size_t offset = 0; offset < size / 4; offset += PAGE_SIZE)
            (*slot)[offset] = 1;
    }
    for (size_t i = 0; i < SLOT_COUNT; i++)
        free(slots[i]);
    return now_seconds() - start;
}

const struct workload large_workloads[] = {
    {"large", "blocks of 256 KiB to 32 MiB, a quarter touched, freed in random order", run_large},
    {0},
};

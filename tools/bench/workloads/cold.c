/*
 * Cold random replacement: four million live blocks of 16 to 256 bytes (about 540 MB), of which a random one is freed
 * and replaced. Every block is out of the cache when its turn comes, as in a large server's heap.
 */
#include "workload.h"

enum { LIVE_COUNT = 4000000, SIZE_LOWEST = 16, SIZE_RANGE = 241 };

static void *take_cold(struct random *random)
{
    return take(SIZE_LOWEST + random_below(random, SIZE_RANGE));
}

static void replace(void **blocks, uint32_t live, size_t count, struct random *random)
{
    while (count-- > 0) {
        void **slot = &blocks[random_below(random, live)];
        free(*slot);
        *slot = take_cold(random);
    }
}

static double run_cold(double scale)
{
    uint32_t live = (uint32_t)shrunk(LIVE_COUNT, scale);
    struct random random = random_seeded(3);
    void **blocks = malloc(live * sizeof *blocks);
    check(blocks != NULL, "malloc returned NULL");
    for (uint32_t i = 0; i < live; i++)
        blocks[i] = take_cold(&random);
    /* A heap filled in address order is kinder than one that has run for a while: stir it before measuring. */
    replace(blocks, live, live / 2, &random);

    double start = now_seconds();
    replace(blocks, live, scaled(LIVE_COUNT, scale), &random);
    return now_seconds() - start; /* the process ends now; freeing 4 million blocks would only take time */
}

const struct workload cold_workloads[] = {
    {"cold-random", "4 million live blocks of 16-256 bytes, a random one replaced", run_cold},
    {0},
};

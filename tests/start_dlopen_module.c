/* The library that start_dlopen opens and closes: thread-local storage of its own, allocation at both ends of its life. */
#define BLACKBOX_MODULE
#include "blackbox.h"

static __thread char local[5000]; /* too large for the space that the loader keeps in reserve */
static __thread char *local_block;
static char *held;

size_t start_dlopen_touch(size_t seed);

static __attribute__((constructor)) void start(void)
{
    CHECK((held = malloc(3000)) != NULL);
    bb_fill(held, 3000, 1);
    free(malloc(70000));
}

static __attribute__((destructor)) void end(void)
{
    CHECK(bb_holds(held, 3000, 1));
    free(held);
}

/* The first touch by a thread allocates its copy of the variables. */
size_t start_dlopen_touch(size_t seed)
{
    CHECK(seed != 0 && bb_is_zero(local, sizeof(local)));
    local_block = malloc(100);
    CHECK(local_block != NULL);
    bb_fill(local, sizeof(local), seed);
    bb_fill(local_block, 100, seed);
    CHECK(bb_holds(local, sizeof(local), seed));
    CHECK(bb_holds(local_block, 100, seed));
    free(local_block);
    memset(local, 0, sizeof(local));
    return seed;
}

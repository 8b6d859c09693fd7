/*
 * A library that start_order links. It is marked to be initialised first, so its constructor runs before every other one,
 * and its destructor after them; both allocate and free. Its blocks live as long as the process.
 */
#define BLACKBOX_MODULE
#include "blackbox.h"

static char *blocks[100];

int start_order_ran;

static __attribute__((constructor)) void start(void)
{
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK((blocks[i] = malloc(i * 100)) != NULL);
        bb_fill(blocks[i], i * 100, i);
    }
    free(strdup("from the first constructor"));
    start_order_ran++;
}

static __attribute__((destructor)) void end(void)
{
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK(bb_holds(blocks[i], i * 100, i), "block %zu", i);
        blocks[i] = realloc(blocks[i], i * 200 + 1);
        CHECK(blocks[i] != NULL && bb_holds(blocks[i], i * 100, i), "block %zu", i);
        free(blocks[i]);
    }
    free(malloc(1000000));
}

/*
 * A relay as in a server: every thread takes over the live blocks of one that died, replaces them at random, starts its
 * successor and ends. Blocks outlive their threads by many generations.
 */
#include "blackbox.h"

enum { RUNNERS = 4, LEGS = 150, BLOCKS = 1000, STEPS = 4000 };

struct baton {
    uint64_t state;
    char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
};
static struct baton batons[RUNNERS];

static void *leg(void *argument)
{
    struct baton *baton = argument;
    for (int step = 0; step < STEPS; step++) {
        size_t i = bb_random(&baton->state) % BLOCKS;
        CHECK(bb_holds(baton->blocks[i], baton->sizes[i], i), "%zu bytes", baton->sizes[i]);
        free(baton->blocks[i]);
        baton->sizes[i] = bb_random(&baton->state) % (i % 50 == 0 ? 50000 : 500);
        baton->blocks[i] = malloc(baton->sizes[i]);
        CHECK(baton->blocks[i] != NULL);
        bb_fill(baton->blocks[i], baton->sizes[i], i);
    }
    return NULL;
}

static void *run(void *argument)
{
    for (int i = 0; i < LEGS; i++)
        bb_join(bb_start(leg, argument));
    return NULL;
}

int main(void)
{
    pthread_t threads[RUNNERS];
    for (int i = 0; i < RUNNERS; i++) {
        batons[i].state = (uint64_t)i;
        threads[i] = bb_start(run, &batons[i]);
    }
    for (int i = 0; i < RUNNERS; i++)
        bb_join(threads[i]);
    for (int i = 0; i < RUNNERS; i++)
        for (size_t j = 0; j < BLOCKS; j++)
            free(batons[i].blocks[j]);
    return 0;
}

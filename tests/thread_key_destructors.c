/*
 * pthread_key destructors that allocate and free in all four iterations that the C library makes, before and after the
 * allocator's own destructor has run; in many threads; also for keys above 32, whose first use allocates.
 */
#include "blackbox.h"
#include <limits.h>
#include <stdatomic.h>

enum { KEYS = 60, THREADS = 300 };

static pthread_key_t keys[KEYS];
static _Atomic size_t calls;
static _Atomic size_t last_iterations;

struct value {
    size_t index, iteration;
    char *block;
};

static void destroy(void *argument)
{
    struct value *value = argument;
    CHECK(bb_holds(value->block, 500, value->index));
    free(value->block);
    size_t index = value->index, iteration = value->iteration + 1;
    atomic_fetch_add(&calls, 1);
    free(value);

    /* Some turnover, of many sizes. */
    char *blocks[20];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        blocks[i] = malloc(i * i * 30);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, i * i * 30);
    }
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);

    if (iteration == PTHREAD_DESTRUCTOR_ITERATIONS) {
        atomic_fetch_add(&last_iterations, 1);
        return;
    }
    value = calloc(1, sizeof(*value));
    CHECK(value != NULL);
    value->index = index;
    value->iteration = iteration;
    value->block = malloc(500);
    CHECK(value->block != NULL);
    bb_fill(value->block, 500, index);
    pthread_setspecific(keys[index], value);
}

static void *body(void *unused)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct value *value = calloc(1, sizeof(*value));
        CHECK(value != NULL);
        value->index = i;
        value->block = malloc(500);
        CHECK(value->block != NULL);
        bb_fill(value->block, 500, i);
        CHECK(pthread_setspecific(keys[i], value) == 0);
    }
    return unused;
}

int main(void)
{
    for (size_t i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    for (int i = 0; i < THREADS; i += 3) {
        pthread_t threads[3];
        for (int j = 0; j < 3; j++)
            threads[j] = bb_start(body, NULL);
        for (int j = 0; j < 3; j++)
            bb_join(threads[j]);
    }
    CHECK(calls == (size_t)THREADS * KEYS * PTHREAD_DESTRUCTOR_ITERATIONS, "%zu calls", (size_t)calls);
    CHECK(last_iterations == (size_t)THREADS * KEYS);
    return 0;
}

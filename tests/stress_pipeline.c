/*
 * Producers allocate, consumers verify and free, through one ring per pair: nearly every free is of another thread's block.
 * Bursts of very different length, so that remote buffers are flushed full, partly full, and at thread exit.
 */
#include "blackbox.h"
#include <sched.h>
#include <stdatomic.h>

enum { PAIRS = 3, RING = 4096, BLOCKS = 400000 };

struct item {
    uint64_t seed;
    size_t size;
    unsigned char bytes[];
};

struct ring {
    _Alignas(64) _Atomic size_t head;
    _Alignas(64) _Atomic size_t tail;
    struct item *items[RING];
};
static struct ring rings[PAIRS];

static void *produce(void *argument)
{
    struct ring *ring = argument;
    uint64_t state = (uint64_t)(ring - rings) + 5;
    size_t burst = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        if (burst == 0) {
            burst = bb_random(&state) % 3000 + 1;
            sched_yield();
        }
        burst--;
        size_t size = bb_random(&state) % (bb_random(&state) % 64 == 0 ? 20000 : 200);
        struct item *item = malloc(sizeof(*item) + size);
        CHECK(item != NULL);
        item->seed = bb_random(&state);
        item->size = size;
        bb_fill(item->bytes, size, item->seed);
        while (i - atomic_load_explicit(&ring->tail, memory_order_acquire) >= RING)
            sched_yield();
        ring->items[i % RING] = item;
        atomic_store_explicit(&ring->head, i + 1, memory_order_release);
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct ring *ring = argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        while (atomic_load_explicit(&ring->head, memory_order_acquire) == i)
            sched_yield();
        struct item *item = ring->items[i % RING];
        CHECK(bb_holds(item->bytes, item->size, item->seed), "block %zu of %zu bytes", i, item->size);
        free(item);
        atomic_store_explicit(&ring->tail, i + 1, memory_order_release);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2 * PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        threads[2 * i] = bb_start(produce, &rings[i]);
        threads[2 * i + 1] = bb_start(consume, &rings[i]);
    }
    for (int i = 0; i < 2 * PAIRS; i++)
        bb_join(threads[i]);
    return 0;
}

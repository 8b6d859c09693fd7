/*
 * One thread allocates all the time, another frees all the time, never more than 16 MiB alive: resident memory stays near
 * that, and does not grow with the number of blocks that went through.
 */
#include "blackbox.h"
#include <sched.h>
#include <stdatomic.h>

enum { RING = 16384, BLOCK = 1000, BLOCKS = 1500000 };
static void *ring[RING];
static _Atomic size_t head, tail;

static void *consume(void *unused)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        while (atomic_load_explicit(&head, memory_order_acquire) == i)
            sched_yield();
        free(ring[i % RING]);
        atomic_store_explicit(&tail, i + 1, memory_order_release);
    }
    return unused;
}

int main(void)
{
    size_t before = bb_rss_bytes(), peak = 0;
    pthread_t consumer = bb_start(consume, NULL);
    for (size_t i = 0; i < BLOCKS; i++) {
        while (i - atomic_load_explicit(&tail, memory_order_acquire) >= RING)
            sched_yield();
        char *block = malloc(BLOCK);
        CHECK(block != NULL);
        memset(block, 1, BLOCK);
        ring[i % RING] = block;
        atomic_store_explicit(&head, i + 1, memory_order_release);
        if (i % 50000 == 0) {
            size_t now = bb_rss_bytes();
            peak = now > peak ? now : peak;
        }
    }
    bb_join(consumer);
    bb_note("resident before %zu KiB, at the peak %zu KiB, %d KiB alive at most", before >> 10, peak >> 10,
            RING * BLOCK >> 10);
    CHECK(peak < before + (size_t)RING * BLOCK * 5 / 2, "resident before %zu KiB, at the peak %zu KiB", before >> 10,
          peak >> 10);
    return 0;
}

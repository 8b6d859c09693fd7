/*
 * A child that works long: it frees everything its parent's threads had allocated, and allocates as much again. Its memory
 * must not grow without bound: blocks of threads that do not exist in the child are used again or returned.
 */
#include "children.h"
#include <malloc.h>

enum { THREADS = 4, BLOCKS = 60000, SIZE = 200 };
static char *blocks[THREADS][BLOCKS];
static pthread_barrier_t barrier;

static void *fill_and_wait(void *argument)
{
    size_t part = (uintptr_t)argument;
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[part][i] = malloc(SIZE)) != NULL);
        bb_fill(blocks[part][i], SIZE, i);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void)
{
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = bb_start(fill_and_wait, (void *)i);
    pthread_barrier_wait(&barrier);
    size_t full = bb_rss_bytes();
    pid_t child = fork();
    if (child == 0) {
        alarm(CHILD_SECONDS);
        for (int round = 0; round < 8; round++) {
            for (size_t part = 0; part < THREADS; part++) {
                for (size_t i = 0; i < BLOCKS; i++) {
                    CHECK(bb_holds(blocks[part][i], SIZE, i));
                    free(blocks[part][i]);
                }
            }
            for (size_t part = 0; part < THREADS; part++) {
                for (size_t i = 0; i < BLOCKS; i++) {
                    CHECK((blocks[part][i] = malloc(SIZE)) != NULL);
                    bb_fill(blocks[part][i], SIZE, i);
                }
            }
        }
        size_t late = bb_rss_bytes();
        bb_note("resident at fork %zu MiB, in the child after 8 rounds %zu MiB", full >> 20, late >> 20);
        CHECK(late < full * 5 / 2, "resident at fork %zu, in the child %zu", full, late);
        for (size_t part = 0; part < THREADS; part++)
            for (size_t i = 0; i < BLOCKS; i++)
                free(blocks[part][i]);
        _exit(0);
    }
    expect_child(child, "child");
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        bb_join(threads[i]);
    return 0;
}

/*
 * What thread_churn and thread_crowd share: the work of one thread, and the rule that resident memory after all threads ended is
 * within 10% of before plus 1 MiB. Nobody calls malloc_trim; the program goes on as programs do, allocating a little, for up
 * to some seconds, because memory may be returned after a delay.
 */
#ifndef BLACKBOX_THREAD_CHURN_H
#define BLACKBOX_THREAD_CHURN_H

#include "blackbox.h"

static BB_UNUSED void thread_work(uint64_t seed)
{
    uint64_t state = seed;
    char *blocks[200];
    size_t sizes[BB_COUNT(blocks)];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        sizes[i] = bb_random(&state) % (i % 40 == 0 ? 40000 : 1000);
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL);
        bb_fill(blocks[i], sizes[i], i);
    }
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK(bb_holds(blocks[i], sizes[i], i));
        free(blocks[i]);
    }
}

static BB_UNUSED void *nothing(void *argument)
{
    return argument;
}

/*
 * What the main thread itself needs for the same work, again and again, belongs to "before", and so do libc's pages for starting
 * a thread and for printing a note: half a MiB of its file, which would otherwise count as what the threads left.
 */
static BB_UNUSED size_t rss_in_steady_state(void)
{
    bb_join(bb_start(nothing, NULL));
    bb_note("resident at the start: %zu KiB", bb_rss_bytes() >> 10);
    for (unsigned round = 0; round < 20; round++) {
        thread_work(round);
        bb_sleep_ms(50);
    }
    return bb_rss_bytes();
}

static BB_UNUSED void expect_rss_returns_to(size_t before)
{
    size_t limit = before + before / 10 + BB_MIB, after = 0;
    for (int tenths = 0; tenths < 50; tenths++) {
        after = bb_rss_bytes();
        if (tenths == 0)
            bb_note("resident before %zu KiB, right after %zu KiB, limit %zu KiB", before >> 10, after >> 10,
                    limit >> 10);
        if (after <= limit) {
            bb_note("%zu KiB after %d tenths of a second", after >> 10, tenths);
            return;
        }
        bb_sleep_ms(100);
        thread_work((uint64_t)tenths);
    }
    CHECK(after <= limit, "resident before %zu KiB, after %zu KiB, limit %zu KiB", before >> 10, after >> 10,
          limit >> 10);
}

#endif

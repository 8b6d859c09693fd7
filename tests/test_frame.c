/*
 * test_frame.c: which granules are free, where a run is found, and what is ripe for purging. The tables are the test's own: there is no
 * region.
 */
#include "unit.h"

#include "frame.h"
#include "os.h"

enum { FIRST = 3, END = 19, AGE_MS = 500 };

static struct qyi_frame table[64];
static uint64_t whole[1];
static struct qyi_frames frames;

static void setup(void)
{
    memset(table, 0, sizeof table);
    memset(whole, 0, sizeof whole);
    frames = (struct qyi_frames){.base = 1024, .table = table, .whole = whole, .first = FIRST, .end = FIRST};
    qyi_frames_append(&frames, END);
}

static uint32_t take(size_t granules, size_t align)
{
    const uint32_t first = qyi_frames_find(&frames, granules, align);
    if (first != 0) {
        ck_assert(qyi_frames_have(&frames, first, granules));
        qyi_frames_take(&frames, first, granules);
        ck_assert(!qyi_frames_have(&frames, first, granules));
    }
    qyi_frames_validate(&frames);
    return first;
}

START_TEST(test_new_frames_are_free_and_clean)
{
    ck_assert_uint_eq(frames.free_granules, (END - FIRST) * QYI_FRAME_GRANULES);
    ck_assert_uint_eq(frames.dirty_granules, 0);
    ck_assert(qyi_frames_have(&frames, FIRST * QYI_FRAME_GRANULES, frames.free_granules));
    ck_assert(!qyi_frames_have(&frames, FIRST * QYI_FRAME_GRANULES, frames.free_granules + 1));
    qyi_frames_validate(&frames);
}
END_TEST

START_TEST(test_the_fullest_frame_that_fits_is_filled)
{
    const uint32_t fuller = take(60, 1);
    const uint32_t emptier = take(50, 1);
    ck_assert_uint_ne(fuller / QYI_FRAME_GRANULES, emptier / QYI_FRAME_GRANULES);
    ck_assert_uint_eq(take(4, 1) / QYI_FRAME_GRANULES, fuller / QYI_FRAME_GRANULES);
    ck_assert_uint_eq(take(5, 1) / QYI_FRAME_GRANULES, emptier / QYI_FRAME_GRANULES);
}
END_TEST

START_TEST(test_dirty_granules_go_first)
{
    const uint32_t first = take(10, 1);
    qyi_frames_give(&frames, first + 4, 3);
    ck_assert_uint_eq(frames.dirty_granules, 3);
    const uint32_t found = qyi_frames_find(&frames, 2, 1);
    ck_assert_uint_eq(found, first + 4);
    ck_assert(!qyi_frames_take(&frames, found, 2));
    ck_assert(qyi_frames_take(&frames, first + 10, 2));
    qyi_frames_validate(&frames);
}
END_TEST

START_TEST(test_alignment_counts_from_address_0)
{
    for (size_t align = 1; align <= 8 * QYI_FRAME_GRANULES; align *= 2) {
        (void)take(1, 1);
        const uint32_t first = take(3, align);
        ck_assert_uint_ne(first, 0);
        ck_assert_uint_eq((frames.base * QYI_FRAME_GRANULES + first) % align, 0);
    }
}
END_TEST

START_TEST(test_long_runs_start_at_a_frame_and_share_the_last)
{
    const size_t granules = 2 * QYI_FRAME_GRANULES + 5;
    const uint32_t first = take(granules, 1);
    ck_assert_uint_eq(first % QYI_FRAME_GRANULES, 0);
    ck_assert_uint_eq(take(4, 1) / QYI_FRAME_GRANULES, first / QYI_FRAME_GRANULES + 2);
}
END_TEST

START_TEST(test_what_is_missing_makes_a_run_fit)
{
    const size_t granules = (END - FIRST + 3) * QYI_FRAME_GRANULES;
    (void)take(1, 1); /* the first frame is not whole any more */
    ck_assert_uint_eq(qyi_frames_find(&frames, granules, 1), 0);
    const size_t missing = qyi_frames_missing(&frames, granules, 1);
    ck_assert_uint_eq(missing, 4);
    qyi_frames_append(&frames, END + (uint32_t)missing);
    ck_assert_uint_ne(take(granules, 1), 0);
}
END_TEST

START_TEST(test_only_what_was_dirty_twice_is_ripe)
{
    struct qyi_ripe ripe;
    const uint32_t first = take(8, 1);
    qyi_frames_give(&frames, first, 4);
    const uint64_t now_ms = qyi_os_now_ms();
    ck_assert(!qyi_frames_take_ripe(&frames, QYI_PART_FRAMES, now_ms, AGE_MS, 1, &ripe)); /* not due */
    ck_assert(qyi_frames_take_ripe(&frames, QYI_PART_FRAMES, now_ms + AGE_MS, AGE_MS, 1, &ripe));
    ck_assert_uint_eq(ripe.count, 0);
    qyi_frames_give(&frames, first + 6, 1);
    ck_assert(qyi_frames_take_ripe(&frames, QYI_PART_FRAMES, now_ms + 2 * AGE_MS, AGE_MS, 1, &ripe));
    ck_assert_uint_eq(ripe.count, 1);
    ck_assert_uint_eq(ripe.bits, qyi_mask64(first % QYI_FRAME_GRANULES, 4));
    ck_assert_uint_eq(frames.dirty_granules, 1);
    qyi_frames_give_bits(&frames, ripe.first, ripe.bits, 0);
    ck_assert_uint_eq(frames.dirty_granules, 1);
    qyi_frames_validate(&frames);
}
END_TEST

START_TEST(test_whole_neighbours_are_ripe_together)
{
    struct qyi_ripe ripe;
    const uint32_t first = take(3 * QYI_FRAME_GRANULES, 1);
    qyi_frames_give(&frames, first, 3 * QYI_FRAME_GRANULES);
    ck_assert(qyi_frames_take_ripe(&frames, QYI_WHOLE_FRAMES, qyi_os_now_ms(), 0, 2, &ripe));
    ck_assert_uint_eq(ripe.first, first / QYI_FRAME_GRANULES);
    ck_assert_uint_eq(ripe.count, 2);
    ck_assert_uint_eq(ripe.bits, QYI_ALL_GRANULES);
    qyi_frames_validate(&frames);
}
END_TEST

/* A child of a fork knows a frontier, and its tables may have rows behind it. */
START_TEST(test_rows_behind_the_frontier_do_not_count)
{
    const uint32_t between = FIRST + 4;
    qyi_frames_reset(&frames, between);
    ck_assert_uint_eq(frames.free_granules, 0);
    qyi_frames_validate(&frames);
    whole[0] &= ~((uint64_t)1 << between); /* caught between the row and the bit */
    qyi_frames_append(&frames, END);
    qyi_frames_validate(&frames);
    ck_assert_uint_eq(frames.free_granules, (END - between) * QYI_FRAME_GRANULES);
    ck_assert_uint_eq(take(QYI_FRAME_GRANULES, 1), between * QYI_FRAME_GRANULES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = tcase_create("frames");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_new_frames_are_free_and_clean);
    tcase_add_test(tests, test_the_fullest_frame_that_fits_is_filled);
    tcase_add_test(tests, test_dirty_granules_go_first);
    tcase_add_test(tests, test_alignment_counts_from_address_0);
    tcase_add_test(tests, test_long_runs_start_at_a_frame_and_share_the_last);
    tcase_add_test(tests, test_what_is_missing_makes_a_run_fit);
    tcase_add_test(tests, test_only_what_was_dirty_twice_is_ripe);
    tcase_add_test(tests, test_whole_neighbours_are_ripe_together);
    tcase_add_test(tests, test_rows_behind_the_frontier_do_not_count);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

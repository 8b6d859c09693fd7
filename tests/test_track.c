/* Tracking of references: which release is for which, blocks that move, threads, forks, full tables. */
#include "unit.h"

#include "quarry/builder.h"
#include "quarry/slice.h"

#include "alloc.h"
#include "leaks.h"
#include "options.h"
#include "track.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void start_tracking(void)
{
    unit_attach();
    qyi_options.buf_track = QYI_TRACK_SITES;
    qyi_track_start();
    ck_assert(qyi_is_tracking());
}

static struct qyi_track_totals totals_now(void)
{
    struct qyi_track_totals totals;
    require(qyi_track_lock());
    qyi_track_totals(&totals);
    qyi_track_unlock();
    return totals;
}

/* The only live block's references with this start: how many there are, and how long they are together. */
static size_t references_at(const void *p, size_t *length)
{
    size_t count = 0;
    *length = 0;
    require(qyi_track_lock());
    for (uint32_t number = 1; number <= qyi_track_block_count(); number++) {
        const struct qyi_tracked *block = qyi_track_block(number);
        for (uint32_t i = block->live ? block->references : 0; i != 0; i = qyi_track_reference(i)->next) {
            const struct qyi_reference *reference = qyi_track_reference(i);
            if (reference->start == (uintptr_t)p) {
                count += reference->count;
                *length += reference->length;
            }
        }
    }
    qyi_track_unlock();
    return count;
}

static size_t report_length(void)
{
    int ends[2];
    char text[4096];
    require(pipe2(ends, O_NONBLOCK) == 0);
    qyi_leaks_print(ends[1]);
    const ssize_t length = read(ends[0], text, sizeof text);
    close(ends[0]);
    close(ends[1]);
    return length < 0 ? 0 : (size_t)length;
}

START_TEST(test_nothing_is_tracked_unless_it_is_asked_for)
{
    unit_attach();
    qyi_track_start();
    qy_slice slice = qy_slice_new(100);
    qy_slice clone = qy_slice_clone(slice);
    ck_assert(!qyi_is_tracking());
    ck_assert(!qyi_track_lock());
    ck_assert_uint_eq(unit_entry_of(slice.iov_base) & QYI_ENTRY_HAS_CELLS, QYI_ENTRY_COUNTED);
    qy_slice_drop(&clone);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_buffers_have_slabs_of_their_own)
{
    start_tracking();
    for (size_t length = 1; length <= QYI_SMALL_BYTES; length = length * 3 + 1) {
        void *p = qyi_malloc(length);
        qy_slice slice = qy_slice_new(length);
        ck_assert((unit_entry_of(p) & QYI_ENTRY_HAS_CELLS) == 0);
        ck_assert_uint_eq(unit_entry_of(slice.iov_base) & QYI_ENTRY_HAS_CELLS, QYI_ENTRY_TRACKED);
        ck_assert_uint_eq((uintptr_t)slice.iov_base % 64, 0);
        ck_assert_ptr_ne(unit_slab_of(p), unit_slab_of(slice.iov_base));
        qy_slice_drop(&slice);
        qyi_free(p);
    }
    unit_check_runs();
}
END_TEST

START_TEST(test_release_is_matched_by_address_then_by_range_then_by_age)
{
    start_tracking();
    size_t length;
    qy_slice slice = qy_slice_new(1000);
    char *p = slice.iov_base;
    qy_slice part = qy_slice_sub(slice, 100, 50);
    qy_slice wide = qy_slice_sub(slice, 90, 200);
    ck_assert_int_eq(qy_release(p + 120), 0); /* the shortest around it */
    ck_assert_uint_eq(references_at(p + 100, &length), 0);
    ck_assert_uint_eq(references_at(p + 90, &length), 1);
    ck_assert_uint_eq(length, 200);
    ck_assert_int_eq(qy_release(p), 0); /* begins there */
    ck_assert_uint_eq(references_at(p, &length), 0);
    ck_assert_uint_eq(references_at(p + 90, &length), 1);
    qy_slice_drop(&wide);
    ck_assert_uint_eq(totals_now().blocks, 0);
    (void)part;
}
END_TEST

START_TEST(test_cutting_keeps_lengths)
{
    start_tracking();
    size_t length;
    qy_slice slice = qy_slice_new(1000);
    char *p = slice.iov_base;
    qy_slice front = qy_slice_split_to(&slice, 300);
    ck_assert_uint_eq(references_at(p, &length), 1);
    ck_assert_uint_eq(length, 300);
    ck_assert_uint_eq(references_at(p + 300, &length), 1);
    ck_assert_uint_eq(length, 700);
    qy_slice_drop(&front);
    ck_assert_uint_eq(totals_now().referenced, 700);
    qy_slice frames[10];
    ck_assert_int_eq(qy_slice_split_steps(&slice, 100, frames, 5), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(references_at(frames[i].iov_base, &length), 1);
        ck_assert_uint_eq(length, 100);
    }
    ck_assert_uint_eq(references_at(slice.iov_base, &length), 1);
    ck_assert_uint_eq(length, 200);
    ck_assert_int_eq(qy_slice_split_steps(&slice, 100, &frames[5], 5), 2);
    ck_assert_uint_eq(references_at(frames[6].iov_base, &length), 1);
    ck_assert_uint_eq(length, 100);
    ck_assert_uint_eq(totals_now().references, 7);
    ck_assert_uint_eq(totals_now().referenced, 700);
    ck_assert_int_eq(qy_slices_retain(frames, 7), 0);
    ck_assert_uint_eq(references_at(frames[3].iov_base, &length), 2);
    qy_slice again[7];
    memcpy(again, frames, sizeof again);
    qy_slices_drop(frames, 7);
    qy_slices_drop(again, 7);
    ck_assert_uint_eq(totals_now().blocks, 0);
    ck_assert_uint_eq(report_length(), 0);
}
END_TEST

START_TEST(test_adopted_block_has_one_reference_until_free)
{
    start_tracking();
    char *p = qyi_malloc(100);
    ck_assert_int_eq(qy_retain(p), 0);
    ck_assert_int_eq(qy_release(p), 0);
    ck_assert_uint_eq(totals_now().blocks, 0);
    ck_assert_uint_eq(report_length(), 0);
    qy_slice slice = qy_slice_adopt(p, 70);
    ck_assert_uint_eq(totals_now().references, 1);
    ck_assert_uint_eq(totals_now().referenced, 70);
    ck_assert_uint_ne(report_length(), 0);
    void *raw = qy_slice_into_raw(&slice);
    slice = qy_slice_adopt(raw, 60);
    ck_assert_uint_eq(totals_now().references, 1);
    qyi_free(qy_slice_into_raw(&slice));
    ck_assert_uint_eq(totals_now().blocks, 0);
}
END_TEST

START_TEST(test_built_slice_is_a_buffer_from_when_it_is_handed_over)
{
    start_tracking();
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 100, 20), 0);
    ck_assert_int_eq(qy_builder_append(&builder, "0123456789", 10), 0);
    ck_assert_uint_eq(totals_now().blocks, 0);
    qy_slice front = qy_builder_split_to(&builder, 4);
    qy_slice slice = qy_builder_freeze(&builder);
    ck_assert_uint_eq(slice.iov_len, 6);
    ck_assert_uint_eq(totals_now().references, 2);
    qy_slice_drop(&front);
    ck_assert_uint_eq(totals_now().references, 1);
    ck_assert_uint_ne(report_length(), 0);
    qy_slice_drop(&slice);
    ck_assert_uint_eq(report_length(), 0);
    ck_assert_int_eq(qy_builder_append(&builder, "01234", 5), 0);
    qy_builder_drop(&builder);
    ck_assert_uint_eq(totals_now().blocks, 0);
}
END_TEST

START_TEST(test_large_block_is_followed_when_realloc_moves_it)
{
    start_tracking();
    qy_slice slice = qy_slice_new(2 << 20);
    char *p = qy_slice_into_raw(&slice);
    void *barrier = qyi_malloc(2 << 20);
    char *moved = qyi_realloc(p, 8 << 20);
    ck_assert_ptr_nonnull(moved);
    ck_assert_ptr_ne(moved, p);
    ck_assert_uint_eq(totals_now().blocks, 1);
    size_t length;
    ck_assert_uint_eq(references_at(moved, &length), 1);
    slice = qy_slice_adopt(moved, 100);
    qy_slice_drop(&slice);
    ck_assert_uint_eq(totals_now().blocks, 0);
    qyi_free(barrier);
}
END_TEST

START_TEST(test_retain_of_a_block_from_malloc_is_told_of_and_the_malloc_is_not)
{
    start_tracking();
    char *p = qyi_malloc(100);
    ck_assert_int_eq(qy_retain_n(p + 5, 3), 0);
    ck_assert_uint_eq(totals_now().references, 4);
    ck_assert_int_eq(qy_release_n(p, 2), 0);
    qyi_free(p);
    ck_assert_uint_eq(totals_now().references, 1);
    ck_assert_uint_ne(report_length(), 0);
    ck_assert_int_eq(qy_release(p + 5), 0);
    ck_assert_uint_eq(report_length(), 0);
}
END_TEST

/* The same count as one of the test's own, whatever happens to the slices. */
START_TEST(test_totals_agree_with_a_count_of_their_own)
{
    start_tracking();
    enum { SLOTS = 200 };
    static qy_slice slots[SLOTS];
    static uint32_t block[SLOTS];
    static size_t references[100000];
    uint32_t blocks = 0;
    uint64_t state = 7;
    for (unsigned round = 0; round < unit_rounds(20000); round++) {
        const size_t i = unit_below(&state, SLOTS);
        const size_t j = unit_below(&state, SLOTS);
        if (slots[i].iov_len != 0) {
            references[block[i]]--;
            qy_slice_drop(&slots[i]);
        } else if (slots[j].iov_len == 0) {
            slots[i] = qy_slice_new(1 + unit_below(&state, round % 50 == 0 ? 100000 : 3000));
            block[i] = blocks++;
            references[block[i]] = 1;
        } else {
            const size_t offset = unit_below(&state, slots[j].iov_len);
            if (round % 3 != 0)
                slots[i] = qy_slice_sub(slots[j], offset, 1 + unit_below(&state, slots[j].iov_len - offset));
            else
                slots[i] = qy_slice_split_off(&slots[j], offset);
            block[i] = block[j];
            references[block[i]]++;
            if (slots[j].iov_len == 0) /* all of it has moved */
                references[block[j]]--;
        }
        if (round % 500 != 0)
            continue;
        size_t live = 0;
        size_t all = 0;
        for (uint32_t b = 0; b < blocks; b++) {
            live += references[b] != 0;
            all += references[b];
        }
        const struct qyi_track_totals totals = totals_now();
        require(totals.blocks == live && totals.references == all && totals.lost == 0);
        require(totals.referenced <= totals.bytes);
    }
    for (size_t i = 0; i < SLOTS; i++)
        qy_slice_drop(&slots[i]);
    ck_assert_uint_eq(totals_now().blocks, 0);
    unit_check_runs();
}
END_TEST

static qy_slice shared;

static void *share_in_thread(void *argument)
{
    qy_slice mine[16] = {{NULL, 0}};
    uint64_t state = (uintptr_t)argument;
    for (unsigned round = 0; round < unit_rounds(5000); round++) {
        qy_slice *slice = &mine[unit_below(&state, 16)];
        const qy_slice *other = &mine[unit_below(&state, 16)];
        if (slice->iov_len != 0)
            qy_slice_drop(slice);
        else if (round % 3 == 0)
            *slice = qy_slice_sub(shared, round % 100, 10);
        else
            *slice = other->iov_len != 0 ? qy_slice_clone(*other) : qy_slice_new(1 + unit_below(&state, 2000));
    }
    qy_slices_drop(mine, 16);
    return NULL;
}

START_TEST(test_threads_share_the_tables)
{
    start_tracking();
    pthread_t threads[4];
    shared = qy_slice_new(1000);
    for (size_t i = 0; i < 4; i++)
        require(pthread_create(&threads[i], NULL, share_in_thread, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < 4; i++)
        require(pthread_join(threads[i], NULL) == 0);
    ck_assert_uint_eq(totals_now().references, 1);
    qy_slice_drop(&shared);
    ck_assert_uint_eq(totals_now().blocks, 0);
    ck_assert_uint_eq(report_length(), 0);
}
END_TEST

/* Its retain and its free: its parent's reference, which malloc gave, stays. */
START_TEST(test_free_in_a_child_is_for_its_own_reference_first)
{
    start_tracking();
    char *p = qyi_malloc(100);
    require(qy_retain(p) == 0);
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        require(qy_retain(p) == 0);
        const bool told = report_length() != 0;
        qyi_free(p);
        _exit(told && report_length() == 0 ? 0 : 1);
    }
    int status;
    require(waitpid(child, &status, 0) == child && status == 0);
    require(qy_release(p) == 0);
    qyi_free(p);

    p = qyi_malloc(100); /* a reference that begins elsewhere, and one that is for a slice, which free is not for */
    require(qy_retain(p) == 0);
    const pid_t second = fork();
    require(second >= 0);
    if (second == 0) {
        require(qy_retain(p + 10) == 0);
        qyi_free(p);
        const bool silent = report_length() == 0;
        qy_slice slice = qy_slice_from(p + 10, 20);
        qyi_free(p);
        _exit(silent && slice.iov_len == 20 && report_length() != 0 ? 0 : 1);
    }
    require(waitpid(second, &status, 0) == second && status == 0);
    require(qy_release(p) == 0);
    qyi_free(p);
}
END_TEST

/* Its memory is nobody's by then; small buffers have a heap of their own. */
START_TEST(test_a_release_too_many_of_a_large_buffer_ends_the_process)
{
    start_tracking();
    qy_slice slice = qy_slice_new(1000000);
    char *p = slice.iov_base;
    qy_slice_drop(&slice);
    struct qyi_tracked block;
    require(qyi_track_find(p, &block));
    const qyi_site legitimate = block.last;
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        require(freopen("/dev/null", "w", stderr) != NULL);
        (void)qy_release(p + 500000);
        _exit(0);
    }
    require(qyi_track_released_gone(p + 500000, 1)); /* the one that was too many is the last */
    require(qyi_track_find(p, &block) && block.before_last == legitimate);
    int status;
    require(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

START_TEST(test_child_of_a_busy_process_goes_on_tracking)
{
    if (UNIT_TSAN)
        return; /* it does not allow threads to start after such a fork, nor memory that others held locks for */
    start_tracking();
    pthread_t threads[2];
    shared = qy_slice_new(1000);
    for (size_t i = 0; i < 2; i++)
        require(pthread_create(&threads[i], NULL, share_in_thread, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < unit_rounds(30); i++) {
        const pid_t child = fork();
        require(child >= 0);
        if (child == 0) {
            qy_slice slice = qy_slice_new(500);
            qy_slice clone = qy_slice_clone(slice);
            qy_slice_drop(&slice);
            const bool told = report_length() != 0;
            qy_slice_drop(&clone);
            _exit(told && report_length() == 0 ? 0 : 1);
        }
        int status;
        require(waitpid(child, &status, 0) == child && status == 0);
    }
    for (size_t i = 0; i < 2; i++)
        require(pthread_join(threads[i], NULL) == 0);
    qy_slice_drop(&shared);
    ck_assert_uint_eq(totals_now().blocks, 0);
}
END_TEST

START_TEST(test_full_tables_are_said_to_be_full_and_harm_nobody)
{
    start_tracking();
    enum { MANY = 270000 };
    if (UNIT_SANITIZED || unit_under_valgrind())
        return; /* for minutes */
    qy_slice *slices = qyi_malloc(MANY * sizeof *slices);
    ck_assert_ptr_nonnull(slices);
    for (size_t i = 0; i < MANY; i++)
        require((slices[i] = qy_slice_new(10)).iov_len == 10);
    ck_assert_uint_gt(totals_now().lost, 0);
    qy_slices_drop(slices, MANY);
    ck_assert_uint_eq(totals_now().blocks, 0);
    for (size_t i = 0; i < MANY; i++) { /* the dead make room */
        qy_slice slice = qy_slice_new(10 + i % 1000);
        qy_slice_drop(&slice);
    }
    qyi_free(slices);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("track");
    TCase *tracking = tcase_create("track");
    tcase_set_timeout(tracking, 240);
    tcase_add_test(tracking, test_nothing_is_tracked_unless_it_is_asked_for);
    tcase_add_test(tracking, test_buffers_have_slabs_of_their_own);
    tcase_add_test(tracking, test_release_is_matched_by_address_then_by_range_then_by_age);
    tcase_add_test(tracking, test_cutting_keeps_lengths);
    tcase_add_test(tracking, test_adopted_block_has_one_reference_until_free);
    tcase_add_test(tracking, test_built_slice_is_a_buffer_from_when_it_is_handed_over);
    tcase_add_test(tracking, test_large_block_is_followed_when_realloc_moves_it);
    tcase_add_test(tracking, test_retain_of_a_block_from_malloc_is_told_of_and_the_malloc_is_not);
    tcase_add_test(tracking, test_totals_agree_with_a_count_of_their_own);
    tcase_add_test(tracking, test_threads_share_the_tables);
    tcase_add_test(tracking, test_free_in_a_child_is_for_its_own_reference_first);
    tcase_add_test(tracking, test_a_release_too_many_of_a_large_buffer_ends_the_process);
    tcase_add_test(tracking, test_child_of_a_busy_process_goes_on_tracking);
    tcase_add_test(tracking, test_full_tables_are_said_to_be_full_and_harm_nobody);
    suite_add_tcase(suite, tracking);
    return unit_run(suite);
}

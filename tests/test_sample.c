/*
 * The heap profile's samples: unbiased whatever the size and the way, kept while the block lives, and nothing left behind.
 */
#include "unit.h"

#include "alloc.h"
#include "meter.h"
#include "sample.h"
#include "slab.h"
#include "stats.h"

#include "quarry/ref.h"
#include "quarry/slice.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RATE = 4096, SEED = 20 };

/* Estimates may be off by so many standard deviations: with fixed seeds, they are so always or never. */
static const double SIGMAS = 4.5;

static void start(size_t rate)
{
    (void)unit_attach();
    ck_assert(qyi_sample_start(rate, SEED));
}

static double allocated_bytes(void)
{
    struct qyi_sample_totals totals;
    qyi_sample_totals(&totals);
    return (double)totals.allocated.bytes;
}

static double allocated_objects(void)
{
    struct qyi_sample_totals totals;
    qyi_sample_totals(&totals);
    return (double)totals.allocated.objects / (1 << QYI_WEIGHT_SHIFT);
}

static struct qyi_sample_totals totals_now(void)
{
    struct qyi_sample_totals totals;
    qyi_sample_totals(&totals);
    return totals;
}

static double absolute(double x)
{
    return x < 0 ? -x : x;
}

/* Of the estimated number of n blocks of so many bytes: n (1 - p) / p. Without libm: the square is compared. */
static bool near_enough(double estimate, double exact, double n, size_t bytes)
{
    const double share = qyi_meter_share(bytes);
    const double variance = n * (1 - share) / share;
    const double off = absolute(estimate - exact);
    return off * off <= SIGMAS * SIGMAS * variance + 1;
}

static size_t flagged_granules(void)
{
    size_t count = 0;
    const uint32_t end = atomic_load(&qyi_region.end);
    for (uint32_t granule = qyi_region.first; granule < end; granule++)
        count += (qyi_entry(granule) & QYI_ENTRY_SAMPLED) != 0;
    return count;
}

static void check_size(size_t bytes, unsigned count)
{
    void **block = calloc(count, sizeof *block);
    const double objects_before = allocated_objects();
    const double bytes_before = allocated_bytes();
    size_t usable = 0;
    for (unsigned i = 0; i < count; i++) {
        block[i] = qyi_malloc(bytes);
        require(block[i] != NULL);
        usable = qyi_usable_size(block[i], "test");
        if (i % 3 == 0) { /* some are freed at once, some later, some by realloc */
            qyi_free(block[i]);
            block[i] = NULL;
        }
    }
    const double objects = allocated_objects() - objects_before;
    require(near_enough(objects, count, count, usable));
    require(near_enough((allocated_bytes() - bytes_before) / (double)usable, count, count, usable));
    for (unsigned i = 0; i < count; i++)
        qyi_free(block[i]);
    free(block);
}

START_TEST(test_estimates_are_unbiased_for_every_size)
{
    start(RATE);
    for (size_t bytes = 16; bytes <= 64 << 10; bytes += bytes / 4 + 16)
        check_size(bytes, unit_rounds(bytes < 1024 ? 40000 : 4000));
    for (size_t bytes = 96 << 10; bytes <= 4 << 20; bytes *= 2)
        check_size(bytes, 8);
    const struct qyi_sample_totals totals = totals_now();
    ck_assert(totals.lost == 0 && totals.samples > 1000);
    ck_assert(totals.live_samples == 0 && totals.live.bytes == 0 && totals.live.objects == 0);
    ck_assert(flagged_granules() == 0);
    unit_check_runs();
}
END_TEST

/* A size whose blocks alternate with another's must not get the other's share. */
START_TEST(test_sizes_that_alternate_keep_their_shares)
{
    start(RATE);
    const unsigned rounds = unit_rounds(100000);
    double large_samples = 0;
    for (unsigned i = 0; i < rounds; i++) {
        const double before = allocated_objects();
        void *small = qyi_malloc(32);
        const double between = allocated_objects();
        void *large = qyi_malloc(512);
        large_samples += allocated_objects() - between;
        (void)before;
        qyi_free(large);
        qyi_free(small);
        if (i % 16 == 0)
            qyi_magazines_flush(qyi_my_magazines()); /* what has passed and comes back has not passed */
    }
    ck_assert(near_enough(large_samples, rounds, rounds, 512));
    ck_assert(near_enough(allocated_objects() - large_samples, rounds, rounds, 32));
}
END_TEST

START_TEST(test_hot_pairs_are_sampled_in_proportion)
{
    start(RATE);
    const unsigned rounds = unit_rounds(1000000);
    for (unsigned i = 0; i < rounds; i++)
        qyi_free(qyi_malloc(64));
    ck_assert(near_enough(allocated_objects(), rounds, rounds, 64));
}
END_TEST

static void *free_all(void *argument)
{
    void **block = argument;
    for (unsigned i = 0; block[i] != NULL; i++)
        qyi_free(block[i]);
    return NULL;
}

START_TEST(test_samples_go_when_another_thread_frees_the_block)
{
    enum { COUNT = 3000 };
    void *block[COUNT + 1] = {0};
    start(RATE);
    for (unsigned i = 0; i < COUNT; i++)
        block[i] = qyi_malloc(i % 7 == 0 ? 5000 : 100);
    ck_assert(totals_now().live_samples > 100 && flagged_granules() > 0);
    unit_in_thread(free_all, block);
    ck_assert(totals_now().live_samples == 0 && totals_now().live.bytes == 0);
    ck_assert(flagged_granules() == 0);
}
END_TEST

START_TEST(test_statistics_sum_and_count_exactly)
{
    enum { COUNT = 5000 };
    static void *block[COUNT];
    static struct qyi_stats stats;
    start(RATE);
    for (unsigned i = 0; i < COUNT; i++)
        block[i] = qyi_malloc(16 + i % 1000);
    for (unsigned i = 0; i < COUNT; i += 2)
        qyi_free(block[i]);
    qyi_stats_collect(&stats);
    ck_assert(stats.mapped ==
              stats.live + stats.free_in_slabs + stats.cached + stats.dirty + stats.clean + stats.metadata);
    uint64_t calls = 0;
    size_t live = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        calls += stats.classes[class].calls;
        live += stats.classes[class].live;
    }
    ck_assert(calls == COUNT && live == COUNT / 2);
    qyi_magazines_flush(qyi_my_magazines());
    qyi_stats_collect(&stats);
    ck_assert(stats.cached == 0);
}
END_TEST

START_TEST(test_realloc_keeps_what_it_moves)
{
    start(RATE);
    void *p = qyi_malloc(100 << 10);
    for (size_t bytes = 100 << 10; bytes < 8 << 20; bytes += 100 << 10) {
        p = qyi_realloc(p, bytes);
        const struct qyi_sample_totals totals = totals_now();
        ck_assert(totals.live_samples == 1); /* so large, it is certain */
        ck_assert(totals.live.bytes == qyi_usable_size(p, "test"));
    }
    p = qyi_realloc(p, 1 << 20);
    ck_assert(totals_now().live.bytes == 1 << 20);
    p = qyi_realloc(p, 16);
    qyi_free(p);
    ck_assert(totals_now().live_samples == 0 && totals_now().live.bytes == 0);
}
END_TEST

/* Blocks that one thread moves, and others take and free: each where another has just been. With 3 us between the giving back of the
 * old memory and the note of the move, it fails every time. */
enum { MOVES = 20000, KEPT = 400, MOVED_BYTES = QYI_SMALL_BYTES + 1, TAKERS = 3 };

static _Atomic bool moving;

static void *move_blocks(void *kept)
{
    for (unsigned i = 0; i < unit_rounds(MOVES); i++) {
        void **p = &((void **)kept)[i % KEPT];
        qyi_free(*p);
        *p = qyi_malloc(MOVED_BYTES);
        char *in_the_way = qyi_malloc(QYI_SMALL_BYTES + 1);
        *p = qyi_realloc(*p, 2 * MOVED_BYTES);
        qyi_free(in_the_way);
    }
    atomic_store(&moving, false);
    return NULL;
}

static void *take_and_free(void *unused)
{
    do
        qyi_free(qyi_malloc(MOVED_BYTES));
    while (atomic_load(&moving));
    return unused;
}

/* Stacks that came after this one and have live samples. */
static unsigned live_stacks_since(const struct qyi_stack *mark)
{
    unsigned count = 0;
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != mark; stack = stack->older)
        count += stack->samples != 0;
    return count;
}

START_TEST(test_a_block_that_moves_keeps_its_stack_whoever_takes_its_place)
{
    start(1);
    pthread_t mover;
    pthread_t takers[TAKERS];
    static void *kept[2][KEPT];
    atomic_store(&moving, true);
    require(pthread_create(&mover, NULL, move_blocks, kept[0]) == 0 && pthread_join(mover, NULL) == 0);
    const struct qyi_stack *mark = qyi_sample_stacks(); /* from here on, all new ones are the taker's */
    atomic_store(&moving, true);
    require(pthread_create(&mover, NULL, move_blocks, kept[1]) == 0);
    for (unsigned i = 0; i < TAKERS; i++)
        require(pthread_create(&takers[i], NULL, take_and_free, NULL) == 0);
    require(pthread_join(mover, NULL) == 0);
    for (unsigned i = 0; i < TAKERS; i++)
        require(pthread_join(takers[i], NULL) == 0);
    require(qyi_sample_stacks() != mark);
    require(live_stacks_since(mark) == 0);
    for (unsigned i = 0; i < KEPT; i++) {
        qyi_free(kept[0][i]);
        qyi_free(kept[1][i]);
    }
    require(totals_now().live_samples == 0);
}
END_TEST

/* ---- misuse ---- */

static _Atomic unsigned ready;
static unsigned late; /* by how much the other thread is */

static void meet(void)
{
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) != 2)
        ;
}

static void *release_late(void *p)
{
    meet();
    for (volatile unsigned i = 0; i < late; i++)
        ;
    (void)qy_release(p);
    return NULL;
}

static void release_twice_at_once(void)
{
    pthread_t thread;
    char *p = qyi_malloc(3 << 20);
    require(pthread_create(&thread, NULL, release_late, p) == 0);
    meet();
    (void)qy_release(p);
    require(pthread_join(thread, NULL) == 0);
}

/* One of them may come too late to be noticed; but nobody looks for the sample of a block that is gone. */
START_TEST(test_two_threads_that_free_a_block_at_once_end_by_a_message)
{
    start(1);
    for (unsigned i = 0; i < unit_rounds(1000); i++) {
        const pid_t child = fork();
        require(child >= 0);
        if (child == 0) {
            require(freopen("/dev/null", "w", stderr) != NULL);
            late = i % 100 * 10;
            release_twice_at_once();
            _exit(0);
        }
        int status = -1;
        require(waitpid(child, &status, 0) == child);
        require(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
    }
}
END_TEST

START_TEST(test_counted_blocks_and_buffers_are_followed_to_the_last_release)
{
    start(1);
    qy_slice slice = qy_slice_new(1000);
    const uint64_t before = totals_now().live_samples;
    ck_assert(before >= 1);
    ck_assert(qy_retain(slice.iov_base) == 0);
    ck_assert((unit_entry_of(slice.iov_base) & QYI_ENTRY_SAMPLED) != 0);
    ck_assert((unit_entry_of(slice.iov_base) & QYI_ENTRY_COUNTED) != 0);
    ck_assert(qy_release((char *)slice.iov_base + 500) == 0);
    ck_assert(totals_now().live_samples == before);
    ck_assert(qy_release(slice.iov_base) == 0);
    ck_assert(totals_now().live_samples == before - 1);
    ck_assert((unit_entry_of(slice.iov_base) & QYI_ENTRY_SAMPLED) == 0);
}
END_TEST

/* Bits that stayed would send other blocks' frees the long way. */
START_TEST(test_a_slab_has_the_bits_of_its_sampled_blocks_and_no_others)
{
    enum { BLOCKS = 100, BYTES = 64 };
    void *block[BLOCKS];
    start(1);
    for (unsigned i = 0; i < BLOCKS; i++)
        block[i] = qyi_malloc(BYTES);
    uint64_t random = SEED;
    for (unsigned left = BLOCKS; left > 1;) {
        const unsigned gone = unit_below(&random, left);
        qyi_free(block[gone]);
        block[gone] = block[--left];
        for (unsigned i = 0; i < left; i++) {
            uint64_t bits = 0;
            for (unsigned j = 0; j < left; j++)
                if (unit_entry_of(block[j]) == unit_entry_of(block[i]))
                    bits |= qyi_slab_sampled_bit(block[j]);
            ck_assert_uint_eq(unit_entry_of(block[i]) & QYI_ENTRY_SAMPLED, bits);
        }
    }
    ck_assert_uint_eq(totals_now().live_samples, 1);
    qyi_free(block[0]);
    ck_assert_uint_eq(flagged_granules(), 0);
}
END_TEST

START_TEST(test_aligned_and_zeroed_blocks_are_sampled)
{
    start(1);
    void *block[] = {qyi_calloc(10, 10), qyi_aligned(256, 100), qyi_aligned(1 << 20, 10), qyi_calloc(1 << 20, 1),
                     qyi_malloc(0)};
    const size_t count = sizeof block / sizeof block[0];
    ck_assert(totals_now().live_samples == count);
    for (size_t i = 0; i < count; i++)
        qyi_free(block[i]);
    ck_assert(totals_now().live_samples == 0);
}
END_TEST

START_TEST(test_stacks_sum_to_the_totals_and_to_the_peak)
{
    start(RATE);
    void *block[64];
    for (unsigned i = 0; i < 64; i++)
        block[i] = qyi_malloc(100 << 10);
    const uint64_t at_peak = totals_now().live.bytes;
    for (unsigned i = 0; i < 60; i++)
        qyi_free(block[i]);
    void *other = qyi_malloc(1 << 20);
    uint64_t live = 0;
    uint64_t peak = 0;
    uint64_t allocated = 0;
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        struct qyi_stack_values values;
        qyi_sample_read(stack, &values);
        live += values.live.bytes;
        peak += values.peak_bytes;
        allocated += values.allocated.bytes;
    }
    const struct qyi_sample_totals totals = totals_now();
    ck_assert(live == totals.live.bytes && allocated == totals.allocated.bytes);
    ck_assert(peak == totals.peak_bytes && peak == at_peak);
    qyi_free(other);
}
END_TEST

/* A block in eight lives: each of those pins seven blocks' space. */
START_TEST(test_pinned_space_is_what_live_blocks_keep_from_others)
{
    enum { COUNT = 100000, BYTES = 112 };
    static void *block[COUNT];
    start(RATE);
    for (unsigned i = 0; i < COUNT; i++)
        block[i] = qyi_malloc(BYTES);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 8 != 0)
            qyi_free(block[i]);
    }
    qyi_magazines_flush(qyi_my_magazines());
    qyi_sample_pin();
    double pinned = 0;
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        struct qyi_stack_values values;
        qyi_sample_read(stack, &values);
        pinned += (double)values.pinned_bytes;
    }
    ck_assert(near_enough(pinned / (BYTES * 7.), COUNT / 8., COUNT / 8., BYTES));
}
END_TEST

START_TEST(test_a_forked_child_goes_on)
{
    start(1);
    void *p = qyi_malloc(100);
    const pid_t child = fork();
    if (child == 0) {
        const uint64_t before = totals_now().live_samples;
        qyi_free(p);
        void *own = qyi_malloc(50);
        _exit(own != NULL && before == 1 && totals_now().live_samples == 1 ? 0 : 1);
    }
    int status;
    ck_assert(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert(totals_now().live_samples == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sample");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_estimates_are_unbiased_for_every_size);
    tcase_add_test(tests, test_sizes_that_alternate_keep_their_shares);
    tcase_add_test(tests, test_hot_pairs_are_sampled_in_proportion);
    tcase_add_test(tests, test_samples_go_when_another_thread_frees_the_block);
    tcase_add_test(tests, test_statistics_sum_and_count_exactly);
    tcase_add_test(tests, test_realloc_keeps_what_it_moves);
    tcase_add_test(tests, test_two_threads_that_free_a_block_at_once_end_by_a_message);
    tcase_add_test(tests, test_a_block_that_moves_keeps_its_stack_whoever_takes_its_place);
    tcase_add_test(tests, test_counted_blocks_and_buffers_are_followed_to_the_last_release);
    tcase_add_test(tests, test_a_slab_has_the_bits_of_its_sampled_blocks_and_no_others);
    tcase_add_test(tests, test_aligned_and_zeroed_blocks_are_sampled);
    tcase_add_test(tests, test_stacks_sum_to_the_totals_and_to_the_peak);
    tcase_add_test(tests, test_pinned_space_is_what_live_blocks_keep_from_others);
    tcase_add_test(tests, test_a_forked_child_goes_on);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

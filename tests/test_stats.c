/*
 * test_stats.c: what qyi_stats_collect counts.
 *
 * The numbers are compared with a shadow: what the test itself allocated, by size class, on top of what was there before.
 */
#include "unit.h"

#include "alloc.h"
#include "os.h"
#include "reclaim.h"
#include "stats.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

static struct qyi_stats before;
static struct qyi_stats now;

static void setup(void)
{
    ck_assert(qyi_start());
    qyi_free(qyi_malloc(1)); /* the thread has its heap */
    qyi_stats_collect(&before);
}

static size_t states(const struct qyi_stats *stats)
{
    return stats->live + stats->free_in_slabs + stats->cached + stats->dirty + stats->clean + stats->metadata;
}

static void check_sums(const struct qyi_stats *stats)
{
    ck_assert_uint_eq(states(stats), stats->mapped);
    ck_assert_uint_le(stats->large_live, stats->live);
    ck_assert_uint_le(stats->freed_in_slabs, stats->free_in_slabs);
    size_t slabs_bytes = 0;
    size_t live = stats->large_live;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        live += row->live * qyi_classes[class].bytes;
        slabs_bytes += row->slabs * qyi_classes[class].granule_count * (size_t)QYI_GRANULE_BYTES;
        ck_assert_uint_le(row->freed, row->free);
    }
    ck_assert_uint_le(stats->live, live);
    ck_assert_uint_le(slabs_bytes, stats->mapped);
}

/* In a process that stands still, a class's blocks are exactly accounted for. */
static void check_blocks(const struct qyi_stats *stats)
{
    check_sums(stats);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        ck_assert_uint_eq(row->live + row->cached + row->free, row->slabs * qyi_classes[class].block_count);
    }
}

static void collect(void)
{
    qyi_stats_collect(&now);
    check_blocks(&now);
}

static size_t live_more(unsigned class)
{
    return now.classes[class].live - before.classes[class].live;
}

/* ---- numbers ---- */

START_TEST(test_states_sum_to_mapped_from_the_start)
{
    check_blocks(&before);
    ck_assert_uint_gt(before.mapped, 0);
    ck_assert_uint_gt(before.metadata, 0);
    ck_assert_uint_ge(before.heaps, 2); /* this thread's, and the orphans' */
}
END_TEST

enum { SHADOW_BLOCKS = 2000 };

static unsigned random_below(unsigned n)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

START_TEST(test_live_blocks_are_those_of_the_shadow)
{
    static struct {
        void *p;
        size_t bytes;
    } blocks[SHADOW_BLOCKS];
    size_t live[QYI_CLASS_COUNT] = {0};
    uint64_t calls[QYI_CLASS_COUNT] = {0};
    size_t large = 0;
    size_t large_bytes = 0;
    uint64_t large_calls = 0;
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            const unsigned place = random_below(SHADOW_BLOCKS);
            const size_t bytes = blocks[place].bytes;
            qyi_free(blocks[place].p);
            if (bytes > QYI_SMALL_BYTES) {
                large--;
                large_bytes -= qyi_align_up(bytes, qyi_os_page_bytes);
            } else if (bytes != 0) {
                live[qyi_class_of(bytes)]--;
            }
            /* all sizes, in every order of magnitude; now and then a large one, now and then nothing */
            size_t wanted = random_below(20) == 0 ? 0 : 1 + random_below(1u << (4 + random_below(15)));
            blocks[place].p = wanted == 0 ? NULL : qyi_malloc(wanted);
            if (wanted <= QYI_SMALL_BYTES)
                wanted =
                    qyi_usable_size(blocks[place].p, "test"); /* the first few of a size may be of a larger class */
            blocks[place].bytes = wanted;
            if (wanted > QYI_SMALL_BYTES) {
                large++;
                large_calls++;
                large_bytes += qyi_align_up(wanted, qyi_os_page_bytes);
            } else if (wanted != 0) {
                live[qyi_class_of(wanted)]++;
                calls[qyi_class_of(wanted)]++;
            }
        }
        collect();
        for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
            ck_assert_uint_eq(live_more(class), live[class]);
            ck_assert_uint_eq(now.classes[class].calls - before.classes[class].calls, calls[class]);
        }
        ck_assert_uint_eq(now.large_count - before.large_count, large);
        ck_assert_uint_eq(now.large_live - before.large_live, large_bytes);
        ck_assert_uint_eq(now.large_calls - before.large_calls, large_calls);
    }
    ck_assert_uint_gt(large_calls, 0);
    ck_assert_uint_gt(now.refills, before.refills);
    for (unsigned i = 0; i < SHADOW_BLOCKS; i++)
        qyi_free(blocks[i].p);
    collect();
    ck_assert_uint_eq(now.live, before.live);
}
END_TEST

START_TEST(test_freed_blocks_are_cached_until_the_thread_is_idle)
{
    enum { COUNT = 100 };
    const unsigned class = qyi_class_of(200);
    void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(200);
    for (unsigned i = 0; i < COUNT - 1; i++)
        qyi_free(blocks[i]);
    collect();
    ck_assert_uint_eq(live_more(class), 1);
    ck_assert_uint_gt(now.classes[class].cached, 0);
    ck_assert_uint_gt(now.cached, 0);
    qyi_reclaim_thread();
    collect();
    ck_assert_uint_eq(live_more(class), 1);
    ck_assert_uint_eq(now.cached, 0);
    for (unsigned i = 0; i < QYI_CLASS_COUNT; i++)
        ck_assert_uint_eq(now.classes[i].cached, 0);
    ck_assert_uint_ge(now.classes[class].freed, COUNT - 1);
    ck_assert_uint_ge(now.freed_in_slabs, (COUNT - 1) * qyi_classes[class].bytes);
    qyi_free(blocks[COUNT - 1]);
}
END_TEST

START_TEST(test_flushes_are_counted)
{
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(64);
    for (unsigned i = 0; i < COUNT; i++)
        qyi_free(blocks[i]);
    collect();
    ck_assert_uint_gt(now.flushes, before.flushes);
    ck_assert_uint_eq(live_more(qyi_class_of(64)), 0);
}
END_TEST

START_TEST(test_large_blocks_follow_realloc)
{
    char *p = qyi_malloc(3 * QYI_MIB);
    collect();
    ck_assert_uint_eq(now.large_count - before.large_count, 1);
    ck_assert_uint_eq(now.large_live - before.large_live, 3 * QYI_MIB);
    p = qyi_realloc(p, 9 * QYI_MIB + 1);
    collect();
    ck_assert_uint_eq(now.large_count - before.large_count, 1);
    ck_assert_uint_eq(now.large_live - before.large_live, 9 * QYI_MIB + qyi_os_page_bytes);
    p = qyi_realloc(p, QYI_MIB);
    collect();
    ck_assert_uint_eq(now.large_live - before.large_live, QYI_MIB);
    qyi_free(p);
    collect();
    ck_assert_uint_eq(now.large_count, before.large_count);
    ck_assert_uint_ge(now.dirty, QYI_MIB);
    qyi_reclaim_all();
    collect();
    ck_assert_uint_eq(now.dirty, 0);
    ck_assert_uint_ge(now.purged_bytes, before.purged_bytes + QYI_MIB);
}
END_TEST

/* A thread that frees some of our blocks, and then stays until it is told to go. */
struct helper {
    void **blocks;
    unsigned count;
    pthread_barrier_t freed, seen;
};

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    for (unsigned i = 0; i < helper->count; i++)
        qyi_free(helper->blocks[i]);
    pthread_barrier_wait(&helper->freed);
    pthread_barrier_wait(&helper->seen);
    return NULL;
}

static void free_in_another_thread(unsigned count)
{
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    const unsigned class = qyi_class_of(48);
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(48);
    struct helper helper = {.blocks = blocks, .count = count};
    pthread_barrier_init(&helper.freed, NULL, 2);
    pthread_barrier_init(&helper.seen, NULL, 2);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, helper_main, &helper), 0);
    pthread_barrier_wait(&helper.freed);
    collect(); /* some are in the thread's buffer still */
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_eq(now.remote_frees - before.remote_frees, count);
    pthread_barrier_wait(&helper.seen);
    pthread_join(thread, NULL);
    collect(); /* all are announced; nobody has collected them */
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_ge(now.classes[class].cached, count);
    ck_assert_uint_eq(now.remote_frees - before.remote_frees, count); /* an ended thread's counters are kept */
    qyi_reclaim_all();
    collect();
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_eq(now.cached, 0);
    for (unsigned i = count; i < COUNT; i++)
        qyi_free(blocks[i]);
}

START_TEST(test_blocks_freed_by_others_are_not_live)
{
    free_in_another_thread(2900);
}
END_TEST

START_TEST(test_blocks_in_a_remote_buffer_are_not_live)
{
    free_in_another_thread(5);
}
END_TEST

static void *allocate_and_leave(void *blocks)
{
    for (unsigned i = 0; i < 500; i++)
        ((void **)blocks)[i] = qyi_malloc(300);
    return NULL;
}

START_TEST(test_ended_threads_leave_their_calls_and_blocks)
{
    static void *blocks[500];
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_and_leave, blocks), 0);
    pthread_join(thread, NULL);
    const unsigned class = qyi_class_of(300);
    collect();
    ck_assert_uint_eq(live_more(class), 500);
    ck_assert_uint_eq(now.classes[class].calls - before.classes[class].calls, 500);
    ck_assert_uint_gt(now.refills, before.refills);
    for (unsigned i = 0; i < 500; i++)
        qyi_free(blocks[i]);
}
END_TEST

START_TEST(test_a_lock_that_nobody_releases_does_not_stop_the_count)
{
    void *blocks[50];
    for (unsigned i = 0; i < 50; i++)
        blocks[i] = qyi_malloc(100);
    struct qyi_lock *lock = &qyi_my_magazines()->heap->lock;
    qyi_lock(lock); /* as in the child of a process whose thread stood in a slow path */
    collect();
    qyi_unlock(lock);
    ck_assert_uint_eq(live_more(qyi_class_of(100)), 50);
    for (unsigned i = 0; i < 50; i++)
        qyi_free(blocks[i]);
}
END_TEST

static _Atomic bool churn_on;

static void *churn(void *unused)
{
    (void)unused;
    enum { COUNT = 300 };
    void *blocks[COUNT] = {0};
    uint64_t state = (uintptr_t)&blocks;
    while (atomic_load_explicit(&churn_on, memory_order_relaxed)) {
        for (unsigned i = 0; i < COUNT; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            qyi_free(blocks[i]);
            blocks[i] = qyi_malloc((size_t)1 << (4 + (state >> 60)));
        }
    }
    for (unsigned i = 0; i < COUNT; i++)
        qyi_free(blocks[i]);
    return NULL;
}

START_TEST(test_states_sum_to_mapped_while_others_allocate)
{
    pthread_t threads[3];
    atomic_store(&churn_on, true);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (unsigned i = 0; i < 200; i++) {
        qyi_stats_collect(&now);
        check_sums(&now);
        sched_yield();
    }
    atomic_store(&churn_on, false);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    collect();
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        ck_assert_uint_eq(live_more(class), 0);
}
END_TEST

START_TEST(test_resident_memory_is_told_apart)
{
    const size_t bytes = 32 * QYI_MIB;
    errno = EDOM;
    qyi_stats_measure(&before);
    ck_assert_int_eq(errno, EDOM);
    if (before.resident == 0)
        return; /* no /proc here */
    ck_assert_uint_le(before.resident_ours, before.resident);
    ck_assert_uint_le(before.resident, before.resident_peak);
    char *ours = qyi_malloc(bytes);
    char *not_ours = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(not_ours, MAP_FAILED);
    memset(ours, 1, bytes);
    memset(not_ours, 1, 2 * bytes);
    qyi_stats_measure(&now);
    ck_assert_uint_ge(now.resident, before.resident + 3 * bytes - 4 * QYI_MIB);
    ck_assert_uint_ge(now.resident_ours, before.resident_ours + bytes);
    ck_assert_uint_le(now.resident_ours, before.resident_ours + bytes + 4 * QYI_MIB);
    qyi_free(ours);
    munmap(not_ours, 2 * bytes);
    qyi_reclaim_all();
    qyi_stats_measure(&now);
    ck_assert_uint_le(now.resident_ours, before.resident_ours + 4 * QYI_MIB);
    ck_assert_uint_ge(now.resident_peak, now.resident + bytes);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *tests = tcase_create("numbers");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_states_sum_to_mapped_from_the_start);
    tcase_add_test(tests, test_live_blocks_are_those_of_the_shadow);
    tcase_add_test(tests, test_freed_blocks_are_cached_until_the_thread_is_idle);
    tcase_add_test(tests, test_flushes_are_counted);
    tcase_add_test(tests, test_large_blocks_follow_realloc);
    tcase_add_test(tests, test_blocks_freed_by_others_are_not_live);
    tcase_add_test(tests, test_blocks_in_a_remote_buffer_are_not_live);
    tcase_add_test(tests, test_ended_threads_leave_their_calls_and_blocks);
    tcase_add_test(tests, test_a_lock_that_nobody_releases_does_not_stop_the_count);
    tcase_add_test(tests, test_states_sum_to_mapped_while_others_allocate);
    tcase_add_test(tests, test_resident_memory_is_told_apart);
    return unit_run(suite);
}

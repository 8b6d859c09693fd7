/*
 * test_numbers.c: the numbers that are always there: by thread, of pools, the past, the map, and where they are found from outside.
 *
 * What is counted is compared with a shadow that the test keeps itself.
 */
#define _GNU_SOURCE 1

#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit.h"

#include "quarry/arena.h"
#include "quarry/pool.h"

#include "alloc.h"
#include "history.h"
#include "map.h"
#include "os.h"
#include "reclaim.h"
#include "root.h"
#include "stats.h"

static struct qyi_stats before;
static struct qyi_stats now;

static void setup(void)
{
    (void)unit_attach();
    qyi_free(qyi_malloc(1));
    qyi_stats_collect(&before);
}

static void check_states(const struct qyi_stats *stats)
{
    require(stats->live + stats->free_in_slabs + stats->cached + stats->dirty + stats->clean + stats->metadata ==
            stats->mapped);
}

/* ---- a shadow count, by threads that free each other's blocks ---- */

enum { THREADS = 4, SLOTS = 512, LARGE_EVERY = 300 };

static struct slot {
    _Atomic uintptr_t block; /* or 0 */
} slots[SLOTS];

static struct shadow {
    _Atomic long live[QYI_CLASS_COUNT];
    _Atomic uint64_t calls[QYI_CLASS_COUNT];
    _Atomic long large, large_bytes;
} shadow;

/* A block says its size in its first bytes. Its class may be a larger one than that size's. */
static void note(const size_t *block, long sign)
{
    const size_t bytes = *block;
    if (bytes <= QYI_SMALL_BYTES) {
        const unsigned class = qyi_class_of(qyi_usable_size(block, "note"));
        shadow.live[class] += sign;
        if (sign > 0)
            shadow.calls[class]++;
        return;
    }
    shadow.large += sign;
    shadow.large_bytes += sign * (long)qyi_align_up(bytes, qyi_os_page_bytes);
}

static pthread_barrier_t barrier;

static void *exchange_blocks(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    const unsigned rounds = unit_rounds(30000);
    for (unsigned round = 0; round < rounds; round++) {
        const size_t bytes = round % LARGE_EVERY == 0
                                 ? QYI_SMALL_BYTES + 1 + unit_below(&state, 200000)
                                 : sizeof(size_t) + unit_below(&state, (size_t)8 << unit_below(&state, 10));
        size_t *block = qyi_malloc(bytes);
        require(block != NULL);
        *block = bytes;
        note(block, 1);
        size_t *other = (size_t *)atomic_exchange(&slots[unit_below(&state, SLOTS)].block, (uintptr_t)block);
        if (other != NULL) {
            note(other, -1);
            qyi_free(other);
        }
    }
    pthread_barrier_wait(&barrier); /* done */
    pthread_barrier_wait(&barrier); /* counted */
    return NULL;
}

static void compare_with_shadow(void)
{
    size_t live = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const size_t blocks = now.classes[class].live - before.classes[class].live;
        require(blocks == (size_t)shadow.live[class]);
        require(now.classes[class].calls - before.classes[class].calls == shadow.calls[class]);
        live += blocks * qyi_classes[class].bytes;
    }
    require(now.large_count - before.large_count == (size_t)shadow.large);
    require(now.large_live - before.large_live == (size_t)shadow.large_bytes);
    require(now.live - before.live == live + (size_t)shadow.large_bytes);
}

static void start_exchange(pthread_t *threads)
{
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, exchange_blocks, (void *)(i + 1)) == 0);
}

static void end_exchange(const pthread_t *threads)
{
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < THREADS; i++)
        require(pthread_join(threads[i], NULL) == 0);
}

START_TEST(test_live_equals_a_shadow_count_of_threads_that_free_each_others_blocks)
{
    pthread_t threads[THREADS];
    start_exchange(threads);
    pthread_barrier_wait(&barrier);
    qyi_stats_collect(&now);
    check_states(&now);
    compare_with_shadow();
    require(now.remote_frees > before.remote_frees);
    end_exchange(threads);
    qyi_stats_collect(&now);
    compare_with_shadow();
}
END_TEST

static size_t sum_rows(struct qyi_stats_thread *rows, uint32_t at_once, uint32_t *heaps)
{
    size_t live = 0;
    uint32_t got;
    *heaps = 0;
    do {
        got = qyi_stats_threads(rows, *heaps + 1, at_once);
        for (uint32_t i = 0; i < got; i++) {
            require(rows[i].heap == *heaps + i + 1);
            require(rows[i].live <= rows[i].slab_bytes);
            live += rows[i].live;
        }
        *heaps += got;
    } while (got == at_once);
    return live;
}

START_TEST(test_rows_of_heaps_sum_to_the_whole)
{
    struct qyi_stats_thread rows[64];
    pthread_t threads[THREADS];
    uint32_t heaps;
    start_exchange(threads);
    pthread_barrier_wait(&barrier);
    qyi_stats_collect(&now);
    require(sum_rows(rows, 64, &heaps) == now.live - now.large_live);
    require(heaps == now.heaps);
    size_t cached = 0;
    size_t slabs = 0;
    size_t slabs_now = 0;
    for (uint32_t i = 0; i < heaps; i++) {
        cached += rows[i].cached_bytes;
        slabs += rows[i].slabs;
    }
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        slabs_now += now.classes[class].slabs;
    require(slabs == slabs_now);
    require(cached <= now.cached); /* which has what owners have not collected, too */
    require(sum_rows(rows, 1, &heaps) == now.live - now.large_live);
    require(sum_rows(rows, 2, &heaps) == now.live - now.large_live);
    end_exchange(threads);
}
END_TEST

START_TEST(test_states_sum_to_mapped_while_threads_run)
{
    static struct qyi_stats_thread rows[64];
    pthread_t threads[THREADS];
    uint32_t heaps;
    start_exchange(threads);
    for (unsigned i = 0; i < unit_rounds(200); i++) {
        qyi_stats_collect(&now);
        check_states(&now);
        (void)sum_rows(rows, 64, &heaps);
    }
    pthread_barrier_wait(&barrier);
    end_exchange(threads);
}
END_TEST

static void *describe_self(void *result)
{
    struct qyi_stats_thread *row = result;
    qyi_free(qyi_malloc(100));
    require(qyi_stats_threads(row, qyi_my_magazines()->heap->id, 1) == 1);
    require(row->tid == (uint32_t)syscall(SYS_gettid));
    require(row->state == QYI_HEAP_RUNNING && row->calls >= 1 && row->slabs >= 1 && row->cached_bytes > 0);
    return NULL;
}

START_TEST(test_a_row_tells_of_its_thread)
{
    struct qyi_stats_thread row;
    unit_in_thread(describe_self, &row);
    require(qyi_stats_threads(&row, row.heap, 1) == 1);
    require(row.state == QYI_HEAP_IDLE && row.tid == 0);
    require(qyi_stats_threads(&row, qyi_my_magazines()->heap->id, 1) == 1);
    require(row.state == QYI_HEAP_RUNNING && row.tid == 0); /* the first thread: the pid */
    require(qyi_stats_threads(&row, qyi_common->id, 1) == 1 && row.state == QYI_HEAP_COMMON);
    require(qyi_stats_threads(&row, qyi_heap_count() + 1, 1) == 0 && qyi_stats_threads(&row, 0, 1) == 0);
}
END_TEST

/* ---- pools, purges ---- */

START_TEST(test_pools_are_added_up)
{
    qy_pool *pools[3];
    void *objects[3][10];
    qy_pool_stats sum = {0};
    require(before.pools.pools == 0 && before.pools.objects == 0);
    for (unsigned i = 0; i < 3; i++) {
        const qy_pool_attr attr = {.object_bytes = 100, .initial = i, .flags = i == 2 ? QY_POOL_BUFFERS : 0};
        pools[i] = qy_pool_new(&attr);
        require(pools[i] != NULL);
        for (unsigned j = 0; j < 10; j++)
            objects[i][j] = qy_pool_acquire(pools[i]);
        for (unsigned j = 0; j < 2 + i; j++)
            qy_pool_release(pools[i], objects[i][j]);
        qy_pool_stats stats;
        qy_pool_get_stats(pools[i], &stats);
        sum.created += stats.created;
        sum.in_use += stats.in_use;
        sum.high_water += stats.high_water;
        sum.misses += stats.misses;
    }
    qyi_stats_collect(&now);
    require(now.pools.pools == 3);
    require(now.pools.in_use == 8 + 7 + 6 && now.pools.in_use == sum.in_use);
    require(now.pools.objects == sum.created && now.pools.high_water == sum.high_water &&
            now.pools.misses == sum.misses);
    for (unsigned j = 2; j < 10; j++)
        qy_pool_release(pools[0], objects[0][j]);
    qy_pool_destroy(pools[0]);
    qyi_stats_collect(&now);
    require(now.pools.pools == 2 && now.pools.in_use == 7 + 6);
}
END_TEST

static void *free_it(void *block)
{
    qyi_free(block);
    return NULL;
}

START_TEST(test_drains_are_counted)
{
    unit_in_thread(free_it, qyi_malloc(100));
    qyi_reclaim_all();
    qyi_stats_collect(&now);
    require(now.remote_frees == before.remote_frees + 1 && now.drains > before.drains);
}
END_TEST

START_TEST(test_purges_are_counted)
{
    void *block = qyi_malloc((size_t)4 << 20);
    memset(block, 1, (size_t)4 << 20);
    qyi_free(block);
    require(qyi_reclaim_all() >= (size_t)4 << 20);
    qyi_stats_collect(&now);
    require(now.purges > before.purges && now.purged_bytes - before.purged_bytes >= (size_t)4 << 20);
}
END_TEST

/* ---- the past ---- */

static struct qyi_history_point points[QYI_HISTORY_POINTS];

/* Let it be this time, until a point is there; returns when the next one is due. */
static uint64_t pass_time(uint64_t now_ms)
{
    uint64_t due = qyi_history_step(now_ms);
    for (unsigned i = 0; due <= now_ms + 50 && i < 1000; i++)
        due = qyi_history_step(due);
    return due;
}

static void check_order(unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        require(points[i].time_ms > points[i - 1].time_ms && points[i].calls >= points[i - 1].calls);
}

START_TEST(test_a_short_program_has_no_past)
{
    const uint64_t start = qyi_os_now_ms();
    require(qyi_history_step(start) >= start + 900);
    require(qyi_history_step(start + 500) >= start + 900);
    require(qyi_history_read(points) == 0);
    require(atomic_load(&qyi_history.ring) == NULL);
}
END_TEST

START_TEST(test_a_point_tells_what_is)
{
    void *blocks[100];
    for (unsigned i = 0; i < 100; i++)
        blocks[i] = qyi_malloc(1 + i * 1000);
    (void)qyi_history_step(qyi_os_now_ms());
    pass_time(qyi_history.started_ms + 2000);
    require(qyi_history_read(points) == 1);
    qyi_stats_collect(&now);
    uint64_t calls = now.large_calls;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += now.classes[class].calls;
    require(points[0].time_ms == 2000 && points[0].live == now.live && points[0].calls == calls);
    require(points[0].dirty == now.dirty && points[0].resident == 0);
    require(points[0].mapped <= now.mapped && points[0].mapped + (1 << 20) > now.mapped); /* then the ring was taken */
    for (unsigned i = 0; i < 100; i++)
        qyi_free(blocks[i]);
}
END_TEST

START_TEST(test_the_past_halves_its_resolution_and_stays_ordered)
{
    uint64_t due = qyi_history_step(qyi_os_now_ms());
    const uint64_t start = qyi_history.started_ms;
    unsigned most = 0;
    for (unsigned i = 0; i < 3000; i++) {
        qyi_free(qyi_malloc(64));
        due = pass_time(due);
        const unsigned count = qyi_history_read(points);
        require(count >= 1 && count <= QYI_HISTORY_POINTS);
        require(count >= qyi_min(i + 1, QYI_HISTORY_POINTS / 2));
        check_order(count);
        most = (unsigned)qyi_max(most, count);
        /* all of the past is there */
        require(points[0].time_ms <= 1000 + (due - start) / (QYI_HISTORY_POINTS / 4));
        require(points[count - 1].time_ms + atomic_load(&qyi_history.ring)->interval_ms + 100 >= due - start);
    }
    require(most == QYI_HISTORY_POINTS);
    require(atomic_load(&qyi_history.ring)->interval_ms >= 1000 << 10);
}
END_TEST

START_TEST(test_the_past_keeps_its_peak)
{
    uint64_t due = qyi_history_step(qyi_os_now_ms());
    for (unsigned i = 0; i < 2000; i++) {
        void *block = i == 777 ? qyi_malloc((size_t)50 << 20) : NULL;
        due = pass_time(due);
        qyi_free(block);
    }
    const unsigned count = qyi_history_read(points);
    unsigned peaks = 0;
    for (unsigned i = 0; i < count; i++)
        peaks += points[i].live >= (size_t)50 << 20;
    require(peaks == 1);
}
END_TEST

START_TEST(test_a_large_process_is_looked_at_in_steps)
{
    enum { COUNT = 48 << 10 }; /* 48 MiB in slabs */
    void **blocks = qyi_malloc(COUNT * sizeof *blocks);
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(1024);
    (void)qyi_history_step(qyi_os_now_ms());
    uint64_t time = qyi_history.started_ms + 2000;
    unsigned steps = 0;
    for (; qyi_history_read(points) == 0; steps++) {
        const uint64_t due = qyi_history_step(time);
        require(due > time);
        time = due;
    }
    require(steps > 1 && steps < 20);
    qyi_stats_collect(&now);
    require(points[0].live == now.live && now.live - before.live >= (size_t)COUNT * 1024);
    for (unsigned i = 0; i < COUNT; i++)
        qyi_free(blocks[i]);
    qyi_free(blocks);
}
END_TEST

START_TEST(test_a_ring_whose_writer_is_gone_starts_anew)
{
    uint64_t due = qyi_history_step(qyi_os_now_ms());
    for (unsigned i = 0; i < 10; i++)
        due = pass_time(due);
    struct qyi_history_ring *ring = atomic_load(&qyi_history.ring);
    atomic_fetch_add(&ring->sequence, 1);    /* a thread was at work here, and a fork left it behind */
    require(qyi_history_read(points) == 10); /* as it is */
    pass_time(due);
    require(atomic_load(&ring->sequence) % 2 == 0);
    require(qyi_history_read(points) == 1);
}
END_TEST

START_TEST(test_what_is_read_in_the_middle_of_a_change_is_ordered)
{
    struct qyi_history_ring ring = {.count = 6, .sequence = 1};
    static const uint64_t times[] = {1100, 1200, 1150, 1300, 1300, 1400};
    for (unsigned i = 0; i < 6; i++)
        ring.points[i].time_ms = times[i];
    require(qyi_history_read_ring(&ring, 1000, points) == 4);
    check_order(4);
    require(points[0].time_ms == 100 && points[3].time_ms == 400);
}
END_TEST

static _Atomic bool reading_ends;

static void *read_past(void *unused)
{
    (void)unused;
    static struct qyi_history_point seen[QYI_HISTORY_POINTS];
    while (!reading_ends) {
        const unsigned count = qyi_history_read(seen);
        for (unsigned i = 0; i < count; i++)
            require(seen[i].mapped > 0 && (i == 0 || seen[i].time_ms > seen[i - 1].time_ms));
    }
    return NULL;
}

START_TEST(test_the_past_is_read_while_it_is_written)
{
    pthread_t reader;
    uint64_t due = pass_time(qyi_history_step(qyi_os_now_ms()));
    require(pthread_create(&reader, NULL, read_past, NULL) == 0);
    for (unsigned i = 0; i < unit_rounds(3000); i++)
        due = pass_time(due);
    reading_ends = true;
    require(pthread_join(reader, NULL) == 0);
}
END_TEST

static uint64_t watched[2];

static uint64_t watcher(uint64_t now_ms)
{
    watched[0]++;
    qyi_reclaim_tick_now(NULL); /* by one at a time: not called from within */
    return watched[1] = now_ms + 40;
}

START_TEST(test_the_tick_calls_the_watcher_when_it_is_time)
{
    atomic_store(&qyi_reclaim_watcher, watcher);
    const uint64_t start = qyi_os_now_ms();
    while (qyi_os_now_ms() < start + 100) {
        const uint64_t due = watched[1];
        const uint64_t calls = watched[0];
        qyi_reclaim_tick_now(NULL);
        require(watched[0] == calls || (watched[0] == calls + 1 && qyi_os_now_ms() >= due));
    }
    require(watched[0] >= 1 && watched[0] <= 100);
}
END_TEST

/* ---- the map ---- */

static char granule_character(const void *p)
{
    char frame[QYI_FRAME_GRANULES];
    const uint32_t granule = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT) - qyi_region.first;
    require(granule / QYI_FRAME_GRANULES < qyi_map_frame_count());
    qyi_map_frame(granule / QYI_FRAME_GRANULES, frame);
    return frame[granule % QYI_FRAME_GRANULES];
}

START_TEST(test_the_map_shows_what_granules_are_for)
{
    char *large = qyi_malloc((size_t)3 << 20); /* over a frame */
    require(granule_character(large) == 'L' && granule_character(large + ((size_t)3 << 20) - 1) == 'L');
    memset(large, 1, (size_t)3 << 20);
    qyi_free(large);
    require(granule_character(large) == '~');
    qyi_reclaim_all();
    require(granule_character(large) == '.');
    const qy_pool_attr attr = {.object_bytes = 1000, .flags = QY_POOL_BUFFERS};
    qy_pool *pool = qy_pool_new(&attr);
    void *buffer = qy_pool_acquire(pool);
    require(granule_character(buffer) == 'P');
    qy_pool_release(pool, buffer);
}
END_TEST

START_TEST(test_the_map_shows_how_full_slabs_are)
{
    enum { BYTES = 3000 };
    const unsigned class = qyi_class_of(BYTES);
    const size_t count = qyi_classes[class].block_count;
    void *blocks[64] = {NULL};
    require(count >= 1 && count <= 64);
    for (size_t i = 0; i < count; i++) { /* of the common heap, so nothing stays in this thread's magazines for long */
        blocks[i] = qyi_malloc(BYTES);
        require(unit_slab_of(blocks[i]) == unit_slab_of(blocks[0]));
    }
    require(granule_character(blocks[0]) == '9');
    for (size_t i = 1; i < count; i++) {
        qyi_free(blocks[i]);
        qyi_magazines_flush(qyi_my_magazines());
        require(granule_character(blocks[0]) == (char)('0' + qyi_min(9, (count - i) * 10 / count)));
    }
    qyi_free(blocks[0]);
    for (uint32_t frame = 0; frame < qyi_map_frame_count(); frame++) {
        char characters[QYI_FRAME_GRANULES];
        qyi_map_frame(frame, characters);
        for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++)
            require(memchr("0123456789.~LP", characters[i], 14) != NULL);
    }
}
END_TEST

/* ---- from outside ---- */

START_TEST(test_the_root_fits_itself_and_no_other)
{
    struct qyi_root other = qy_root;
    require(qyi_root_fits(&other, sizeof other) == QYI_ROOT_FITS);
    require(qyi_root_fits(&other, 10) == QYI_ROOT_NONE);
    require(qyi_root_fits(&other, sizeof other - 8) == QYI_ROOT_OTHER_LAYOUT);
    other.heap_bytes += 64;
    require(qyi_root_fits(&other, sizeof other) == QYI_ROOT_OTHER_LAYOUT);
    other.version++;
    require(qyi_root_fits(&other, sizeof other) == QYI_ROOT_OTHER_VERSION);
    other = qy_root;
    other.library_version++;
    require(qyi_root_fits(&other, sizeof other) == QYI_ROOT_OTHER_VERSION);
    other.magic[0] = 'q';
    require(qyi_root_fits(&other, sizeof other) == QYI_ROOT_NONE);
}
END_TEST

START_TEST(test_the_root_leads_to_everything)
{
    require(qy_root.part[QYI_ROOT_REGION]->start == &qyi_region);
    require(qy_root.part[QYI_ROOT_HISTORY]->start == &qyi_history);
    for (unsigned i = 0; i < QYI_ROOT_PART_COUNT; i++)
        require(qy_root.part[i] != NULL && qy_root.part[i]->start != NULL && qy_root.part[i]->bytes >= sizeof(void *));
}
END_TEST

/* ---- */

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("numbers");
    TCase *tests = new_case(suite, "counts");
    tcase_add_test(tests, test_live_equals_a_shadow_count_of_threads_that_free_each_others_blocks);
    tcase_add_test(tests, test_rows_of_heaps_sum_to_the_whole);
    tcase_add_test(tests, test_states_sum_to_mapped_while_threads_run);
    tcase_add_test(tests, test_a_row_tells_of_its_thread);
    tcase_add_test(tests, test_pools_are_added_up);
    tcase_add_test(tests, test_drains_are_counted);
    tcase_add_test(tests, test_purges_are_counted);
    tests = new_case(suite, "history");
    tcase_add_test(tests, test_a_short_program_has_no_past);
    tcase_add_test(tests, test_a_point_tells_what_is);
    tcase_add_test(tests, test_the_past_halves_its_resolution_and_stays_ordered);
    tcase_add_test(tests, test_the_past_keeps_its_peak);
    tcase_add_test(tests, test_a_large_process_is_looked_at_in_steps);
    tcase_add_test(tests, test_a_ring_whose_writer_is_gone_starts_anew);
    tcase_add_test(tests, test_what_is_read_in_the_middle_of_a_change_is_ordered);
    tcase_add_test(tests, test_the_past_is_read_while_it_is_written);
    tcase_add_test(tests, test_the_tick_calls_the_watcher_when_it_is_time);
    tests = new_case(suite, "map");
    tcase_add_test(tests, test_the_map_shows_what_granules_are_for);
    tcase_add_test(tests, test_the_map_shows_how_full_slabs_are);
    tests = new_case(suite, "root");
    tcase_add_test(tests, test_the_root_fits_itself_and_no_other);
    tcase_add_test(tests, test_the_root_leads_to_everything);
    return unit_run(suite);
}

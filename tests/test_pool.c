/*
 * test_pool.c: pools of objects and of buffers: limits, callbacks, threads' caches, waiting, the end of threads and of pools.
 */
#include "unit.h"

#include "quarry/pool.h"

#include "alloc.h"
#include "os.h"
#include "pool.h"
#include "reclaim.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a kind of object that counts what happens to it ---- */

static _Atomic int made, reset_count, destroyed;
static _Atomic int failures_left; /* of the factory */

struct thing {
    int state; /* 1: made or reset, 2: in use */
    char rest[60];
};

static int make_thing(void *object, void *context)
{
    require(context == &made);
    if (atomic_load(&failures_left) > 0) {
        atomic_fetch_sub(&failures_left, 1);
        return EPROTO;
    }
    ((struct thing *)object)->state = 1;
    atomic_fetch_add(&made, 1);
    return 0;
}

static void reset_thing(void *object, void *context)
{
    require(context == &made);
    require(((struct thing *)object)->state != 0);
    ((struct thing *)object)->state = 1;
    atomic_fetch_add(&reset_count, 1);
}

static void destroy_thing(void *object, void *context)
{
    require(context == &made);
    require(((struct thing *)object)->state == 1);
    ((struct thing *)object)->state = 0;
    atomic_fetch_add(&destroyed, 1);
}

static qy_pool_attr things(void)
{
    return (qy_pool_attr){.object_bytes = sizeof(struct thing),
                          .construct = make_thing,
                          .reset = reset_thing,
                          .destruct = destroy_thing,
                          .context = &made};
}

static qy_pool *new_pool(qy_pool_attr attr)
{
    qy_pool *pool = qy_pool_new(&attr);
    require(pool != NULL);
    return pool;
}

static struct thing *acquire(qy_pool *pool)
{
    struct thing *thing = qy_pool_try_acquire(pool);
    require(thing != NULL && thing->state == 1);
    thing->state = 2;
    return thing;
}

static qy_pool_stats stats_of(qy_pool *pool)
{
    qy_pool_stats stats;
    qy_pool_get_stats(pool, &stats);
    require(stats.in_use + stats.idle == stats.created);
    require(stats.high_water >= stats.in_use);
    return stats;
}

/* Nothing is left of pools and objects but what the thread keeps for its caches. */
static void check_nothing_is_left(void)
{
    require(atomic_load(&made) == atomic_load(&destroyed));
    qyi_reclaim_all();
    unit_check_runs();
}

/* ---- one thread ---- */

START_TEST(test_an_object_comes_back_to_who_released_it_last)
{
    qy_pool *pool = new_pool(things());
    struct thing *first = acquire(pool);
    qy_pool_release(pool, first);
    ck_assert_int_eq(first->state, 1);
    ck_assert_ptr_eq(acquire(pool), first);
    qy_pool_release(pool, first);
    ck_assert_int_eq(made, 1);
    ck_assert_int_eq(reset_count, 2);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_objects_have_cache_lines_for_themselves)
{
    static const size_t sizes[] = {1, 63, 64, 65, 100, 1000, 5000, 65536, 70000, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned flags = 0; flags <= QY_POOL_BUFFERS; flags += QY_POOL_BUFFERS) {
            enum { COUNT = 40 };
            void *objects[COUNT];
            qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = sizes[i], .flags = flags});
            for (unsigned j = 0; j < COUNT; j++) {
                objects[j] = qy_pool_acquire(pool);
                require(objects[j] != NULL && (uintptr_t)objects[j] % 64 == 0);
                memset(objects[j], (int)j, sizes[i]);
            }
            for (unsigned j = 0; j < COUNT; j++) {
                const unsigned char *bytes = objects[j];
                require(bytes[0] == j && bytes[sizes[i] - 1] == j);
                require(qy_capacity(objects[j]) % 64 == 0);
                require(qy_base(bytes + sizes[i] - 1) == bytes);
                qy_pool_release(pool, objects[j]);
            }
            qy_pool_destroy(pool);
        }
    }
    check_nothing_is_left();
    ck_assert_uint_eq(unit_used_bytes() % QYI_GRANULE_BYTES, 0);
}
END_TEST

START_TEST(test_alignment_is_kept)
{
    for (size_t align = 1; align <= 65536; align *= 2) {
        for (unsigned flags = 0; flags <= QY_POOL_BUFFERS; flags += QY_POOL_BUFFERS) {
            void *objects[20];
            qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 200, .align = align, .flags = flags});
            ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 20), 20);
            for (unsigned i = 0; i < 20; i++)
                require((uintptr_t)objects[i] % align == 0);
            qy_pool_release_bulk(pool, objects, 20);
            qy_pool_destroy(pool);
        }
    }
}
END_TEST

START_TEST(test_nonsense_is_einval)
{
    qy_pool_attr attr[] = {
        {.object_bytes = 0},
        {.object_bytes = (size_t)1 << 32},
        {.object_bytes = 8, .align = 3},
        {.object_bytes = 8, .align = 1 << 17},
        {.object_bytes = 8, .flags = 64},
        {.object_bytes = 8, .initial = 3, .max_objects = 2},
        {.object_bytes = 8, .initial = 3, .max_idle = 2},
    };
    for (size_t i = 0; i < sizeof attr / sizeof attr[0]; i++) {
        errno = 0;
        ck_assert_ptr_null(qy_pool_new(&attr[i]));
        ck_assert_int_eq(errno, EINVAL);
    }
    qy_pool_destroy(NULL);
}
END_TEST

START_TEST(test_success_keeps_errno)
{
    qy_pool_attr attr = things();
    attr.initial = 3;
    errno = 77;
    qy_pool *pool = new_pool(attr);
    void *objects[100];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 100), 100);
    qy_pool_release_bulk(pool, objects, 100);
    qy_pool_trim(pool, 0);
    qy_pool_release(pool, qy_pool_acquire(pool));
    qy_pool_release(pool, NULL);
    qy_pool_destroy(pool);
    ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(test_initial_objects_are_there_at_once)
{
    qy_pool_attr attr = things();
    attr.initial = 10;
    qy_pool *pool = new_pool(attr);
    ck_assert_int_eq(made, 10);
    ck_assert_uint_eq(stats_of(pool).idle, 10);
    struct thing *all[10];
    for (unsigned i = 0; i < 10; i++)
        all[i] = acquire(pool);
    ck_assert_int_eq(made, 10);
    ck_assert_uint_eq(stats_of(pool).misses, 0);
    for (unsigned i = 0; i < 10; i++)
        qy_pool_release(pool, all[i]);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_at_the_maximum_try_says_eagain_and_timeout_says_etimedout)
{
    qy_pool_attr attr = things();
    attr.max_objects = 2;
    attr.flags = _i == 0 ? 0 : QY_POOL_NO_CACHE;
    qy_pool *pool = new_pool(attr);
    struct thing *first = acquire(pool);
    struct thing *second = acquire(pool);
    errno = 0;
    ck_assert_ptr_null(qy_pool_try_acquire(pool));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_ptr_null(qy_pool_acquire_timeout(pool, 0));
    ck_assert_int_eq(errno, ETIMEDOUT);
    const uint64_t before = qyi_os_now_ms();
    errno = 0;
    ck_assert_ptr_null(qy_pool_acquire_timeout(pool, 30));
    ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_uint_ge(qyi_os_now_ms() - before, 20);
    ck_assert_uint_eq(stats_of(pool).waits, 1);
    qy_pool_release(pool, first);
    ck_assert_ptr_eq(acquire(pool), first);
    qy_pool_release(pool, first);
    qy_pool_release(pool, second);
    ck_assert_int_eq(made, 2);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_factory_that_fails_is_reported_and_nothing_is_lost)
{
    qy_pool_attr attr = things();
    attr.max_objects = 3;
    attr.flags = _i == 0 ? 0 : QY_POOL_BUFFERS;
    qy_pool *pool = new_pool(attr);
    failures_left = 5;
    for (unsigned i = 0; i < 5; i++) {
        errno = 0;
        ck_assert_ptr_null(qy_pool_acquire(pool));
        ck_assert_int_eq(errno, EPROTO);
    }
    void *objects[4];
    failures_left = 0;
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 4), 3);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(stats_of(pool).created, 3);
    qy_pool_release_bulk(pool, objects, 3);
    qy_pool_destroy(pool);
    failures_left = 1;
    attr.initial = 2;
    ck_assert_ptr_null(qy_pool_new(&attr));
    ck_assert_int_eq(errno, EPROTO);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_bulk_says_how_many_there_are)
{
    qy_pool_attr attr = things();
    attr.max_objects = 100;
    qy_pool *pool = new_pool(attr);
    void *objects[120];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 0), 0);
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 120), 100);
    ck_assert_int_eq(errno, EAGAIN);
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned j = 0; j < i; j++)
            require(objects[i] != objects[j]);
    }
    qy_pool_release_bulk(pool, objects, 100);
    ck_assert_int_eq(reset_count, 100);
    ck_assert_uint_eq(stats_of(pool).idle, 100);
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 70), 70);
    qy_pool_release_bulk(pool, objects, 70);
    ck_assert_int_eq(made, 100);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_no_more_than_max_idle_stay)
{
    qy_pool_attr attr = things();
    attr.max_idle = 5;
    attr.flags = QY_POOL_NO_CACHE;
    qy_pool *pool = new_pool(attr);
    void *objects[40];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 40), 40);
    for (unsigned i = 0; i < 20; i++)
        qy_pool_release(pool, objects[i]);
    ck_assert_uint_eq(stats_of(pool).idle, 5);
    ck_assert_int_eq(destroyed, 15);
    qy_pool_release_bulk(pool, objects + 20, 20);
    ck_assert_uint_eq(stats_of(pool).idle, 5);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_thread_keeps_thread_idle_besides)
{
    qy_pool_attr attr = things();
    attr.max_idle = 5;
    attr.thread_idle = 10;
    qy_pool *pool = new_pool(attr);
    void *objects[40];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 40), 40);
    for (unsigned i = 0; i < 40; i++)
        qy_pool_release(pool, objects[i]);
    ck_assert_uint_le(stats_of(pool).idle, 15);
    ck_assert_uint_ge(stats_of(pool).idle, 5);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_trim_destroys_what_is_idle)
{
    qy_pool *pool = new_pool(things());
    void *objects[200];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 200), 200);
    qy_pool_release_bulk(pool, objects, 150);
    ck_assert_uint_eq(qy_pool_trim(pool, 100), 50);
    ck_assert_uint_eq(stats_of(pool).idle, 100);
    ck_assert_uint_eq(qy_pool_trim(pool, 0), 100);
    ck_assert_uint_eq(qy_pool_trim(pool, 0), 0);
    ck_assert_uint_eq(stats_of(pool).created, 50);
    ck_assert_int_eq(destroyed, 150);
    qy_pool_release_bulk(pool, objects + 150, 50);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_detached_object_is_the_callers_to_free)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    struct thing *thing = acquire(pool);
    ck_assert_ptr_eq(qy_pool_detach(pool, thing), thing);
    struct thing *other = acquire(pool); /* its place is free */
    qy_pool_release(pool, other);
    qy_pool_destroy(pool);
    ck_assert_int_eq(thing->state, 2);
    qy_free(thing);
    ck_assert_int_eq(destroyed, 1);
}
END_TEST

START_TEST(test_the_numbers_are_right)
{
    qy_pool *pool = new_pool(things());
    void *objects[30];
    for (unsigned i = 0; i < 30; i++)
        objects[i] = acquire(pool);
    qy_pool_stats stats = stats_of(pool);
    ck_assert_uint_eq(stats.in_use, 30);
    ck_assert_uint_eq(stats.misses, 30);
    ck_assert_uint_eq(stats.high_water, 30);
    for (unsigned i = 0; i < 30; i++)
        qy_pool_release(pool, objects[i]);
    for (unsigned i = 0; i < 10; i++)
        objects[i] = acquire(pool);
    stats = stats_of(pool);
    ck_assert_uint_eq(stats.in_use, 10);
    ck_assert_uint_eq(stats.idle, 20);
    ck_assert_uint_eq(stats.high_water, 30);
    ck_assert_uint_eq(stats.misses, 30);
    for (unsigned i = 0; i < 10; i++)
        qy_pool_release(pool, objects[i]);
    qy_pool_destroy(pool);
    /* The high water is not what was made in advance, nor what a thread takes for later. */
    qy_pool_attr attr = things();
    attr.initial = 100;
    pool = new_pool(attr);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 7; i++)
            objects[i] = acquire(pool);
        for (unsigned i = 0; i < 7; i++)
            qy_pool_release(pool, objects[i]);
    }
    ck_assert_uint_eq(stats_of(pool).high_water, 7);
    ck_assert_uint_eq(stats_of(pool).misses, 0);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_pool_lives_until_the_last_object_is_back)
{
    qy_pool_attr attr = things();
    attr.flags = _i == 0 ? 0 : QY_POOL_BUFFERS;
    qy_pool *pool = new_pool(attr);
    struct thing *objects[100];
    for (unsigned i = 0; i < 100; i++)
        objects[i] = acquire(pool);
    for (unsigned i = 0; i < 50; i++)
        qy_pool_release(pool, objects[i]);
    qy_pool_destroy(pool);
    ck_assert_int_eq(destroyed, 50);
    for (unsigned i = 50; i < 100; i++) {
        ck_assert_int_eq(objects[i]->state, 2);
        qy_pool_release(pool, objects[i]);
        ck_assert_int_eq(destroyed, (int)i + 1);
    }
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_later_pool_is_not_mistaken_for_an_earlier_one)
{
    enum { POOLS = 100 };
    for (unsigned round = 0; round < POOLS; round++) {
        qy_pool_attr attr = things();
        attr.object_bytes = 64 + 64 * (round % 3);
        qy_pool *pool = new_pool(attr);
        const int before = made;
        void *object = acquire(pool);
        require(made == before + 1);
        require(qy_usable_size(object) >= attr.object_bytes);
        qy_pool_release(pool, object);
        qy_pool_destroy(pool);
        require(made == destroyed);
    }
    check_nothing_is_left();
}
END_TEST

START_TEST(test_a_thread_may_use_more_pools_than_it_has_slots_for)
{
    enum { POOLS = 50 };
    qy_pool *pools[POOLS];
    struct thing *first[POOLS];
    for (unsigned i = 0; i < POOLS; i++) {
        pools[i] = new_pool(things());
        first[i] = acquire(pools[i]);
        qy_pool_release(pools[i], first[i]);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < POOLS; i++) {
            require(acquire(pools[i]) == first[i]);
            qy_pool_release(pools[i], first[i]);
        }
    }
    ck_assert_int_eq(made, POOLS);
    for (unsigned i = 0; i < POOLS; i++)
        qy_pool_destroy(pools[i]);
    check_nothing_is_left();
}
END_TEST

static int leave_early(qy_pool *pool, bool early)
{
    QY_POOL_SCOPED(struct thing, thing, pool);
    require(thing != NULL && stats_of(pool).in_use == 1);
    thing->state = 2;
    if (early)
        return 1;
    {
        QY_POOL_SCOPED(struct thing, other, pool);
        require(other != thing && stats_of(pool).in_use == 2);
    }
    require(stats_of(pool).in_use == 1);
    return 2;
}

START_TEST(test_a_scoped_object_returns_at_the_end_of_its_scope)
{
    qy_pool *pool = new_pool(things());
    ck_assert_int_eq(leave_early(pool, true), 1);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    ck_assert_int_eq(leave_early(pool, false), 2);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    failures_left = 1;
    qy_pool_trim(pool, 0);
    {
        QY_POOL_SCOPED(struct thing, none, pool);
        ck_assert_ptr_null(none);
    }
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

/* ---- buffers ---- */

START_TEST(test_a_buffer_comes_back_at_its_last_release)
{
    qy_pool_attr attr = things();
    attr.object_bytes = 1000;
    attr.flags = QY_POOL_BUFFERS;
    qy_pool *pool = new_pool(attr);
    qy_slice slice = qy_pool_acquire_slice(pool);
    ck_assert_uint_eq(slice.iov_len, 1000);
    ck_assert(qy_is_unique(slice.iov_base));
    void *p = slice.iov_base;
    qy_slice part = qy_slice_sub(slice, 500, 100);
    ck_assert_uint_eq(qy_refcount(p), 2);
    ck_assert_ptr_eq(qy_base((char *)p + 999), p);
    qy_slice_drop(&slice);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    ck_assert_int_eq(reset_count, 0);
    qy_slice_drop(&part);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    ck_assert_int_eq(reset_count, 1);
    /* by plain free, and by free of a block that has other owners */
    slice = qy_pool_acquire_slice(pool);
    ck_assert_ptr_eq(slice.iov_base, p);
    part = qy_slice_clone(slice);
    qy_free(p);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    qy_free(p);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    /* by pool functions */
    p = qy_pool_acquire(pool);
    ck_assert_int_eq(qy_retain_n(p, 4), 0);
    ck_assert_int_eq(qy_release_n(p, 3), 0);
    qy_pool_release(pool, p);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    ck_assert_int_eq(qy_release_n((char *)p + 17, 1), 0);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_every_byte_of_a_buffer_finds_its_count)
{
    static const size_t sizes[] = {64, 192, 320, 1000, 1024, 5000, 8192, 40000, 65536, 65600, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum { COUNT = 30 };
        qy_slice slices[COUNT];
        qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = sizes[i], .flags = QY_POOL_BUFFERS});
        ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, COUNT), COUNT);
        for (unsigned j = 0; j < COUNT; j++)
            require(qy_retain_n(slices[j].iov_base, j) == 0);
        for (unsigned j = 0; j < COUNT; j++) {
            char *p = slices[j].iov_base;
            for (size_t offset = 0; offset < sizes[i]; offset += sizes[i] / 50 + 1)
                require(qy_refcount(p + offset) == j + 1 && qy_base(p + offset) == p);
            require(qy_refcount(p + sizes[i] - 1) == j + 1);
        }
        for (unsigned j = 0; j < COUNT; j++)
            require(qy_release_n((char *)slices[j].iov_base + sizes[i] / 2, j) == 0);
        qy_slices_drop(slices, COUNT);
        ck_assert_uint_eq(stats_of(pool).in_use, 0);
        qy_pool_destroy(pool);
    }
}
END_TEST

/* Entries say how far it is to the start of a run only up to a limit. */
START_TEST(test_a_large_buffer_is_found_from_its_end)
{
    enum { BYTES = 150 << 20 };
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = BYTES, .flags = QY_POOL_BUFFERS});
    for (size_t offset = 0; offset < BYTES; offset += BYTES / 9 + 1) {
        qy_slice slice = qy_pool_acquire_slice(pool);
        char *p = slice.iov_base;
        qy_slice part = qy_slice_sub(slice, offset, 1);
        ck_assert_uint_eq(part.iov_len, 1);
        qy_slice_drop(&slice);
        ck_assert_ptr_eq(qy_base(p + offset), p);
        ck_assert_uint_ge(qy_capacity(p + offset), BYTES);
        ck_assert(qy_is_unique(p + offset));
        ck_assert_uint_eq(stats_of(pool).in_use, 1);
        qy_slice_drop(&part);
        ck_assert_uint_eq(stats_of(pool).in_use, 0);
    }
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_what_lies_behind_a_buffer_is_none_of_it)
{
    static const size_t sizes[] = {64, 4096, 24576, 32768, 33 << 10, 65536, 100000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        qy_pool *pool = qy_pool_new(&(qy_pool_attr){.object_bytes = sizes[i], .flags = QY_POOL_BUFFERS});
        qy_slice slice = qy_pool_acquire_slice(pool);
        char *end = (char *)slice.iov_base + qy_capacity(slice.iov_base);
        ck_assert_ptr_ne(qy_base(end), slice.iov_base);
        ck_assert_ptr_eq(qy_base(end - 1), slice.iov_base);
        ck_assert_uint_eq(qy_slice_from(end - 1, 2).iov_len, 0);
        ck_assert_int_eq(errno, ERANGE);
        if (qy_base(end) == NULL) {
            ck_assert_uint_eq(qy_slice_from(end, 1).iov_len, 0);
            ck_assert_int_eq(qy_retain(end), -1);
            ck_assert_int_eq(errno, EINVAL);
        }
        ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
        qy_slice_drop(&slice);
        qy_pool_destroy(pool);
    }
}
END_TEST

START_TEST(test_buffers_suit_slice_functions)
{
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 4096, .flags = QY_POOL_BUFFERS});
    qy_slice slice = qy_pool_acquire_slice(pool);
    memset(slice.iov_base, 'x', 4096);
    qy_slice frames[64];
    ck_assert_int_eq(qy_slice_split_steps(&slice, 64, frames, 64), 64);
    ck_assert_uint_eq(slice.iov_len, 0);
    ck_assert_uint_eq(qy_refcount(frames[0].iov_base), 64);
    ck_assert_int_eq(qy_slice_unsplit(&frames[0], &frames[1]), 0);
    qy_slices_drop(frames, 64);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    /* a block that plain free takes; and realloc, which moves the bytes when they no longer fit */
    slice = qy_pool_acquire_slice(pool);
    memset(slice.iov_base, 'y', 4096);
    char *raw = qy_slice_into_raw(&slice);
    ck_assert_uint_eq(qy_usable_size(raw), 4096);
    ck_assert_ptr_eq(qy_realloc(raw, 4000), raw);
    raw = qy_realloc(raw, 10000);
    ck_assert_int_eq(raw[4095], 'y');
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    qy_free(raw);
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_memory_of_buffers_goes_back)
{
    qyi_reclaim_all();
    const size_t before = unit_used_bytes();
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 2048, .flags = QY_POOL_BUFFERS});
    qy_slice slices[500];
    ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, 500), 500);
    ck_assert_uint_ge(unit_used_bytes(), before + 500 * 2048);
    unit_check_runs();
    qy_slices_drop(slices, 500);
    ck_assert_uint_eq(qy_pool_trim(pool, 0), 500);
    qyi_reclaim_all();
    ck_assert_uint_lt(unit_used_bytes(), before + 500 * 1024);
    ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, 500), 500);
    qy_slices_drop(slices, 500);
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_the_wrong_kind_is_einval)
{
    qy_pool *objects = new_pool(things());
    qy_pool *buffers = new_pool((qy_pool_attr){.object_bytes = 100, .flags = QY_POOL_BUFFERS});
    qy_slice slice;
    errno = 0;
    ck_assert_uint_eq(qy_pool_acquire_slice(objects).iov_len, 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(qy_pool_try_acquire_slice(objects).iov_len, 0);
    ck_assert_uint_eq(qy_pool_acquire_slice_timeout(objects, 1).iov_len, 0);
    ck_assert_uint_eq(qy_pool_acquire_slices(objects, &slice, 1), 0);
    void *buffer = qy_pool_acquire(buffers);
    errno = 0;
    ck_assert_ptr_null(qy_pool_detach(buffers, buffer));
    ck_assert_int_eq(errno, EINVAL);
    qy_pool_release(buffers, buffer);
    qy_pool_destroy(objects);
    qy_pool_destroy(buffers);
}
END_TEST

/* ---- several threads ---- */

static void *use_and_end(void *argument)
{
    void *objects[50];
    require(qy_pool_acquire_bulk(argument, objects, 50) == 50);
    for (unsigned i = 0; i < 50; i++)
        qy_pool_release(argument, objects[i]);
    return NULL;
}

START_TEST(test_a_thread_that_ends_gives_back_what_it_kept)
{
    qy_pool *pool = new_pool(things());
    for (unsigned i = 0; i < 20; i++)
        unit_in_thread(use_and_end, pool);
    ck_assert_int_eq(made, 50);
    ck_assert_uint_eq(stats_of(pool).idle, 50);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

static pthread_key_t late_key;
static qy_pool *late_pool;

static void use_late(void *rounds)
{
    use_and_end(late_pool);
    if ((uintptr_t)rounds > 1)
        pthread_setspecific(late_key, (void *)((uintptr_t)rounds - 1)); /* NOLINT(performance-no-int-to-ptr) */
}

static void *use_and_use_late(void *unused)
{
    pthread_setspecific(late_key, (void *)(uintptr_t)4); /* NOLINT(performance-no-int-to-ptr) */
    use_and_end(late_pool);
    return unused;
}

START_TEST(test_destructors_of_a_thread_may_use_pools)
{
    unit_attach();
    late_pool = new_pool(things());
    unit_in_thread(use_and_end, late_pool);
    require(pthread_key_create(&late_key, use_late) == 0);
    for (unsigned i = 0; i < 10; i++)
        unit_in_thread(use_and_use_late, NULL);
    ck_assert_int_eq(made, 50);
    ck_assert_uint_eq(stats_of(late_pool).idle, 50);
    qy_pool_destroy(late_pool);
    check_nothing_is_left();
}
END_TEST

static _Atomic int step;

static void wait_for_step(int wanted)
{
    while (atomic_load(&step) < wanted)
        sched_yield();
}

/* Keeps in its cache all there is, and sleeps. */
static void *keep_all(void *argument)
{
    qy_pool *pool = argument;
    void *objects[8];
    require(qy_pool_acquire_bulk(pool, objects, 8) == 8);
    qy_pool_release_bulk(pool, objects, 8);
    atomic_store(&step, 1);
    wait_for_step(2);
    qy_pool_release(pool, qy_pool_acquire(pool));
    return NULL;
}

START_TEST(test_what_a_sleeping_thread_keeps_can_be_had)
{
    qy_pool_attr attr = things();
    attr.max_objects = 8;
    attr.thread_idle = 8;
    qy_pool *pool = new_pool(attr);
    pthread_t thread;
    require(pthread_create(&thread, NULL, keep_all, pool) == 0);
    wait_for_step(1);
    void *objects[8];
    for (unsigned i = 0; i < 7; i++)
        objects[i] = _i == 0 ? qy_pool_acquire(pool) : qy_pool_try_acquire(pool);
    ck_assert_int_eq(made, 8);
    ck_assert_uint_eq(stats_of(pool).in_use, 7);
    for (unsigned i = 0; i < 7; i++)
        qy_pool_release(pool, objects[i]);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

static void *acquire_one_and_release(void *argument)
{
    void *object = qy_pool_acquire(argument);
    require(object != NULL);
    atomic_fetch_add(&step, 1);
    qy_pool_release(argument, object);
    return NULL;
}

static void wait_for_waiters(qy_pool *pool, uint64_t count)
{
    while (stats_of(pool).waits < count)
        sched_yield();
}

START_TEST(test_a_release_wakes_who_waits)
{
    enum { WAITERS = 5 };
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    struct thing *thing = acquire(pool);
    pthread_t threads[WAITERS];
    for (unsigned i = 0; i < WAITERS; i++)
        require(pthread_create(&threads[i], NULL, acquire_one_and_release, pool) == 0);
    wait_for_waiters(pool, WAITERS);
    ck_assert_int_eq(step, 0);
    qy_pool_release(pool, thing);
    for (unsigned i = 0; i < WAITERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(step, WAITERS);
    ck_assert_int_eq(made, 1);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_detaching_and_failing_factories_wake_who_waits)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    struct thing *thing = acquire(pool);
    pthread_t thread;
    require(pthread_create(&thread, NULL, acquire_one_and_release, pool) == 0);
    wait_for_waiters(pool, 1);
    qy_free(qy_pool_detach(pool, thing));
    pthread_join(thread, NULL);
    ck_assert_int_eq(step, 1);
    ck_assert_int_eq(made, 2);
    qy_pool_destroy(pool);
}
END_TEST

static void *wait_in_vain(void *argument)
{
    errno = 0;
    require(qy_pool_acquire(argument) == NULL);
    require(errno == ECANCELED);
    return NULL;
}

START_TEST(test_destroying_a_pool_sends_away_who_waits)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    struct thing *thing = acquire(pool);
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        require(pthread_create(&threads[i], NULL, wait_in_vain, pool) == 0);
    wait_for_waiters(pool, 3);
    qy_pool_destroy(pool);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    qy_pool_release(pool, thing);
    check_nothing_is_left();
}
END_TEST

static void *release_all(void *argument)
{
    void **objects = argument;
    for (unsigned i = 1; i <= 100; i++)
        qy_pool_release(objects[0], objects[i]);
    atomic_store(&step, 1);
    wait_for_step(2);
    return NULL;
}

START_TEST(test_caches_of_other_threads_are_emptied_when_a_pool_is_destroyed)
{
    qy_pool *pool = new_pool(things());
    void *objects[101] = {pool};
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects + 1, 100), 100);
    pthread_t thread;
    require(pthread_create(&thread, NULL, release_all, objects) == 0);
    wait_for_step(1);
    ck_assert_uint_eq(stats_of(pool).idle, 100);
    if (_i == 0) {
        ck_assert_uint_eq(qy_pool_trim(pool, 0), 100);
        ck_assert_uint_eq(stats_of(pool).created, 0);
    }
    qy_pool_destroy(pool);
    ck_assert_int_eq(destroyed, 100);
    pool = new_pool(things()); /* perhaps at the same address */
    ck_assert_uint_eq(stats_of(pool).idle, 0);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(stats_of(pool).idle, 0);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

static void *drop_slice(void *slice)
{
    qy_slice_drop(slice);
    return NULL;
}

START_TEST(test_a_buffer_may_be_released_last_by_another_thread)
{
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 100, .flags = QY_POOL_BUFFERS});
    for (unsigned i = 0; i < 30; i++) {
        qy_slice slice = qy_pool_acquire_slice(pool);
        qy_slice clone = qy_slice_clone(slice);
        qy_slice_drop(&slice);
        unit_in_thread(drop_slice, &clone);
    }
    ck_assert_uint_eq(stats_of(pool).created, 1);
    qy_slice slice = qy_pool_acquire_slice(pool);
    qy_pool_destroy(pool);
    memset(slice.iov_base, 1, 100);
    unit_in_thread(drop_slice, &slice); /* frees the pool */
    check_nothing_is_left();
}
END_TEST

static _Atomic bool stop;

/* Plain words in the objects: a tool that sees races sees an object that two have, or one that is handed over without order. */
static void *use_alone(void *argument)
{
    qy_pool *pool = argument;
    size_t *objects[6];
    for (unsigned round = 0; !atomic_load(&stop); round++) {
        size_t got = 0;
        if (round % 4 == 0)
            got = qy_pool_acquire_bulk(pool, (void **)objects, 6);
        else if ((objects[0] = round % 4 == 1 ? qy_pool_acquire(pool) : qy_pool_acquire_timeout(pool, 1)) != NULL)
            got = 1;
        for (size_t i = 0; i < got; i++)
            *objects[i] = (size_t)objects + i;
        for (size_t i = 0; i < got; i++)
            require(*objects[i] == (size_t)objects + i);
        if (round % 3 == 0)
            qy_pool_release_bulk(pool, (void **)objects, got);
        else
            for (size_t i = 0; i < got; i++)
                qy_pool_release(pool, objects[i]);
        if (round % 64 == 63)
            qy_pool_trim(pool, round % 5);
    }
    return NULL;
}

START_TEST(test_threads_never_have_the_same_object)
{
    enum { THREADS = 4 };
    static const size_t maxima[] = {0, 1, 5, 20};
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 100,
                                            .max_objects = maxima[_i / 2],
                                            .max_idle = maxima[_i / 2] / 2,
                                            .flags = _i % 2 == 0 ? 0 : QY_POOL_BUFFERS});
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, use_alone, pool) == 0);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const qy_pool_stats stats = stats_of(pool);
    ck_assert_uint_eq(stats.in_use, 0);
    if (maxima[_i / 2] != 0)
        ck_assert_uint_le(stats.high_water, maxima[_i / 2]);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

/* A thread that takes and gives in a hurry leaves the others their turn. */
static void *take_and_give_in_a_hurry(void *argument)
{
    while (!atomic_load(&stop))
        qy_pool_release(argument, qy_pool_acquire(argument));
    return NULL;
}

START_TEST(test_who_waits_gets_an_object_from_threads_in_a_hurry)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    pthread_t thread;
    require(pthread_create(&thread, NULL, take_and_give_in_a_hurry, pool) == 0);
    for (unsigned i = 0; i < unit_rounds(500); i++) {
        void *object = qy_pool_acquire(pool);
        require(object != NULL);
        qy_pool_release(pool, object);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

static void *acquire_and_hold(void *argument)
{
    void *object = qy_pool_acquire(argument);
    require(object != NULL);
    atomic_store(&step, 1);
    wait_for_step(2);
    qy_pool_release(argument, object);
    return NULL;
}

START_TEST(test_what_is_released_is_reserved_for_who_waits)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    struct thing *thing = acquire(pool);
    pthread_t thread;
    require(pthread_create(&thread, NULL, acquire_and_hold, pool) == 0);
    wait_for_waiters(pool, 1);
    qy_pool_release(pool, thing);
    /* It may not have woken up yet; but it is its object. */
    ck_assert_ptr_null(qy_pool_try_acquire(pool));
    void *objects[2];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 2), 0);
    ck_assert_uint_eq(qy_pool_trim(pool, 0), 0);
    wait_for_step(1);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    ck_assert_int_eq(made, 1);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

/* ---- a system that refuses membarrier ---- */

static _Atomic bool barrier_is_refused;

/* The core's system calls come here. */
long syscall(long number, ...)
{
    static _Atomic(long (*)(long, ...)) real;
    if (atomic_load(&real) == NULL)
        atomic_store(&real, (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"));
    long argument[6];
    va_list arguments;
    va_start(arguments, number);
    for (unsigned i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_membarrier && atomic_load(&barrier_is_refused)) {
        errno = EPERM;
        return -1;
    }
    return atomic_load(&real)(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

START_TEST(test_without_membarrier_threads_keep_nothing)
{
    atomic_store(&barrier_is_refused, true);
    qy_pool_attr attr = things();
    attr.max_objects = 8;
    qy_pool *pool = new_pool(attr);
    pthread_t thread;
    require(pthread_create(&thread, NULL, keep_all, pool) == 0);
    wait_for_step(1);
    void *objects[8];
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects, 8), 8);
    qy_pool_release_bulk(pool, objects, 8);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    ck_assert_int_eq(made, 8);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_if_membarrier_is_refused_later_threads_hand_in_what_they_keep)
{
    qy_pool_attr attr = things();
    attr.max_objects = 8;
    attr.thread_idle = 8;
    qy_pool *pool = new_pool(attr);
    pthread_t thread;
    require(pthread_create(&thread, NULL, keep_all, pool) == 0);
    wait_for_step(1);
    atomic_store(&barrier_is_refused, true);
    errno = 0;
    ck_assert_ptr_null(qy_pool_try_acquire(pool));
    ck_assert_int_eq(errno, EAGAIN);
    atomic_store(&step, 2); /* it uses the pool once more, and ends */
    void *objects[8];
    for (unsigned i = 0; i < 8; i++)
        require((objects[i] = qy_pool_acquire(pool)) != NULL);
    pthread_join(thread, NULL);
    qy_pool_release_bulk(pool, objects, 8);
    ck_assert_int_eq(made, 8);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_if_membarrier_is_refused_later_a_pool_lives_until_its_threads_end)
{
    qy_pool *pool = new_pool(things());
    void *objects[101] = {pool};
    ck_assert_uint_eq(qy_pool_acquire_bulk(pool, objects + 1, 100), 100);
    pthread_t thread;
    require(pthread_create(&thread, NULL, release_all, objects) == 0);
    wait_for_step(1);
    atomic_store(&barrier_is_refused, true);
    qy_pool_destroy(pool);
    ck_assert_int_lt(destroyed, 100);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    ck_assert_int_eq(destroyed, 100);
    check_nothing_is_left();
}
END_TEST

/* ---- fork ---- */

START_TEST(test_a_forked_child_has_the_pool_and_what_others_kept)
{
    qy_pool_attr attr = things();
    attr.max_objects = 8;
    attr.thread_idle = 8;
    attr.flags = _i == 0 ? 0 : QY_POOL_BUFFERS;
    qy_pool *pool = new_pool(attr);
    pthread_t thread;
    require(pthread_create(&thread, NULL, keep_all, pool) == 0);
    wait_for_step(1);
    void *held = qy_pool_acquire(pool);
    const pid_t child = fork();
    if (child == 0) {
        void *objects[8];
        const bool good = qy_pool_acquire_bulk(pool, objects, 8) == 7 && errno == EAGAIN;
        qy_pool_release(pool, held);
        qy_pool_release_bulk(pool, objects, 7);
        const bool all_back = stats_of(pool).idle == 8;
        qy_pool_destroy(pool);
        _exit(good && all_back && made == destroyed ? 0 : 1);
    }
    int status;
    require(waitpid(child, &status, 0) == child);
    ck_assert_int_eq(status, 0);
    atomic_store(&step, 2);
    pthread_join(thread, NULL);
    qy_pool_release(pool, held);
    ck_assert_uint_eq(stats_of(pool).idle, 8);
    qy_pool_destroy(pool);
}
END_TEST

static void *wait_in(void *pool)
{
    qy_pool_release(pool, qy_pool_acquire(pool));
    return NULL;
}

START_TEST(test_who_waits_in_the_parent_keeps_no_pool_alive_in_the_child)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    qy_pool *pool = new_pool(attr);
    void *held = qy_pool_acquire(pool);
    pthread_t thread;
    require(pthread_create(&thread, NULL, wait_in, pool) == 0);
    while (stats_of(pool).waits == 0)
        sched_yield();
    const pid_t child = fork();
    if (child == 0) {
        qy_pool_destroy(pool);
        qy_pool_release(pool, held);
        /* the memory that was freed last is taken first */
        _exit(qyi_aligned(QYI_CACHE_LINE, sizeof *pool) == (void *)pool ? 0 : 1);
    }
    int status;
    require(waitpid(child, &status, 0) == child);
    ck_assert_int_eq(status, 0);
    qy_pool_release(pool, held);
    pthread_join(thread, NULL);
    qy_pool_destroy(pool);
}
END_TEST

static pid_t forked_by_signal;

static void fork_now(int signal)
{
    (void)signal;
    forked_by_signal = fork();
}

static void *do_nothing(void *argument)
{
    return argument;
}

START_TEST(test_who_waits_may_be_interrupted_and_forked)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    attr.flags = QY_POOL_NO_CACHE; /* all goes by the account of who waits */
    qy_pool *pool = new_pool(attr);
    unit_in_thread(do_nothing, NULL); /* the fork is noticed in a process that has had threads */
    void *held = qy_pool_acquire(pool);
    forked_by_signal = -1;
    signal(SIGALRM, fork_now);
    ualarm(100000, 0);
    void *none = qy_pool_acquire_timeout(pool, 500);
    const bool timed_out = none == NULL && errno == ETIMEDOUT;
    qy_pool_release(pool, held);
    held = qy_pool_try_acquire(pool);
    const bool good = timed_out && held != NULL;
    qy_pool_release(pool, held);
    if (forked_by_signal == 0)
        _exit(good ? 0 : 1);
    require(good && forked_by_signal > 0);
    int status;
    require(waitpid(forked_by_signal, &status, 0) == forked_by_signal);
    ck_assert_int_eq(status, 0);
    qy_pool_destroy(pool);
}
END_TEST

static void *hammer(void *argument)
{
    qy_pool *pool = argument;
    void *objects[20];
    while (!atomic_load(&stop)) {
        const size_t got = qy_pool_acquire_bulk(pool, objects, 20);
        for (size_t i = 0; i < got; i++)
            qy_pool_release(pool, objects[i]);
        if (got == 20)
            qy_pool_trim(pool, 5);
    }
    return NULL;
}

/* In a child there may be fewer objects, but never one twice, and nothing hangs. */
static void use_in_child(qy_pool *pool)
{
    signal(SIGALRM, SIG_DFL); /* libcheck's handler would kill the whole test */
    alarm(60);
    enum { MOST = 100 };
    void *objects[MOST];
    const size_t got = qy_pool_acquire_bulk(pool, objects, MOST);
    for (size_t i = 0; i < got; i++) {
        *(size_t *)objects[i] = i;
        for (size_t j = 0; j < i; j++)
            require(objects[i] != objects[j]);
    }
    for (size_t i = 0; i < got; i++)
        require(*(size_t *)objects[i] == i);
    for (size_t i = 0; i < got; i++)
        qy_pool_release(pool, objects[i]);
    qy_pool_trim(pool, 0);
    qy_pool_destroy(pool);
}

START_TEST(test_fork_may_come_at_any_time)
{
    if (UNIT_TSAN)
        return; /* it does not support threads in a process that was forked with threads */
    qy_pool *pool = new_pool((qy_pool_attr){
        .object_bytes = 2000, .max_objects = 50, .max_idle = 20, .flags = _i == 0 ? 0 : QY_POOL_BUFFERS});
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        require(pthread_create(&threads[i], NULL, hammer, pool) == 0);
    for (unsigned i = 0; i < unit_rounds(200); i++) {
        const pid_t child = fork();
        if (child == 0) {
            use_in_child(pool);
            _exit(0);
        }
        int status;
        require(waitpid(child, &status, 0) == child);
        require(status == 0);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    qy_pool_destroy(pool);
}
END_TEST

static _Atomic bool wiping_is_slow;

/* The first step towards noticing a fork; here it takes as long as it would if the thread were not running. */
int madvise(void *start, size_t bytes, int advice)
{
    static const struct timespec slowly = {.tv_nsec = 30 * 1000 * 1000};
    if (advice == MADV_WIPEONFORK && atomic_load(&wiping_is_slow))
        nanosleep(&slowly, NULL);
    return (int)syscall(SYS_madvise, start, bytes, advice);
}

START_TEST(test_fork_may_come_while_the_first_threads_begin)
{
    if (UNIT_TSAN)
        return;
    qy_pool *pool = new_pool((qy_pool_attr){
        .object_bytes = 2000, .max_objects = 50, .max_idle = 20, .flags = _i == 0 ? 0 : QY_POOL_BUFFERS});
    atomic_store(&wiping_is_slow, true);
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        require(pthread_create(&threads[i], NULL, hammer, pool) == 0);
    for (unsigned i = 0; i < unit_rounds(50); i++) {
        const pid_t child = fork();
        if (child == 0) {
            atomic_store(&wiping_is_slow, false);
            use_in_child(pool);
            _exit(0);
        }
        int status;
        require(waitpid(child, &status, 0) == child);
        require(status == 0);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    qy_pool_destroy(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *alone = tcase_create("one thread");
    tcase_add_test(alone, test_an_object_comes_back_to_who_released_it_last);
    tcase_add_test(alone, test_objects_have_cache_lines_for_themselves);
    tcase_add_test(alone, test_alignment_is_kept);
    tcase_add_test(alone, test_nonsense_is_einval);
    tcase_add_test(alone, test_success_keeps_errno);
    tcase_add_test(alone, test_initial_objects_are_there_at_once);
    tcase_add_loop_test(alone, test_at_the_maximum_try_says_eagain_and_timeout_says_etimedout, 0, 2);
    tcase_add_loop_test(alone, test_a_factory_that_fails_is_reported_and_nothing_is_lost, 0, 2);
    tcase_add_test(alone, test_bulk_says_how_many_there_are);
    tcase_add_test(alone, test_no_more_than_max_idle_stay);
    tcase_add_test(alone, test_a_thread_keeps_thread_idle_besides);
    tcase_add_test(alone, test_trim_destroys_what_is_idle);
    tcase_add_test(alone, test_a_detached_object_is_the_callers_to_free);
    tcase_add_test(alone, test_the_numbers_are_right);
    tcase_add_loop_test(alone, test_a_pool_lives_until_the_last_object_is_back, 0, 2);
    tcase_add_test(alone, test_a_later_pool_is_not_mistaken_for_an_earlier_one);
    tcase_add_test(alone, test_a_thread_may_use_more_pools_than_it_has_slots_for);
    tcase_add_test(alone, test_a_scoped_object_returns_at_the_end_of_its_scope);
    suite_add_tcase(suite, alone);
    TCase *buffers = tcase_create("buffers");
    tcase_add_test(buffers, test_a_buffer_comes_back_at_its_last_release);
    tcase_add_test(buffers, test_every_byte_of_a_buffer_finds_its_count);
    tcase_add_test(buffers, test_a_large_buffer_is_found_from_its_end);
    tcase_add_test(buffers, test_what_lies_behind_a_buffer_is_none_of_it);
    tcase_add_test(buffers, test_buffers_suit_slice_functions);
    tcase_add_test(buffers, test_memory_of_buffers_goes_back);
    tcase_add_test(buffers, test_the_wrong_kind_is_einval);
    suite_add_tcase(suite, buffers);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, test_a_thread_that_ends_gives_back_what_it_kept);
    tcase_add_test(threads, test_destructors_of_a_thread_may_use_pools);
    tcase_add_loop_test(threads, test_what_a_sleeping_thread_keeps_can_be_had, 0, 2);
    tcase_add_test(threads, test_a_release_wakes_who_waits);
    tcase_add_test(threads, test_detaching_and_failing_factories_wake_who_waits);
    tcase_add_test(threads, test_destroying_a_pool_sends_away_who_waits);
    tcase_add_loop_test(threads, test_caches_of_other_threads_are_emptied_when_a_pool_is_destroyed, 0, 2);
    tcase_add_test(threads, test_a_buffer_may_be_released_last_by_another_thread);
    tcase_add_loop_test(threads, test_threads_never_have_the_same_object, 0, 8);
    tcase_add_test(threads, test_who_waits_gets_an_object_from_threads_in_a_hurry);
    tcase_add_test(threads, test_what_is_released_is_reserved_for_who_waits);
    suite_add_tcase(suite, threads);
    TCase *refused = tcase_create("without membarrier");
    tcase_add_test(refused, test_without_membarrier_threads_keep_nothing);
    tcase_add_test(refused, test_if_membarrier_is_refused_later_threads_hand_in_what_they_keep);
    tcase_add_test(refused, test_if_membarrier_is_refused_later_a_pool_lives_until_its_threads_end);
    suite_add_tcase(suite, refused);
    TCase *forks = tcase_create("fork");
    tcase_add_loop_test(forks, test_a_forked_child_has_the_pool_and_what_others_kept, 0, 2);
    tcase_add_test(forks, test_who_waits_in_the_parent_keeps_no_pool_alive_in_the_child);
    tcase_add_test(forks, test_who_waits_may_be_interrupted_and_forked);
    tcase_add_loop_test(forks, test_fork_may_come_at_any_time, 0, 2);
    tcase_add_loop_test(forks, test_fork_may_come_while_the_first_threads_begin, 0, 2);
    suite_add_tcase(suite, forks);
    return unit_run(suite);
}

/*
 * test_pool.c: pools of objects in one thread: limits, callbacks, what is kept, the end of pools.
 */
#include "unit_pool.h"

#include "os.h"

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

/* ---- */

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
    return unit_run(suite);
}

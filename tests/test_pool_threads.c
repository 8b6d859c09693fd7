/*
 * test_pool_threads.c: pools that threads share: what a thread keeps, waiting, the end of threads and of pools; and a
 * system that refuses membarrier.
 */
#include "unit_pool.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>

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

/* ---- */

int main(void)
{
    Suite *suite = suite_create("pool_threads");
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
    return unit_run(suite);
}

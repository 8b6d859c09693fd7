/*
 * test_pool_fork.c: pools in processes that fork, at any time.
 */
#include "unit_pool.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static _Atomic bool stop;

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

START_TEST(test_who_waits_may_be_interrupted_and_forked)
{
    qy_pool_attr attr = things();
    attr.max_objects = 1;
    attr.flags = QY_POOL_NO_CACHE; /* all goes by the account of who waits */
    qy_pool *pool = new_pool(attr);
    unit_become_threaded(); /* the fork is noticed */
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

/* ---- */

int main(void)
{
    Suite *suite = suite_create("pool_fork");
    TCase *forks = tcase_create("fork");
    tcase_add_loop_test(forks, test_a_forked_child_has_the_pool_and_what_others_kept, 0, 2);
    tcase_add_test(forks, test_who_waits_in_the_parent_keeps_no_pool_alive_in_the_child);
    tcase_add_test(forks, test_who_waits_may_be_interrupted_and_forked);
    tcase_add_loop_test(forks, test_fork_may_come_at_any_time, 0, 2);
    tcase_add_loop_test(forks, test_fork_may_come_while_the_first_threads_begin, 0, 2);
    suite_add_tcase(suite, forks);
    return unit_run(suite);
}

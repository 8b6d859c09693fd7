/*
 * test_lock.c: mutual exclusion, sleeping and waking, and what a forked child makes of a lock.
 */
#include "unit.h"

#include "lock.h"

#include <sched.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct qyi_lock lock;
static _Atomic int phase;

static void wait_for_phase(int wanted)
{
    while (atomic_load(&phase) < wanted)
        sched_yield();
}

START_TEST(test_try_takes_a_free_lock_and_refuses_a_held_one)
{
    ck_assert(!qyi_lock_is_held(&lock));
    ck_assert(qyi_lock_try(&lock));
    ck_assert(qyi_lock_is_held(&lock));
    ck_assert(!qyi_lock_try(&lock));
    qyi_unlock(&lock);
    ck_assert(!qyi_lock_is_held(&lock));
    ck_assert(qyi_lock_try(&lock));
    qyi_unlock(&lock);
}
END_TEST

enum { COUNTERS = 4, THREADS = 4 };

/* On purpose not atomic: the lock alone guards them. */
static unsigned long counters[COUNTERS];

static void *count(void *argument)
{
    const unsigned rounds = *(const unsigned *)argument;
    for (unsigned i = 0; i < rounds; i++) {
        qyi_lock(&lock);
        for (unsigned c = 0; c < COUNTERS; c++)
            counters[c]++;
        if (i % 1024 == 0)
            sched_yield(); /* while holding it, so that others run into it and sleep */
        qyi_unlock(&lock);
    }
    return NULL;
}

START_TEST(test_only_one_thread_is_inside)
{
    unsigned rounds = unit_rounds(100000);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, count, &rounds) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned c = 0; c < COUNTERS; c++)
        ck_assert_uint_eq(counters[c], (unsigned long)THREADS * rounds);
    ck_assert(!qyi_lock_is_held(&lock));
}
END_TEST

static void *lock_and_pass_on(void *unused)
{
    atomic_fetch_add(&phase, 1);
    qyi_lock(&lock);
    counters[0]++;
    qyi_unlock(&lock);
    return unused;
}

/* A lost wake-up would leave one of them asleep, and the test to its time-out. */
START_TEST(test_all_sleepers_are_woken_in_turn)
{
    pthread_t threads[THREADS];
    qyi_lock(&lock);
    for (unsigned i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, lock_and_pass_on, NULL) == 0);
    wait_for_phase(THREADS);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* most are asleep by now; the test holds either way */
    ck_assert_uint_eq(counters[0], 0);
    qyi_unlock(&lock);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(counters[0], THREADS);
}
END_TEST

static void *tell_identity(void *out)
{
    const uint32_t me = qyi_lock_me();
    require(me == qyi_lock_me());
    require(me != 0 && (me & QYI_LOCK_WAITERS) == 0);
    *(uint32_t *)out = me;
    return NULL;
}

START_TEST(test_threads_have_identities_of_their_own)
{
    uint32_t other = 0;
    unit_in_thread(tell_identity, &other);
    ck_assert_uint_ne(other, 0);
    ck_assert_uint_ne(other, qyi_lock_me());
}
END_TEST

static void *look_for_owner(void *is_mine)
{
    *(bool *)is_mine = qyi_lock_is_mine(&lock);
    return NULL;
}

START_TEST(test_a_lock_knows_its_holder)
{
    bool others = true;
    ck_assert(!qyi_lock_is_mine(&lock));
    qyi_lock(&lock);
    ck_assert(qyi_lock_is_mine(&lock));
    unit_in_thread(look_for_owner, &others);
    ck_assert(!others);
    qyi_unlock(&lock);
    ck_assert(!qyi_lock_is_mine(&lock));
}
END_TEST

START_TEST(test_a_free_lock_stays_free_after_fork)
{
    ck_assert(!qyi_lock_after_fork(&lock));
    ck_assert(!qyi_lock_is_held(&lock));
}
END_TEST

/* fork in a signal handler: the interrupted frame exists in the child as well, and will release it. */
START_TEST(test_a_lock_of_the_forking_thread_stays_held)
{
    qyi_lock(&lock);
    ck_assert(!qyi_lock_after_fork(&lock));
    ck_assert(qyi_lock_is_held(&lock));
    qyi_unlock(&lock);
    ck_assert(!qyi_lock_is_held(&lock));
}
END_TEST

static void *hold(void *unused)
{
    qyi_lock(&lock);
    atomic_store(&phase, 1);
    wait_for_phase(2);
    qyi_unlock(&lock);
    return unused;
}

START_TEST(test_a_lock_of_another_thread_is_taken_away_after_fork)
{
    pthread_t holder;
    require(pthread_create(&holder, NULL, hold, NULL) == 0);
    wait_for_phase(1);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const bool taken_away = qyi_lock_after_fork(&lock);
        const bool again = qyi_lock_try(&lock);
        _exit(taken_away && again ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(qyi_lock_is_held(&lock)); /* here, nothing has changed */
    atomic_store(&phase, 2);
    pthread_join(holder, NULL);
    ck_assert(!qyi_lock_is_held(&lock));
}
END_TEST

static void *wait_for_lock(void *unused)
{
    atomic_store(&phase, 1);
    qyi_lock(&lock);
    qyi_unlock(&lock);
    return unused;
}

/* The child inherits a word that says "somebody sleeps", and nobody does. */
START_TEST(test_a_lock_with_sleepers_can_be_used_after_fork)
{
    pthread_t waiter;
    qyi_lock(&lock);
    require(pthread_create(&waiter, NULL, wait_for_lock, NULL) == 0);
    wait_for_phase(1);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        bool fine = !qyi_lock_after_fork(&lock);
        qyi_unlock(&lock);
        fine &= qyi_lock_try(&lock);
        qyi_unlock(&lock);
        _exit(fine ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    qyi_unlock(&lock);
    pthread_join(waiter, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lock");
    TCase *tests = tcase_create("lock");
    tcase_add_test(tests, test_try_takes_a_free_lock_and_refuses_a_held_one);
    tcase_add_test(tests, test_only_one_thread_is_inside);
    tcase_add_test(tests, test_all_sleepers_are_woken_in_turn);
    tcase_add_test(tests, test_threads_have_identities_of_their_own);
    tcase_add_test(tests, test_a_lock_knows_its_holder);
    tcase_add_test(tests, test_a_free_lock_stays_free_after_fork);
    tcase_add_test(tests, test_a_lock_of_the_forking_thread_stays_held);
    tcase_add_test(tests, test_a_lock_of_another_thread_is_taken_away_after_fork);
    tcase_add_test(tests, test_a_lock_with_sleepers_can_be_used_after_fork);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

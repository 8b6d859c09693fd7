/*
 * test_thread.c: the start of the allocator, and threads that come, end, allocate after their end, and leave blocks
 * behind.
 */
#include "unit.h"

#include "alloc.h"
#include "reclaim.h"

#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * The core's calls of mprotect come here. While it starts, they take their time, so that other threads get a look at
 * whatever is only half ready.
 */
static _Atomic bool mprotect_is_slow;

int mprotect(void *start, size_t bytes, int protection)
{
    if (atomic_load_explicit(&mprotect_is_slow, memory_order_relaxed))
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return (int)syscall(SYS_mprotect, start, bytes, protection);
}

static void *allocate_and_free(void *unused)
{
    void *blocks[200];
    for (unsigned i = 0; i < 200; i++) {
        blocks[i] = qyi_malloc(16 + i * 20);
        require(blocks[i] != NULL);
        memset(blocks[i], 1, 16 + i * 20);
    }
    for (unsigned i = 0; i < 200; i++)
        qyi_free(blocks[i]);
    return unused;
}

/* But for the common heap and the calling thread's. */
static unsigned others_heaps(void)
{
    unsigned count = 0;
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        const struct qyi_heap *heap = qyi_heap_by_id(id);
        count += !heap->idle && heap != qyi_common && heap->magazines != qyi_my_magazines();
    }
    return count;
}

/* Everything that threads have freed can be had back. */
static void check_all_is_back(void)
{
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}

/* As in a program: the main thread allocates before there is a second one. */
static void attach_first(void)
{
    unit_attach();
}

/* ---- start ---- */

START_TEST(test_the_first_call_starts_everything)
{
    ck_assert(!qyi_thread_is_attached());
    void *block = qyi_malloc(10);
    ck_assert_ptr_nonnull(block);
    ck_assert(qyi_thread_is_attached());
    ck_assert(qyi_start());
    ck_assert(qyi_start());
    ck_assert_uint_eq(qyi_heap_count(), 2); /* the common one, and ours */
    qyi_free(block);
    check_all_is_back();
}
END_TEST

START_TEST(test_free_of_nothing_does_not_attach_a_thread)
{
    qyi_free(NULL);
    ck_assert(!qyi_thread_is_attached());
}
END_TEST

enum { TOGETHER = 8 };
static pthread_barrier_t barrier;

static void *allocate_together(void *unused)
{
    pthread_barrier_wait(&barrier);
    return allocate_and_free(unused);
}

/* The threads come one after the other, all while the first one starts the allocator. */
static void *allocate_in_turn(void *number)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000 * (long)(uintptr_t)number}, NULL);
    qyi_free(NULL);
    return allocate_and_free(NULL);
}

START_TEST(test_many_threads_can_make_the_first_call_at_once)
{
    if (UNIT_TSAN)
        return; /* what the fast paths read before the start is plain, so that they cost nothing after it */
    pthread_t threads[TOGETHER];
    atomic_store(&mprotect_is_slow, true);
    for (uintptr_t i = 0; i < TOGETHER; i++)
        require(pthread_create(&threads[i], NULL, allocate_in_turn, (void *)i) ==
                0); /* NOLINT(performance-no-int-to-ptr) */
    for (unsigned i = 0; i < TOGETHER; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(others_heaps(), 0);
    ck_assert_uint_le(qyi_heap_count(), TOGETHER + 2);
    check_all_is_back();
}
END_TEST

/* A program that links the archive may leave allocation to a thread that ends before any other calls. */
START_TEST(test_the_first_thread_may_be_one_that_ends)
{
    unit_in_thread(allocate_and_free, NULL);
    unit_in_thread(allocate_and_free, NULL);
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

/* ---- threads come and go ---- */

static void *attach(void *heap)
{
    struct qyi_magazines *mine = unit_attach();
    require(mine == qyi_my_magazines());
    require(unit_attach() == mine);
    *(struct qyi_heap **)heap = mine->heap;
    return NULL;
}

START_TEST(test_threads_have_heaps_of_their_own)
{
    struct qyi_heap *here;
    struct qyi_heap *there;
    attach(&here);
    unit_in_thread(attach, &there);
    ck_assert_ptr_ne(here, there);
    ck_assert_ptr_ne(here, qyi_common);
    ck_assert_ptr_ne(there, qyi_common);
    ck_assert(!here->idle);
    ck_assert(there->idle);
}
END_TEST

START_TEST(test_threads_in_turn_share_a_heap)
{
    allocate_and_free(NULL);
    for (unsigned i = 0; i < unit_rounds(1000); i++)
        unit_in_thread(allocate_and_free, NULL);
    ck_assert_uint_le(qyi_heap_count(), 3); /* the common one, ours, and theirs */
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

START_TEST(test_threads_at_once_leave_nothing_behind)
{
    enum { CROWD = 40 };
    pthread_t threads[CROWD];
    pthread_barrier_init(&barrier, NULL, CROWD);
    uint32_t heaps = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < CROWD; i++)
            require(pthread_create(&threads[i], NULL, allocate_together, NULL) == 0);
        for (unsigned i = 0; i < CROWD; i++)
            pthread_join(threads[i], NULL);
        require(qyi_heap_count() <= CROWD + 2);
        require(round == 0 || qyi_heap_count() >= heaps);
        heaps = qyi_heap_count();
        require(others_heaps() == 0);
        unit_check_runs();
    }
    check_all_is_back();
}
END_TEST

static void *leave_blocks(void *argument)
{
    void **left = argument;
    for (unsigned i = 0; i < 100; i++) {
        left[i] = qyi_malloc(i * 37);
        require(left[i] != NULL);
        memset(left[i], (int)i, i * 37);
    }
    return NULL;
}

START_TEST(test_blocks_outlive_their_thread)
{
    void *left[100];
    unit_in_thread(leave_blocks, left);
    for (unsigned i = 0; i < 20; i++)
        unit_in_thread(allocate_and_free, NULL); /* with the same heap */
    qyi_reclaim_all();
    for (unsigned i = 1; i < 100; i++) {
        const unsigned char *bytes = left[i];
        require(bytes[0] == i && bytes[i * 37 - 1] == i);
    }
    for (unsigned i = 0; i < 100; i++)
        qyi_free(left[i]);
    check_all_is_back();
}
END_TEST

static void *free_what_is_given(void *argument)
{
    void **left = argument;
    for (unsigned i = 0; i < 100; i++)
        qyi_free(left[i]);
    return NULL;
}

START_TEST(test_a_thread_may_free_without_ever_allocating)
{
    void *left[100];
    leave_blocks(left);
    unit_in_thread(free_what_is_given, left);
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

static _Atomic unsigned running;
static _Atomic bool may_end;

static void *stay(void *unused)
{
    void *block = qyi_malloc(100);
    atomic_fetch_add(&running, 1);
    while (!atomic_load(&may_end))
        sched_yield();
    qyi_free(block);
    return unused;
}

START_TEST(test_idle_heaps_are_only_those_of_ended_threads)
{
    pthread_t threads[5];
    for (unsigned i = 0; i < 5; i++)
        require(pthread_create(&threads[i], NULL, stay, NULL) == 0);
    while (atomic_load(&running) < 5)
        sched_yield();
    ck_assert_uint_eq(others_heaps(), 5);
    qyi_reclaim_all();
    ck_assert_uint_eq(others_heaps(), 5);
    atomic_store(&may_end, true);
    for (unsigned i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

/* ---- after the end: destructors of other keys ---- */

static pthread_key_t early_key; /* made before the allocator's, so that its destructor runs before in each round */
static pthread_key_t late_key;  /* made after it */
static _Atomic unsigned destructor_calls;

/* Allocates and frees, and wants to be called again as long as POSIX promises. */
static void use_and_come_again(pthread_key_t key, void *value)
{
    uintptr_t left = (uintptr_t)value;
    atomic_fetch_add(&destructor_calls, 1);
    allocate_and_free(NULL);
    char *block = qyi_malloc(3000);
    require(block != NULL);
    memset(block, 7, 3000);
    block = qyi_realloc(block, 5000);
    require(block != NULL && block[2999] == 7);
    qyi_free(block);
    if (left > 1)
        pthread_setspecific(key, (void *)(left - 1)); /* NOLINT(performance-no-int-to-ptr) */
}

static void early_destructor(void *value)
{
    use_and_come_again(early_key, value);
}

static void late_destructor(void *value)
{
    use_and_come_again(late_key, value);
}

static void *end_with_destructors(void *rounds)
{
    pthread_setspecific(early_key, rounds);
    pthread_setspecific(late_key, rounds);
    return allocate_and_free(NULL);
}

static void make_keys(void)
{
    require(pthread_key_create(&early_key, early_destructor) == 0);
    unit_attach();
    unit_in_thread(allocate_and_free, NULL); /* with a second thread, the allocator has its key */
    require(pthread_key_create(&late_key, late_destructor) == 0);
}

START_TEST(test_destructors_may_allocate_after_the_heap_is_gone)
{
    if (UNIT_TSAN && _i >= 4)
        return; /* in the fourth round, ThreadSanitizer may have ended the thread already */
    make_keys();
    for (unsigned i = 0; i < 20; i++)
        unit_in_thread(end_with_destructors, (void *)(uintptr_t)_i);
    ck_assert_uint_ge(atomic_load(&destructor_calls), 20 * 2);
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

static void free_late(void *block)
{
    qyi_free(block);
}

static void *end_with_a_block_for_later(void *key)
{
    void *block = qyi_malloc(100);
    require(block != NULL);
    pthread_setspecific(*(const pthread_key_t *)key, block);
    return NULL;
}

START_TEST(test_destructors_may_free_after_the_heap_is_gone)
{
    make_keys();
    pthread_key_t key;
    require(pthread_key_create(&key, free_late) == 0);
    for (unsigned i = 0; i < 20; i++)
        unit_in_thread(end_with_a_block_for_later, &key);
    ck_assert_uint_eq(others_heaps(), 0);
    ck_assert_uint_le(qyi_heap_count(), 3);
    check_all_is_back();
}
END_TEST

/* ---- without a key ---- */

static void take_all_keys(void)
{
    pthread_key_t key;
    for (unsigned i = 0; i <= PTHREAD_KEYS_MAX; i++) {
        if (pthread_key_create(&key, NULL) != 0)
            return;
    }
    ck_abort_msg("there are keys without end");
}

static void *allocate_unattached(void *unused)
{
    allocate_and_free(NULL);
    require(!qyi_thread_is_attached());
    return unused;
}

START_TEST(test_without_a_key_threads_live_on_the_common_heap)
{
    take_all_keys();
    allocate_and_free(NULL);
    for (unsigned i = 0; i < 5; i++)
        unit_in_thread(allocate_unattached, NULL);
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

/* Beyond the 32nd key, libc allocates memory for a thread's values. */
START_TEST(test_a_key_with_a_high_number_will_do)
{
    pthread_key_t key;
    for (unsigned i = 0; i < 40; i++)
        require(pthread_key_create(&key, NULL) == 0);
    allocate_and_free(NULL);
    for (unsigned i = 0; i < 5; i++)
        unit_in_thread(allocate_and_free, NULL);
    ck_assert(qyi_thread_is_attached());
    ck_assert_uint_eq(others_heaps(), 0);
    check_all_is_back();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread");
    TCase *start = tcase_create("start");
    tcase_add_test(start, test_the_first_call_starts_everything);
    tcase_add_test(start, test_free_of_nothing_does_not_attach_a_thread);
    tcase_add_test(start, test_many_threads_can_make_the_first_call_at_once);
    tcase_add_test(start, test_the_first_thread_may_be_one_that_ends);
    suite_add_tcase(suite, start);
    TCase *threads = tcase_create("threads");
    tcase_add_checked_fixture(threads, attach_first, NULL);
    tcase_add_test(threads, test_threads_have_heaps_of_their_own);
    tcase_add_test(threads, test_threads_in_turn_share_a_heap);
    tcase_add_test(threads, test_threads_at_once_leave_nothing_behind);
    tcase_add_test(threads, test_blocks_outlive_their_thread);
    tcase_add_test(threads, test_a_thread_may_free_without_ever_allocating);
    tcase_add_test(threads, test_idle_heaps_are_only_those_of_ended_threads);
    suite_add_tcase(suite, threads);
    TCase *destructors = tcase_create("destructors");
    tcase_add_loop_test(destructors, test_destructors_may_allocate_after_the_heap_is_gone, 1, 6);
    tcase_add_test(destructors, test_destructors_may_free_after_the_heap_is_gone);
    suite_add_tcase(suite, destructors);
    TCase *keys = tcase_create("keys");
    tcase_add_test(keys, test_without_a_key_threads_live_on_the_common_heap);
    tcase_add_test(keys, test_a_key_with_a_high_number_will_do);
    suite_add_tcase(suite, keys);
    return unit_run(suite);
}

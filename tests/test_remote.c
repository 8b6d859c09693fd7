/*
 * test_remote.c: blocks freed by threads that do not own them: gathered, announced, and back with their owner, be it
 * awake, asleep, gone, or another one than when the free began.
 */
#include "unit.h"

#include "alloc.h"
#include "reclaim.h"
#include "remote.h"

#include <sched.h>
#include <signal.h>
#include <string.h>

static struct qyi_magazines *mine;

static void setup(void)
{
    mine = unit_attach();
}

enum { BLOCKS_MAX = 70000 };
static void *blocks[BLOCKS_MAX];

static void take_blocks(unsigned class, size_t count)
{
    for (size_t i = 0; i < count; i++)
        blocks[i] = unit_take(mine, class);
}

static unsigned uncollected(const void *p)
{
    const struct qyi_slab *slab = unit_slab_of(p);
    return qyi_slab_uncollected(qyi_slab_granule(slab), slab->class);
}

/* ---- gathering ---- */

enum { SMALL_CLASS = 3 }; /* 64 bytes */

static void *free_ten_then_flush(void *unused)
{
    struct qyi_magazines *other = unit_attach();
    require(other->heap != mine->heap);
    for (unsigned i = 0; i < 10; i++)
        unit_free_remote(other, blocks[i]);
    require(uncollected(blocks[0]) == 0);
    require(!qyi_heap_has_news(mine->heap));
    qyi_remote_flush(other);
    require(uncollected(blocks[0]) == 10);
    require(qyi_heap_has_news(mine->heap));
    qyi_remote_flush(other);
    require(uncollected(blocks[0]) == 10);
    require(other->remote_frees == 10);
    return unused;
}

START_TEST(test_blocks_of_a_word_are_announced_together)
{
    take_blocks(SMALL_CLASS, 20);
    unit_in_thread(free_ten_then_flush, NULL);
    unit_check_runs();
}
END_TEST

static void *free_until_announced(void *freed)
{
    struct qyi_magazines *other = unit_attach();
    size_t count = 0;
    while (!qyi_heap_has_news(mine->heap)) {
        require(count < 4000);
        unit_free_remote(other, blocks[count++]);
    }
    *(size_t *)freed = count;
    return NULL;
}

START_TEST(test_a_thread_keeps_little_from_the_owners)
{
    size_t freed = 0;
    const unsigned class = qyi_class_of(256);
    take_blocks(class, 4000);
    unit_in_thread(free_until_announced, &freed);
    ck_assert_uint_le(freed * 256, 256 << 10);
}
END_TEST

/* More words than the table has places: some have to leave it for others. */
static void *free_across_slabs(void *argument)
{
    const size_t count = *(const size_t *)argument;
    struct qyi_magazines *other = unit_attach();
    for (size_t step = 0; step < 97; step++) {
        for (size_t i = step; i < count; i += 97)
            unit_free_remote(other, blocks[i]);
    }
    qyi_remote_flush(other);
    return NULL;
}

START_TEST(test_blocks_of_many_slabs_all_arrive)
{
    size_t count = unit_rounds(60000);
    take_blocks(SMALL_CLASS, count);
    unit_in_thread(free_across_slabs, &count);
    size_t arrived = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || unit_slab_of(blocks[i]) != unit_slab_of(blocks[i - 1]))
            arrived += uncollected(blocks[i]);
    }
    ck_assert_uint_eq(arrived, count);
    const size_t used = unit_used_bytes();
    qyi_magazines_flush(mine);
    qyi_lock(&mine->heap->lock);
    qyi_heap_drain(mine->heap);
    qyi_heap_trim(mine->heap);
    qyi_unlock(&mine->heap->lock);
    ck_assert_uint_gt(used, 0);
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

static void *free_all_and_flush(void *argument)
{
    const size_t count = *(const size_t *)argument;
    struct qyi_magazines *other = unit_attach();
    for (size_t i = 0; i < count; i++)
        unit_free_remote(other, blocks[i]);
    qyi_remote_flush(other);
    return NULL;
}

START_TEST(test_free_remote_returns_to_owner)
{
    size_t count = 3000;
    static unsigned char seen[3000];
    take_blocks(SMALL_CLASS, count);
    while (mine->magazine[SMALL_CLASS].next != NULL) /* what is left in the magazine */
        unit_take(mine, SMALL_CLASS);
    char *const lowest = blocks[0];
    const size_t used = unit_used_bytes();
    unit_in_thread(free_all_and_flush, &count);
    for (size_t i = 0; i < count; i++) {
        char *again = unit_take(mine, SMALL_CLASS);
        const size_t number = (size_t)(again - lowest) / 64; /* one slab after the other, from an empty region */
        if (number < count)
            require(seen[number]++ == 0);
    }
    ck_assert_uint_eq(unit_used_bytes(), used); /* no new slab was needed */
    unit_check_runs();
}
END_TEST

static void *free_and_end(void *unused)
{
    struct qyi_magazines *other = unit_attach();
    for (unsigned i = 0; i < 10; i++)
        unit_free_remote(other, blocks[i]);
    require(uncollected(blocks[0]) == 0);
    return unused;
}

START_TEST(test_the_end_of_a_thread_announces_what_it_gathered)
{
    take_blocks(SMALL_CLASS, 20);
    unit_in_thread(free_and_end, NULL);
    ck_assert_uint_eq(uncollected(blocks[0]), 10);
    ck_assert(qyi_heap_has_news(mine->heap));
}
END_TEST

START_TEST(test_a_thread_without_magazines_announces_at_once)
{
    take_blocks(SMALL_CLASS, 3);
    unit_free_remote(NULL, blocks[1]);
    ck_assert_uint_eq(uncollected(blocks[0]), 1);
    ck_assert(qyi_heap_has_news(mine->heap));
    unit_free_remote(NULL, blocks[0]);
    ck_assert_uint_eq(uncollected(blocks[0]), 2);
}
END_TEST

/* Blocks of every class, the large ones too, whose slabs all threads share. */
START_TEST(test_blocks_of_every_class_come_back)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        size_t count = 2 * (size_t)qyi_classes[class].block_count;
        take_blocks(class, count);
        unit_in_thread(free_all_and_flush, &count);
        qyi_reclaim_all();
        require(unit_used_bytes() == 0);
    }
    unit_check_runs();
}
END_TEST

/* ---- misuse ---- */

static void *free_twice(void *unused)
{
    struct qyi_magazines *other = unit_attach();
    unit_free_remote(other, blocks[5]);
    unit_free_remote(other, blocks[6]);
    unit_free_remote(other, blocks[5]);
    return unused;
}

START_TEST(test_gathering_a_block_twice_aborts)
{
    take_blocks(SMALL_CLASS, 20);
    unit_in_thread(free_twice, NULL);
}
END_TEST

static void *free_twice_with_a_flush_between(void *unused)
{
    struct qyi_magazines *other = unit_attach();
    unit_free_remote(other, blocks[5]);
    qyi_remote_flush(other);
    unit_free_remote(other, blocks[5]);
    qyi_remote_flush(other);
    return unused;
}

START_TEST(test_announcing_a_block_twice_aborts)
{
    take_blocks(SMALL_CLASS, 20);
    unit_in_thread(free_twice_with_a_flush_between, NULL);
}
END_TEST

static void *free_the_sixth(void *unused)
{
    struct qyi_magazines *other = unit_attach();
    unit_free_remote(other, blocks[5]);
    qyi_remote_flush(other);
    return unused;
}

START_TEST(test_collecting_a_block_that_its_owner_has_freed_aborts)
{
    take_blocks(SMALL_CLASS, 20);
    unit_give(mine, SMALL_CLASS, blocks[5]);
    qyi_magazines_flush(mine);
    unit_in_thread(free_the_sixth, NULL);
    qyi_lock(&mine->heap->lock);
    qyi_heap_drain(mine->heap);
    qyi_unlock(&mine->heap->lock);
}
END_TEST

static void *free_into_a_block(void *unused)
{
    unit_free_remote(unit_attach(), (char *)blocks[5] + 16);
    return unused;
}

START_TEST(test_freeing_into_a_block_aborts)
{
    take_blocks(SMALL_CLASS, 20);
    unit_in_thread(free_into_a_block, NULL);
}
END_TEST

/* ---- owners that do nothing for it ---- */

enum { SLEEPER_BLOCKS = 60000 };

static void *free_all(void *argument)
{
    const size_t count = *(const size_t *)argument;
    for (size_t i = 0; i < count; i++)
        qyi_free(blocks[i]);
    return NULL;
}

static void *reclaim(void *unused)
{
    qyi_reclaim_all();
    return unused;
}

/* The owner is this thread, which only waits; one thread frees, and a third one gathers what there is. */
START_TEST(test_memory_comes_back_while_its_owner_sleeps)
{
    size_t count = unit_rounds(SLEEPER_BLOCKS);
    for (size_t i = 0; i < count; i++)
        blocks[i] = qyi_malloc(64);
    const size_t used = unit_used_bytes();
    ck_assert_uint_ge(used, count * 64);
    unit_in_thread(free_all, &count);
    unit_in_thread(reclaim, NULL);
    ck_assert_uint_le(unit_used_bytes(), 2 * QYI_GRANULE_BYTES); /* the owner's magazine holds a few blocks */
    ck_assert_uint_eq(qyi_region_dirty(), 0);
    unit_check_runs();
}
END_TEST

static void *allocate_and_end(void *argument)
{
    const size_t count = *(const size_t *)argument;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = qyi_malloc(64);
        memset(blocks[i], (int)(i % 251), 64);
    }
    return NULL;
}

START_TEST(test_memory_comes_back_when_its_owner_has_ended)
{
    size_t count = unit_rounds(SLEEPER_BLOCKS);
    unit_in_thread(allocate_and_end, &count);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *bytes = blocks[i];
        require(bytes[0] == i % 251 && bytes[63] == i % 251);
    }
    ck_assert_uint_ge(unit_used_bytes(), count * 64);
    for (size_t i = 0; i < count; i++)
        qyi_free(blocks[i]);
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    ck_assert_uint_eq(qyi_region_dirty(), 0);
    unit_check_runs();
}
END_TEST

START_TEST(test_memory_comes_back_when_owner_and_freer_have_ended)
{
    size_t count = unit_rounds(SLEEPER_BLOCKS);
    unit_in_thread(allocate_and_end, &count);
    unit_in_thread(free_all, &count);
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}
END_TEST

/* ---- owners that change while blocks are on their way ---- */

enum { BATCH = 400 };

struct handover {
    void *block[BATCH];
    size_t bytes[BATCH];
    _Atomic unsigned ready;
};

/* Allocates, hands over while it goes on, frees part of what it has itself, and ends: its slabs go to others. */
static void *hand_over_and_end(void *argument)
{
    struct handover *handover = argument;
    uint64_t seed = (uintptr_t)argument;
    for (unsigned i = 0; i < BATCH; i++) {
        handover->bytes[i] = 16 + unit_below(&seed, unit_below(&seed, 10) == 0 ? 9000 : 400);
        void *other = qyi_malloc(handover->bytes[i]);
        handover->block[i] = qyi_malloc(handover->bytes[i]);
        require(other != NULL && handover->block[i] != NULL);
        memset(handover->block[i], (int)(i % 256), handover->bytes[i]);
        atomic_store(&handover->ready, i + 1);
        qyi_free(other);
    }
    return NULL;
}

static void *take_over(void *argument)
{
    struct handover *handover = argument;
    for (unsigned i = 0; i < BATCH; i++) {
        while (atomic_load(&handover->ready) <= i)
            sched_yield();
        const unsigned char *bytes = handover->block[i];
        require(bytes[0] == i % 256 && bytes[handover->bytes[i] - 1] == i % 256);
        qyi_free(handover->block[i]);
    }
    return NULL;
}

START_TEST(test_slabs_change_hands_while_blocks_come_back)
{
    enum { PAIRS = 2 };
    static struct handover handovers[PAIRS];
    for (unsigned round = 0; round < unit_rounds(300); round++) {
        pthread_t threads[2 * PAIRS];
        for (unsigned i = 0; i < PAIRS; i++) {
            atomic_store(&handovers[i].ready, 0);
            require(pthread_create(&threads[2 * i], NULL, hand_over_and_end, &handovers[i]) == 0);
            require(pthread_create(&threads[2 * i + 1], NULL, take_over, &handovers[i]) == 0);
        }
        if (round % 4 == 0)
            qyi_reclaim_all();
        for (unsigned i = 0; i < 2 * PAIRS; i++)
            require(pthread_join(threads[i], NULL) == 0);
        if (round % 16 == 0)
            unit_check_runs();
    }
    unit_check_runs();
    qyi_reclaim_all();
    qyi_reclaim_all(); /* the first may have passed news on to a heap that it had seen already */
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}
END_TEST

/* Threads exchange blocks through a few places that all of them reach. */
enum { PLACES = 256, EXCHANGERS = 3 };
static _Atomic(uint64_t *) places[PLACES];
static _Atomic bool exchange_over;

static void *exchange(void *argument)
{
    uint64_t seed = (uintptr_t)argument;
    for (unsigned i = 0; i < unit_rounds(200000); i++) {
        const size_t words = 2 + unit_below(&seed, unit_below(&seed, 50) == 0 ? 3000 : 40);
        uint64_t *block = qyi_malloc(words * sizeof *block);
        require(block != NULL);
        block[0] = words;
        block[1] = ~words;
        block[words - 1] = words == 2 ? ~words : words;
        block = atomic_exchange(&places[unit_below(&seed, PLACES)], block);
        if (block != NULL) {
            require(block[1] == ~block[0] && (block[0] == 2 || block[block[0] - 1] == block[0]));
            block[0] = block[1] = 0; /* handed out twice, it would be seen by the other */
            qyi_free(block);
        }
    }
    return NULL;
}

static void *reclaim_all_the_time(void *unused)
{
    while (!atomic_load(&exchange_over)) {
        qyi_reclaim_all();
        sched_yield();
    }
    return unused;
}

START_TEST(test_threads_exchange_blocks_while_another_one_reclaims)
{
    pthread_t threads[EXCHANGERS];
    pthread_t reclaimer;
    require(pthread_create(&reclaimer, NULL, reclaim_all_the_time, NULL) == 0);
    for (uintptr_t i = 0; i < EXCHANGERS; i++)
        require(pthread_create(&threads[i], NULL, exchange, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < EXCHANGERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&exchange_over, true);
    pthread_join(reclaimer, NULL);
    for (unsigned i = 0; i < PLACES; i++)
        qyi_free(atomic_load(&places[i]));
    unit_check_runs();
    qyi_reclaim_all();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("remote");
    TCase *gathering = tcase_create("gathering");
    tcase_add_checked_fixture(gathering, setup, NULL);
    tcase_add_test(gathering, test_blocks_of_a_word_are_announced_together);
    tcase_add_test(gathering, test_a_thread_keeps_little_from_the_owners);
    tcase_add_test(gathering, test_blocks_of_many_slabs_all_arrive);
    tcase_add_test(gathering, test_free_remote_returns_to_owner);
    tcase_add_test(gathering, test_the_end_of_a_thread_announces_what_it_gathered);
    tcase_add_test(gathering, test_a_thread_without_magazines_announces_at_once);
    tcase_add_test(gathering, test_blocks_of_every_class_come_back);
    suite_add_tcase(suite, gathering);
    TCase *misuse = tcase_create("misuse");
    tcase_add_checked_fixture(misuse, setup, NULL);
    tcase_add_test_raise_signal(misuse, test_gathering_a_block_twice_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_announcing_a_block_twice_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_collecting_a_block_that_its_owner_has_freed_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_freeing_into_a_block_aborts, SIGABRT);
    suite_add_tcase(suite, misuse);
    TCase *owners = tcase_create("owners");
    tcase_add_checked_fixture(owners, setup, NULL);
    tcase_add_test(owners, test_memory_comes_back_while_its_owner_sleeps);
    tcase_add_test(owners, test_memory_comes_back_when_its_owner_has_ended);
    tcase_add_test(owners, test_memory_comes_back_when_owner_and_freer_have_ended);
    tcase_add_test(owners, test_slabs_change_hands_while_blocks_come_back);
    tcase_add_test(owners, test_threads_exchange_blocks_while_another_one_reclaims);
    suite_add_tcase(suite, owners);
    return unit_run(suite);
}

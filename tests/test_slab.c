/*
 * test_slab.c: blocks taken from a slab and put back, by the owner and, announced or not yet, by others.
 *
 * The steps R1, R2 and O1 to O3 are those of the protocol at the head of slab.c.
 */
#include "unit.h"

#include "slab.h"

#include <sched.h>
#include <string.h>

enum { OWNER = 5 };

static void setup(void)
{
    qyi_sizeclass_init();
    ck_assert(qyi_region_init());
}

static struct qyi_slab *new_slab(unsigned class)
{
    struct qyi_slab *slab = qyi_slab_new(class, OWNER);
    require(slab != NULL);
    return slab;
}

static uint32_t wrong;

static bool collect(struct qyi_slab *slab)
{
    return qyi_slab_collect(slab, &wrong);
}

static unsigned block_count(const struct qyi_slab *slab)
{
    return qyi_classes[slab->class].block_count;
}

static unsigned uncollected(const struct qyi_slab *slab)
{
    return qyi_slab_uncollected(qyi_slab_granule(slab), slab->class);
}

static char *block_at(const struct qyi_slab *slab, uint32_t number)
{
    return qyi_granule_address(qyi_slab_granule(slab)) + (size_t)number * qyi_classes[slab->class].bytes;
}

/* Take count blocks; out[0] is the first to be handed out. */
static unsigned take(struct qyi_slab *slab, void **out, unsigned count)
{
    void *slots[QYI_SLAB_BLOCKS_MAX];
    const unsigned got = qyi_slab_take(slab, slots + count, count);
    for (unsigned i = 0; i < got; i++)
        out[i] = slots[count - 1 - i];
    return got;
}

/* Blocks of these sizes: many words of bitmap beside the record, few words in it, and a last word that is not full. */
static const size_t SIZES[] = {16, 48, 64, 112, 240, 256, 272, 1024, 5120, 8192, 10240, 28672, QYI_SMALL_BYTES};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* ---- the owner ---- */

START_TEST(test_a_new_slab_has_all_its_blocks_to_give)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_slab *slab = new_slab(class);
        const uint32_t granule = qyi_slab_granule(slab);
        require(slab->class == class);
        require(qyi_slab_available(slab) == qyi_classes[class].block_count);
        require(qyi_slab_is_empty(slab));
        require(!slab->listed);
        require(uncollected(slab) == 0);
        require(qyi_slab_at(granule) == slab);
        for (uint32_t i = 0; i < qyi_classes[class].granule_count; i++) {
            require(qyi_entry_owner(qyi_entry(granule + i)) == OWNER);
            require(qyi_entry_class(qyi_entry(granule + i)) == class);
            require(qyi_run_first(granule + i) == granule);
        }
        qyi_slab_validate(slab);
    }
}
END_TEST

START_TEST(test_blocks_are_handed_out_upwards_and_aligned)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_slab *slab = new_slab(class);
        const size_t bytes = qyi_classes[class].bytes;
        const unsigned count = block_count(slab);
        require(take(slab, blocks, count) == count);
        for (unsigned i = 0; i < count; i++) {
            require(blocks[i] == block_at(slab, i));
            require((uintptr_t)blocks[i] % qyi_min(bytes & -bytes, QYI_GRANULE_BYTES) == 0);
        }
        require(qyi_slab_available(slab) == 0);
        require(take(slab, blocks, 1) == 0);
        require(!qyi_slab_is_empty(slab));
    }
}
END_TEST

START_TEST(test_freed_blocks_come_before_untouched_ones_lowest_first)
{
    void *blocks[10];
    struct qyi_slab *slab = new_slab(qyi_class_of(64));
    ck_assert_uint_eq(take(slab, blocks, 10), 10);
    ck_assert(unit_put(slab, 7, 1));
    ck_assert(unit_put(slab, 2, 2));
    ck_assert_uint_eq(slab->free_count, 3);
    ck_assert_uint_eq(take(slab, blocks, 2), 2);
    ck_assert_ptr_eq(blocks[0], block_at(slab, 2));
    ck_assert_ptr_eq(blocks[1], block_at(slab, 3));
    ck_assert_uint_eq(take(slab, blocks, 3), 3);
    ck_assert_ptr_eq(blocks[0], block_at(slab, 7));
    ck_assert_ptr_eq(blocks[1], block_at(slab, 10));
    ck_assert_ptr_eq(blocks[2], block_at(slab, 11));
    ck_assert_uint_eq(slab->free_count, 0);
    ck_assert_uint_eq(slab->carved, 12);
    qyi_slab_validate(slab);
}
END_TEST

START_TEST(test_a_stretch_across_words_can_be_put_at_once)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    struct qyi_slab *slab = new_slab(qyi_class_of(16));
    ck_assert_uint_eq(take(slab, blocks, 1000), 1000);
    ck_assert(unit_put(slab, 60, 300));
    ck_assert_uint_eq(slab->free_count, 300);
    qyi_slab_validate(slab);
    ck_assert_uint_eq(take(slab, blocks, 300), 300);
    for (unsigned i = 0; i < 300; i++)
        require(blocks[i] == block_at(slab, 60 + i));
    ck_assert_uint_eq(slab->free_count, 0);
    ck_assert(unit_put(slab, 0, 1000));
    ck_assert(qyi_slab_is_empty(slab));
    qyi_slab_validate(slab);
}
END_TEST

/* Ascending, descending, and from both ends: what programs do when they take something down. */
START_TEST(test_a_slab_is_empty_when_all_its_blocks_are_back_in_any_order)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        struct qyi_slab *slab = new_slab(qyi_class_of(SIZES[i]));
        const unsigned count = block_count(slab);
        for (unsigned order = 0; order < 3; order++) {
            require(take(slab, blocks, count) == count);
            for (unsigned k = 0; k < count; k++) {
                require(!qyi_slab_is_empty(slab));
                const unsigned number = order == 0   ? k
                                        : order == 1 ? count - 1 - k
                                        : k % 2 == 0 ? k / 2
                                                     : count - 1 - k / 2;
                require(unit_put(slab, number, 1));
            }
            require(qyi_slab_is_empty(slab));
            require(slab->free_count == count);
            qyi_slab_validate(slab);
        }
    }
}
END_TEST

START_TEST(test_random_takes_and_puts_agree_with_a_model)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    static bool out[QYI_SLAB_BLOCKS_MAX];
    uint64_t seed = (uint64_t)_i + 1;
    struct qyi_slab *slab = new_slab(qyi_class_of(SIZES[_i]));
    const unsigned count = block_count(slab);
    unsigned taken = 0;
    for (unsigned step = 0; step < unit_rounds(2000); step++) {
        if (unit_below(&seed, 2) == 0) {
            const unsigned wanted = 1 + (unsigned)unit_below(&seed, qyi_min(count, 100));
            const unsigned got = take(slab, blocks, wanted);
            require(got == qyi_min(wanted, count - taken));
            taken += got;
            for (unsigned i = 0; i < got; i++) {
                const uint32_t number = qyi_slab_block(slab, blocks[i]);
                require(number < count && blocks[i] == block_at(slab, number));
                require(!out[number]);
                out[number] = true;
            }
        } else {
            const unsigned first = (unsigned)unit_below(&seed, count);
            unsigned length = 0;
            const unsigned most = 1 + (unsigned)unit_below(&seed, 150);
            while (length < most && first + length < count && out[first + length])
                out[first + length++] = false;
            if (length != 0)
                require(unit_put(slab, first, length));
            taken -= length;
        }
        require(qyi_slab_available(slab) == count - taken);
        require(qyi_slab_is_empty(slab) == (taken == 0));
        qyi_slab_validate(slab);
    }
}
END_TEST

START_TEST(test_putting_a_block_twice_is_noticed)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const unsigned class = qyi_class_of(SIZES[i]);
        const unsigned count = qyi_classes[class].block_count;
        for (unsigned number = 0; number < count; number += 1 + count / 50) {
            struct qyi_slab *slab = new_slab(class);
            require(take(slab, blocks, count) == count);
            uint32_t twice = UINT32_MAX;
            require(unit_put(slab, number, 1));
            require(!qyi_slab_put(slab, number, 1, &twice));
            require(twice == number);
        }
    }
}
END_TEST

START_TEST(test_a_stretch_with_one_free_block_is_noticed)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    static const unsigned FREE[] = {10, 63, 64, 127, 128, 209};
    for (size_t i = 0; i < sizeof FREE / sizeof FREE[0]; i++) {
        uint32_t twice = UINT32_MAX;
        struct qyi_slab *slab = new_slab(qyi_class_of(16));
        require(take(slab, blocks, 1000) == 1000);
        require(unit_put(slab, FREE[i], 1));
        require(!qyi_slab_put(slab, 10, 200, &twice));
        require(twice == FREE[i]);
    }
}
END_TEST

START_TEST(test_the_number_of_a_block_is_found_from_its_address_only)
{
    void *blocks[8];
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_slab *slab = new_slab(class);
        const unsigned count = (unsigned)qyi_min(5, block_count(slab) - 1);
        require(take(slab, blocks, count) == count);
        for (unsigned i = 0; i < count; i++) {
            require(qyi_slab_block(slab, blocks[i]) == i);
            require(qyi_slab_block(slab, (char *)blocks[i] + 1) >= slab->carved);
            require(qyi_slab_block(slab, (char *)blocks[i] + 8) >= slab->carved);
            require(qyi_slab_block(slab, (char *)blocks[i] + qyi_classes[class].bytes - 1) >= slab->carved);
        }
        require(qyi_slab_block(slab, block_at(slab, count)) >= slab->carved); /* never handed out */
    }
}
END_TEST

START_TEST(test_a_deleted_slab_leaves_no_trace_in_the_next_one)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        struct qyi_slab *slab = new_slab(qyi_class_of(SIZES[i]));
        const uint32_t granule = qyi_slab_granule(slab);
        const unsigned count = block_count(slab);
        require(take(slab, blocks, count) == count);
        for (unsigned number = 0; number < count; number++) {
            if (number % 2 == 0)
                require(unit_put(slab, number, 1));
            else
                require(unit_post(slab, number / 64, (uint64_t)1 << number % 64) != QYI_POSTED_FREE_ALREADY);
        }
        require(collect(slab));
        require(qyi_slab_is_empty(slab));
        qyi_slab_delete(slab);
        require(unit_used_bytes() == 0);
        for (size_t other = 0; other < SIZE_COUNT; other++) {
            slab = new_slab(qyi_class_of(SIZES[other]));
            require(qyi_slab_granule(slab) == granule);
            require(qyi_slab_available(slab) == block_count(slab));
            require(uncollected(slab) == 0);
            require(take(slab, blocks, block_count(slab)) == block_count(slab));
            require(collect(slab));
            require(qyi_slab_available(slab) == 0);
            require(unit_put(slab, 0, block_count(slab)));
            qyi_slab_validate(slab);
            qyi_slab_delete(slab);
        }
    }
}
END_TEST

/* ---- other threads ---- */

START_TEST(test_the_first_announcement_asks_for_the_notify_list)
{
    void *blocks[100];
    struct qyi_slab *slab = new_slab(qyi_class_of(64));
    ck_assert_uint_eq(take(slab, blocks, 100), 100);
    ck_assert_int_eq(unit_post(slab, 0, 1 << 3), QYI_POSTED_FIRST);
    ck_assert_int_eq(unit_post(slab, 0, 1 << 4), QYI_POSTED);
    ck_assert_int_eq(unit_post(slab, 1, 7), QYI_POSTED);
    ck_assert_uint_eq(uncollected(slab), 5);
    ck_assert_uint_eq(slab->free_count, 0);
    ck_assert(collect(slab));
    ck_assert_uint_eq(slab->free_count, 5);
    ck_assert_uint_eq(uncollected(slab), 0);
    ck_assert_int_eq(slab->unannounced, 0);
    ck_assert_int_eq(unit_post(slab, 1, 8), QYI_POSTED_FIRST);
    qyi_slab_validate(slab);
}
END_TEST

START_TEST(test_collected_blocks_are_handed_out_again)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        struct qyi_slab *slab = new_slab(qyi_class_of(SIZES[i]));
        const unsigned count = block_count(slab);
        require(take(slab, blocks, count) == count);
        for (unsigned w = 0; w < qyi_div_up(count, 64); w++)
            unit_post(slab, w, qyi_mask64(0, (unsigned)qyi_min(64, count - w * 64)));
        require(uncollected(slab) == count);
        require(take(slab, blocks, 1) == 0);
        require(collect(slab));
        require(qyi_slab_is_empty(slab));
        qyi_slab_validate(slab);
        require(take(slab, blocks, count) == count);
        for (unsigned k = 0; k < count; k++)
            require(blocks[k] == block_at(slab, k));
    }
}
END_TEST

START_TEST(test_posting_a_block_twice_is_noticed)
{
    void *blocks[100];
    uint64_t twice = 0;
    struct qyi_slab *slab = new_slab(qyi_class_of(64));
    ck_assert_uint_eq(take(slab, blocks, 100), 100);
    ck_assert_int_eq(unit_post(slab, 1, 0xf0), QYI_POSTED_FIRST);
    ck_assert_int_eq(qyi_slab_post(qyi_slab_granule(slab), slab->class, 1, 0x11, &twice), QYI_POSTED_FREE_ALREADY);
    ck_assert_uint_eq(twice, 0x10);
}
END_TEST

START_TEST(test_collecting_a_block_that_is_free_already_is_noticed)
{
    void *blocks[100];
    struct qyi_slab *slab = new_slab(qyi_class_of(64));
    ck_assert_uint_eq(take(slab, blocks, 100), 100);
    ck_assert(unit_put(slab, 70, 1));
    ck_assert_int_eq(unit_post(slab, 1, (uint64_t)1 << 6), QYI_POSTED_FIRST);
    ck_assert(!collect(slab));
    ck_assert_uint_eq(wrong, 70);
}
END_TEST

/* In the word that is partly carved, and in one beyond, where nobody looks but for the announcement. */
START_TEST(test_collecting_a_block_that_was_never_handed_out_is_noticed)
{
    static const uint32_t never[] = {100, 127, 128, 300, 511};
    void *blocks[100];
    struct qyi_slab *slab = new_slab(qyi_class_of(64));
    ck_assert_uint_eq(take(slab, blocks, 100), 100);
    ck_assert_int_eq(unit_post(slab, 1, (uint64_t)1 << 6), QYI_POSTED_FIRST);
    const uint32_t number = never[_i];
    ck_assert_int_eq(unit_post(slab, number / 64, (uint64_t)1 << number % 64), QYI_POSTED);
    ck_assert(!collect(slab));
    ck_assert_uint_eq(wrong, number);
}
END_TEST

START_TEST(test_collecting_nothing_changes_nothing)
{
    void *blocks[10];
    struct qyi_slab *slab = new_slab(qyi_class_of(1024));
    ck_assert(collect(slab));
    ck_assert(qyi_slab_is_empty(slab));
    ck_assert_uint_eq(take(slab, blocks, 10), 10);
    ck_assert(collect(slab));
    ck_assert_uint_eq(slab->free_count, 0);
    ck_assert_int_eq(slab->unannounced, 0);
}
END_TEST

/* Where a slab of this few blocks keeps its remote bits, the record says; a thread that has done R1 and not yet R2 is
 * imitated there. */
static void set_remote_bits(struct qyi_slab *slab, uint64_t bits) /* R1 */
{
    ck_assert_uint_le(block_count(slab), QYI_WORDS_INLINE * 64);
    ck_assert_uint_eq(atomic_fetch_or(&slab->remote_inline[0], bits) & bits, 0);
}

static bool announce(struct qyi_slab *slab, uint32_t count) /* R2 */
{
    return atomic_fetch_add(&slab->pending, count) == 0;
}

START_TEST(test_a_slab_waits_for_the_announcement_of_bits_already_collected)
{
    void *blocks[8];
    struct qyi_slab *slab = new_slab(qyi_class_of(QYI_GRANULE_BYTES / 8));
    ck_assert_uint_eq(take(slab, blocks, 8), 8);
    ck_assert(unit_put(slab, 0, 6));
    set_remote_bits(slab, 1 << 6);                                  /* R1 of a first thread */
    ck_assert_int_eq(unit_post(slab, 0, 1 << 7), QYI_POSTED_FIRST); /* a second one, R1 and R2 */
    ck_assert(collect(slab));
    ck_assert_uint_eq(slab->free_count, 8);
    ck_assert_int_eq(slab->unannounced, 1);
    ck_assert(!qyi_slab_is_empty(slab)); /* the first thread is still on its way */
    ck_assert(announce(slab, 1));        /* its R2, and it has to do R3 */
    ck_assert(!qyi_slab_is_empty(slab));
    ck_assert(collect(slab));
    ck_assert_int_eq(slab->unannounced, 0);
    ck_assert(qyi_slab_is_empty(slab));
    qyi_slab_validate(slab);
}
END_TEST

START_TEST(test_blocks_collected_before_their_announcement_can_be_used_and_freed_again)
{
    void *blocks[8];
    struct qyi_slab *slab = new_slab(qyi_class_of(QYI_GRANULE_BYTES / 8));
    ck_assert_uint_eq(take(slab, blocks, 8), 8);
    set_remote_bits(slab, 0x3);                                  /* R1 */
    ck_assert_int_eq(unit_post(slab, 0, 0x4), QYI_POSTED_FIRST); /* another thread */
    ck_assert(collect(slab));
    ck_assert_int_eq(slab->unannounced, 2);
    ck_assert_uint_eq(take(slab, blocks, 3), 3);
    ck_assert_ptr_eq(blocks[0], block_at(slab, 0));
    ck_assert_int_eq(unit_post(slab, 0, 0x1), QYI_POSTED_FIRST); /* block 0, a second time, before the first R2 */
    ck_assert(!announce(slab, 2));                               /* R2 */
    ck_assert(collect(slab));
    ck_assert_int_eq(slab->unannounced, 0);
    ck_assert_uint_eq(slab->free_count, 1);
    ck_assert(unit_put(slab, 1, 7));
    ck_assert(qyi_slab_is_empty(slab));
}
END_TEST

/* An announcement that comes while the owner is between O1 and O2 leaves the slab on the list once more, with nothing
 * to find. */
START_TEST(test_an_announcement_of_bits_already_collected_is_settled)
{
    void *blocks[8];
    struct qyi_slab *slab = new_slab(qyi_class_of(QYI_GRANULE_BYTES / 8));
    ck_assert_uint_eq(take(slab, blocks, 8), 8);
    set_remote_bits(slab, 0xff); /* R1 */
    ck_assert(collect(slab));
    ck_assert_int_eq(slab->unannounced, 8);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert(announce(slab, 1));
        ck_assert(!qyi_slab_is_empty(slab));
        ck_assert(collect(slab));
        ck_assert_int_eq(slab->unannounced, 7 - (int)i);
    }
    ck_assert(qyi_slab_is_empty(slab));
}
END_TEST

/* ---- with threads ---- */

enum { POSTERS = 2, POSTED_EACH = 1024, POSTED_BYTES = 16 };

static struct qyi_slab *shared;
static _Atomic unsigned list_wanted; /* how often somebody was asked to put the slab on the list */
static _Atomic unsigned posters_done;

static void *post_all(void *argument)
{
    const unsigned first = *(const unsigned *)argument;
    uint64_t seed = first;
    for (unsigned i = 0; i < POSTED_EACH;) {
        const unsigned block = first + i;
        unsigned count = 1 + (unsigned)unit_below(&seed, 9);
        count = (unsigned)qyi_min(count, qyi_min(64 - block % 64, POSTED_EACH - i));
        const enum qyi_posted posted = unit_post(shared, block / 64, qyi_mask64(block % 64, count));
        require(posted != QYI_POSTED_FREE_ALREADY);
        if (posted == QYI_POSTED_FIRST)
            atomic_fetch_add(&list_wanted, 1);
        i += count;
    }
    atomic_fetch_add(&posters_done, 1);
    return NULL;
}

START_TEST(test_blocks_posted_by_threads_are_collected_once_each)
{
    static void *blocks[QYI_SLAB_BLOCKS_MAX];
    static unsigned char seen[QYI_SLAB_BLOCKS_MAX];
    for (unsigned round = 0; round < unit_rounds(100); round++) {
        shared = new_slab(qyi_class_of(POSTED_BYTES));
        atomic_store(&posters_done, 0);
        atomic_store(&list_wanted, 0);
        memset(seen, 0, sizeof seen);
        require(take(shared, blocks, POSTERS * POSTED_EACH) == POSTERS * POSTED_EACH);
        pthread_t threads[POSTERS];
        unsigned firsts[POSTERS];
        for (unsigned i = 0; i < POSTERS; i++) {
            firsts[i] = i * POSTED_EACH;
            require(pthread_create(&threads[i], NULL, post_all, &firsts[i]) == 0);
        }
        unsigned collected = 0;
        while (collected < POSTERS * POSTED_EACH) {
            if (atomic_exchange(&list_wanted, 0) == 0) {
                require(atomic_load(&posters_done) < POSTERS || atomic_load(&list_wanted) != 0);
                sched_yield();
                continue;
            }
            require(collect(shared));
            require(shared->unannounced >= 0);
            const unsigned got = take(shared, blocks, shared->free_count);
            for (unsigned i = 0; i < got; i++)
                require(seen[qyi_slab_block(shared, blocks[i])]++ == 0);
            collected += got;
        }
        for (unsigned i = 0; i < POSTERS; i++)
            pthread_join(threads[i], NULL);
        require(collect(shared));
        require(shared->unannounced == 0);
        require(unit_put(shared, 0, POSTERS * POSTED_EACH));
        qyi_slab_validate(shared);
        require(qyi_slab_is_empty(shared));
        qyi_slab_delete(shared);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slab");
    TCase *owner = tcase_create("owner");
    tcase_add_checked_fixture(owner, setup, NULL);
    tcase_add_test(owner, test_a_new_slab_has_all_its_blocks_to_give);
    tcase_add_test(owner, test_blocks_are_handed_out_upwards_and_aligned);
    tcase_add_test(owner, test_freed_blocks_come_before_untouched_ones_lowest_first);
    tcase_add_test(owner, test_a_stretch_across_words_can_be_put_at_once);
    tcase_add_test(owner, test_a_slab_is_empty_when_all_its_blocks_are_back_in_any_order);
    tcase_add_loop_test(owner, test_random_takes_and_puts_agree_with_a_model, 0, SIZE_COUNT);
    tcase_add_test(owner, test_putting_a_block_twice_is_noticed);
    tcase_add_test(owner, test_a_stretch_with_one_free_block_is_noticed);
    tcase_add_test(owner, test_the_number_of_a_block_is_found_from_its_address_only);
    tcase_add_test(owner, test_a_deleted_slab_leaves_no_trace_in_the_next_one);
    suite_add_tcase(suite, owner);
    TCase *others = tcase_create("others");
    tcase_add_checked_fixture(others, setup, NULL);
    tcase_add_test(others, test_the_first_announcement_asks_for_the_notify_list);
    tcase_add_test(others, test_collected_blocks_are_handed_out_again);
    tcase_add_test(others, test_posting_a_block_twice_is_noticed);
    tcase_add_test(others, test_collecting_a_block_that_is_free_already_is_noticed);
    tcase_add_loop_test(others, test_collecting_a_block_that_was_never_handed_out_is_noticed, 0, 5);
    tcase_add_test(others, test_collecting_nothing_changes_nothing);
    tcase_add_test(others, test_a_slab_waits_for_the_announcement_of_bits_already_collected);
    tcase_add_test(others, test_blocks_collected_before_their_announcement_can_be_used_and_freed_again);
    tcase_add_test(others, test_an_announcement_of_bits_already_collected_is_settled);
    tcase_add_test(others, test_blocks_posted_by_threads_are_collected_once_each);
    suite_add_tcase(suite, others);
    return unit_run(suite);
}

/*
 * test_heap.c: magazines (refill, overflow, growth and its bounds, sweep, shrink) and the heap below them (slabs
 * taken, kept, given back, handed to other heaps).
 *
 * The slow paths are called directly: qyi_malloc would now and then look at the clock and sweep.
 */
#include "unit.h"

#include <signal.h>
#include <string.h>

static struct qyi_magazines *mine;

static void setup(void)
{
    mine = unit_attach();
}

static void *take(unsigned class)
{
    return unit_take(mine, class);
}

static void give(unsigned class, void *block)
{
    unit_give(mine, class, block);
}

/* The heap that has the slabs of a class: the thread's own, or the one that all threads share. */
static struct qyi_heap *source_of(unsigned class)
{
    return qyi_class_is_common(class) ? qyi_common : mine->heap;
}

static void **slots_of(unsigned class)
{
    return mine->magazine[class].limit - mine->growth[class].capacity;
}

static size_t held(unsigned class)
{
    return (size_t)(mine->magazine[class].top - slots_of(class));
}

/* The number-th of the blocks that the magazine holds. */
static void *held_block(unsigned class, size_t number)
{
    return number == held(class) - 1 ? mine->magazine[class].next : slots_of(class)[1 + number];
}

static size_t held_bytes(void)
{
    size_t bytes = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        bytes += held(class) * qyi_classes[class].bytes;
    return bytes;
}

static void check_magazine(unsigned class)
{
    const struct qyi_magazine *magazine = &mine->magazine[class];
    const unsigned capacity = mine->growth[class].capacity;
    require(capacity <= qyi_classes[class].slots_max);
    if (capacity == 0) {
        require(magazine->next == NULL && magazine->top == NULL && magazine->limit == NULL);
        return;
    }
    void **slots = slots_of(class);
    require(slots[-1] == NULL && slots[0] == NULL);
    require(slots <= magazine->top && magazine->top <= magazine->limit);
    require((magazine->next == NULL) == (magazine->top == slots));
    require(slots > mine->slots && magazine->limit < mine->slots + QYI_SLOTS_COUNT);
}

/* No slot belongs to two magazines. */
static void check_magazines(void)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        check_magazine(class);
        if (mine->growth[class].capacity == 0)
            continue;
        const struct qyi_magazine *magazine = &mine->magazine[class];
        for (unsigned other = 0; other < class; other++) {
            const struct qyi_magazine *that = &mine->magazine[other];
            if (mine->growth[other].capacity != 0)
                require(magazine->limit < slots_of(other) - 1 || that->limit < slots_of(class) - 1);
        }
    }
}

/* Everything that the heap has kept for later goes back. */
static void give_all_back(void)
{
    struct qyi_heap *heaps[] = {mine->heap, qyi_common};
    qyi_magazines_shrink(mine);
    for (unsigned i = 0; i < 2; i++) {
        qyi_lock(&heaps[i]->lock);
        qyi_heap_trim(heaps[i]);
        qyi_unlock(&heaps[i]->lock);
    }
}

enum { BLOCKS_MAX = 20000 };
static void *blocks[BLOCKS_MAX];

static int compare_pointers(const void *a, const void *b)
{
    const uintptr_t x = *(const uintptr_t *)a;
    const uintptr_t y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static void check_apart(void **some, size_t count, size_t bytes)
{
    qsort(some, count, sizeof *some, compare_pointers);
    for (size_t i = 1; i < count; i++)
        require((char *)some[i] - (char *)some[i - 1] >= (ptrdiff_t)bytes);
}

/* ---- magazines ---- */

START_TEST(test_a_thread_has_one_heap_and_starts_with_nothing)
{
    ck_assert(qyi_thread_is_attached());
    ck_assert_ptr_eq(mine, qyi_my_magazines());
    ck_assert_ptr_eq(mine->heap->magazines, mine);
    ck_assert_uint_eq(mine->key, qyi_owner_key(mine->heap->id));
    ck_assert(!mine->heap->idle);
    ck_assert_ptr_eq(qyi_heap_by_id(mine->heap->id), mine->heap);
    ck_assert_ptr_ne(mine->heap, qyi_common);
    ck_assert_uint_eq(held_bytes(), 0);
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

static void *find_nothing(void *unused)
{
    void *block;
    require(!qyi_thread_is_attached());
    struct qyi_magazines *none = qyi_my_magazines();
    require(none->key == 0 && qyi_my_paths.key == 0);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        require(!qyi_magazine_pop(&none->magazine[class], &block));
        require(!qyi_magazine_push(&none->magazine[class], &block));
        require(!qyi_magazine_push(qyi_my_magazine_by((uint64_t)class << QYI_ENTRY_CLASS_SHIFT), &block));
    }
    for (size_t bytes = 0; bytes <= QYI_TABLE_BYTES; bytes++)
        require(!qyi_magazine_pop(qyi_my_magazine(bytes), &block));
    return unused;
}

START_TEST(test_without_a_heap_every_magazine_is_empty_and_full)
{
    unit_in_thread(find_nothing, NULL);
}
END_TEST

START_TEST(test_before_the_start_every_magazine_is_empty_and_full)
{
    find_nothing(NULL);
}
END_TEST

START_TEST(test_refills_give_blocks_of_the_class_all_apart)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const size_t bytes = qyi_classes[class].bytes;
        const size_t count = qyi_min(BLOCKS_MAX, qyi_max(20, (2 << 20) / bytes));
        for (size_t i = 0; i < count; i++) {
            blocks[i] = take(class);
            require(qyi_entry_class(unit_entry_of(blocks[i])) == class);
            require(qyi_entry_owner(unit_entry_of(blocks[i])) == source_of(class)->id);
            require((uintptr_t)blocks[i] % qyi_min(bytes & -bytes, QYI_GRANULE_BYTES) == 0);
        }
        require(mine->magazine[class].calls == count);
        check_apart(blocks, count, bytes);
        for (size_t i = 0; i < count; i++)
            give(class, blocks[i]);
        check_magazines();
    }
    unit_check_runs();
    give_all_back();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_a_refill_keeps_within_its_bound)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        for (unsigned i = 0; i < 3000; i++) {
            const bool was_empty = held(class) == 0;
            take(class);
            require(!was_empty || held(class) < qyi_max(qyi_classes[class].refill_max, 1));
        }
        if (qyi_classes[class].bytes > 4096)
            give_all_back();
    }
}
END_TEST

START_TEST(test_blocks_come_upwards_from_a_new_slab)
{
    const unsigned class = qyi_class_of(64);
    const char *last = take(class);
    for (unsigned i = 1; i < 1000; i++) {
        const char *next = take(class);
        require(next == last + 64);
        last = next;
    }
}
END_TEST

START_TEST(test_the_block_freed_last_is_handed_out_first)
{
    const unsigned class = qyi_class_of(100);
    for (unsigned i = 0; i < 500; i++)
        blocks[i] = take(class);
    for (unsigned i = 0; i < 500; i++) {
        give(class, blocks[i]);
        require(take(class) == blocks[i]);
        give(class, blocks[i]);
    }
    for (unsigned i = 500; i-- > 490;)
        require(take(class) == blocks[i]);
}
END_TEST

START_TEST(test_push_refuses_the_block_that_was_freed_last)
{
    void *block = take(3);
    take(3);
    ck_assert(qyi_magazine_push(&mine->magazine[3], block));
    ck_assert(!qyi_magazine_push(&mine->magazine[3], block));
}
END_TEST

START_TEST(test_an_overflow_keeps_the_younger_blocks)
{
    const unsigned class = qyi_class_of(1024);
    enum { COUNT = 2000 };
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = take(class);
    unsigned given = 0;
    while (mine->flushes == 0 && given < COUNT)
        give(class, blocks[given++]);
    ck_assert_uint_eq(mine->flushes, 1);
    check_magazines();
    const size_t count = held(class);
    ck_assert_uint_gt(count, 1);
    ck_assert_uint_lt(count, given);
    for (size_t i = 0; i < count; i++)
        require(held_block(class, i) == blocks[given - count + i]);
    size_t back = 0; /* the older ones are in their slabs again */
    for (unsigned i = 0; i < given - count; i++)
        back += qyi_slab_is_empty(unit_slab_of(blocks[i])) || unit_slab_of(blocks[i])->free_count > 0;
    ck_assert_uint_eq(back, given - count);
    unit_check_runs();
}
END_TEST

START_TEST(test_a_batch_that_fits_the_magazine_needs_no_slow_calls)
{
    enum { BATCH = 500 };
    const unsigned class = qyi_class_of(64);
    uint64_t slow = 0;
    for (unsigned round = 0; round < 40; round++) {
        if (round == 20)
            slow = mine->refills + mine->flushes;
        for (unsigned i = 0; i < BATCH; i++)
            blocks[i] = take(class);
        for (unsigned i = 0; i < BATCH; i++)
            give(class, blocks[i]);
    }
    ck_assert_uint_eq(mine->refills + mine->flushes, slow);
}
END_TEST

/* Whatever a thread did, what it keeps for itself is little. */
START_TEST(test_a_thread_keeps_a_bounded_number_of_bytes)
{
    size_t bound = 2 << 20;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        bound += (size_t)qyi_classes[class].slots_first * qyi_classes[class].bytes;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
            const size_t count = 2 * (size_t)qyi_classes[class].slots_max;
            for (size_t i = 0; i < count; i++)
                blocks[i] = take(class);
            for (size_t i = 0; i < count; i++)
                give(class, blocks[i]);
            require(held(class) * qyi_classes[class].bytes <= qyi_max(256 << 10, 2 * qyi_classes[class].bytes));
        }
        check_magazines();
        require(held_bytes() <= bound);
    }
    unit_check_runs();
}
END_TEST

/* Magazines of large blocks hold little together: room is made first of what other classes have, and the clock is looked at then. */
START_TEST(test_room_for_large_blocks_is_made_of_other_classes_first)
{
    const unsigned some = qyi_class_of(16384);
    const unsigned most = qyi_class_of(65536);
    void *smaller[3];
    void *largest[3];
    for (unsigned i = 0; i < 3; i++) {
        smaller[i] = take(some);
        largest[i] = take(most);
    }
    require(held(some) == 0 && held(most) == 0);
    for (unsigned i = 0; i < 3; i++)
        require(!qyi_magazines_give(mine, some, smaller[i]));
    require(!qyi_magazines_give(mine, most, largest[0]));
    const uint64_t flushes = mine->flushes;
    require(qyi_magazines_give(mine, most, largest[1]));
    require(held(some) == 0 && held(most) == 2);
    require(qyi_magazines_give(mine, most, largest[2]));
    require(held(most) == 1 && mine->flushes == flushes + 2);
    ck_assert_uint_eq(mine->common_bytes, held_bytes());
    unit_check_runs();
}
END_TEST

START_TEST(test_flush_gives_every_block_back)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class += 5) {
        for (unsigned i = 0; i < 100; i++)
            blocks[i] = take(class);
        for (unsigned i = 0; i < 100; i++)
            give(class, blocks[i]);
    }
    ck_assert_uint_gt(held_bytes(), 0);
    qyi_magazines_flush(mine);
    ck_assert_uint_eq(held_bytes(), 0);
    check_magazines();
    unit_check_runs();
    give_all_back();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    ck_assert_uint_eq(mine->heap->slab_count, 0);
    ck_assert_uint_eq(qyi_common->slab_count, 0);
}
END_TEST

/* As after a handler that let the magazine grow while it was being popped from: what it held is lost, and nothing else. */
START_TEST(test_a_flush_leads_a_lost_top_back)
{
    for (unsigned i = 0; i < 2; i++) {
        const unsigned class = i == 0 ? 3 : QYI_CLASS_COUNT - 20;
        struct qyi_magazine *magazine = &mine->magazine[class];
        void *block = take(class);
        give(class, block);
        ck_assert_uint_ne(held(class), 0);
        magazine->top = &mine->slots[QYI_SLOTS_COUNT - 1];
        qyi_magazines_flush(mine);
        check_magazine(class);
        ck_assert_uint_eq(held(class), 0);
        for (size_t j = 0; j < 100; j++)
            give(class, blocks[j] = take(class));
        check_magazines();
    }
    qyi_magazines_shrink(mine);
    ck_assert_uint_eq(mine->common_bytes, 0);
}
END_TEST

START_TEST(test_a_sweep_gives_back_what_was_not_needed_since_the_last)
{
    const unsigned idle = qyi_class_of(64);
    const unsigned busy = qyi_class_of(256);
    void *block = take(idle);
    give(idle, block);
    take(busy);
    qyi_magazines_sweep(mine);
    ck_assert_uint_gt(held(idle), 0); /* both were refilled since the start */
    while (held(busy) != 0)
        take(busy);
    take(busy); /* refilled */
    qyi_magazines_sweep(mine);
    ck_assert_uint_eq(held(idle), 0);
    ck_assert_uint_gt(held(busy), 0);
    ck_assert_uint_eq(qyi_entry(qyi_region_offset(block) >> QYI_GRANULE_SHIFT), 0); /* its slab is gone */
    qyi_magazines_sweep(mine);
    ck_assert_uint_eq(held(busy), 0);
    unit_check_runs();
}
END_TEST

/* Shrunk magazines start again with few slots; the slots that they had will become those of other magazines. */
START_TEST(test_shrunk_magazines_do_not_share_slots)
{
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned k = 0; k < QYI_CLASS_COUNT; k++) {
            const unsigned class = round % 2 == 0 ? k : QYI_CLASS_COUNT - 1 - k; /* in another order than before */
            const size_t count = 4 * (size_t)qyi_classes[class].slots_max;
            for (size_t i = 0; i < count; i++)
                blocks[i] = take(class);
            for (size_t i = 0; i < count; i++)
                give(class, blocks[i]);
            if (k % 16 == round)
                qyi_magazines_shrink(mine);
            check_magazines();
        }
        qyi_magazines_shrink(mine);
        check_magazines();
        require(held_bytes() == 0);
    }
    give_all_back();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* Blocks of all classes taken and given at random: what is written into a block stays there until it is given. */
START_TEST(test_random_use_hands_no_block_out_twice)
{
    static struct {
        uint64_t *block;
        unsigned class;
    } live[1000];
    enum { LIVE_MAX = sizeof live / sizeof live[0] };
    uint64_t seed = (uint64_t)_i + 1;
    for (unsigned step = 0; step < unit_rounds(200000); step++) {
        const size_t i = unit_below(&seed, LIVE_MAX);
        if (live[i].block != NULL) {
            const size_t words = qyi_classes[live[i].class].bytes / sizeof(uint64_t);
            require(live[i].block[0] == i && live[i].block[words - 1] == ~(uint64_t)i);
            give(live[i].class, live[i].block);
            live[i].block = NULL;
        } else {
            live[i].class = (unsigned)unit_below(&seed, unit_below(&seed, 4) == 0 ? QYI_CLASS_COUNT : 30);
            live[i].block = take(live[i].class);
            const size_t words = qyi_classes[live[i].class].bytes / sizeof(uint64_t);
            live[i].block[words - 1] = ~(uint64_t)i;
            live[i].block[0] = i;
        }
        switch (unit_below(&seed, 4000)) {
        case 0: qyi_magazines_shrink(mine); break;
        case 1: qyi_magazines_flush(mine); break;
        case 2:
        case 3: qyi_magazines_sweep(mine); break;
        default: continue;
        }
        check_magazines();
        unit_check_runs();
    }
    for (size_t i = 0; i < LIVE_MAX; i++) {
        if (live[i].block != NULL)
            give(live[i].class, live[i].block);
    }
    unit_check_runs();
    give_all_back();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* ---- slabs ---- */

START_TEST(test_take_continues_in_the_next_slab_with_room)
{
    const unsigned class = qyi_class_of(QYI_GRANULE_BYTES / 8); /* 8 blocks a slab */
    struct qyi_heap *heap = source_of(class);
    void *slots[40];
    qyi_lock(&heap->lock);
    for (unsigned taken = 0; taken < 24;) {
        const unsigned got = qyi_heap_take(heap, class, slots + 40 - taken, 24 - taken);
        require(got > 0);
        taken += got;
    }
    for (unsigned i = 16; i < 40; i += 3)
        qyi_heap_put(heap, class, &slots[i], 1);
    void *again[8];
    ck_assert_uint_eq(qyi_heap_take(heap, class, again + 8, 8), 8); /* from three slabs, and no new one */
    ck_assert_uint_eq(heap->slab_count, 3);
    qyi_unlock(&heap->lock);
    unit_check_runs();
}
END_TEST

START_TEST(test_a_new_slab_is_not_begun_just_to_fill_up)
{
    const unsigned class = qyi_class_of(QYI_GRANULE_BYTES / 8);
    struct qyi_heap *heap = source_of(class);
    void *slots[20];
    qyi_lock(&heap->lock);
    ck_assert_uint_eq(qyi_heap_take(heap, class, slots + 20, 5), 5);
    ck_assert_uint_eq(qyi_heap_take(heap, class, slots + 15, 15), 3);
    ck_assert_uint_eq(heap->slab_count, 1);
    qyi_unlock(&heap->lock);
}
END_TEST

/* A heap may keep the last one of a class, if it is small: it would come and go. */
START_TEST(test_empty_slabs_go_back_at_once_but_for_a_small_one)
{
    static const size_t BYTES[] = {64, 1024, 8192, 65536};
    for (size_t i = 0; i < sizeof BYTES / sizeof BYTES[0]; i++) {
        const unsigned class = qyi_class_of(BYTES[i]);
        const unsigned count = 8 * qyi_classes[class].block_count;
        struct qyi_heap *heap = source_of(class);
        qyi_lock(&heap->lock);
        for (unsigned taken = 0; taken < count;)
            taken += qyi_heap_take(heap, class, blocks + count - taken, count - taken);
        ck_assert_uint_eq(heap->slab_count, 8);
        qyi_heap_put(heap, class, blocks, count);
        ck_assert_uint_le(heap->slab_count, qyi_classes[class].granule_count == 1 ? 1 : 0);
        ck_assert_uint_eq(unit_used_bytes(), heap->slab_count * QYI_GRANULE_BYTES);
        qyi_heap_trim_class(heap, class);
        ck_assert_uint_eq(heap->slab_count, 0);
        qyi_unlock(&heap->lock);
        ck_assert_uint_eq(unit_used_bytes(), 0);
    }
}
END_TEST

/* In order, backwards, in steps, and shuffled. */
START_TEST(test_blocks_can_be_put_in_any_order)
{
    const unsigned class = qyi_class_of(48);
    enum { COUNT = 3000 };
    struct qyi_heap *heap = source_of(class);
    uint64_t seed = 1;
    for (unsigned order = 0; order < 4; order++) {
        void *slots[COUNT];
        void *ordered[COUNT];
        qyi_lock(&heap->lock);
        for (unsigned taken = 0; taken < COUNT;)
            taken += qyi_heap_take(heap, class, slots + COUNT - taken, COUNT - taken);
        for (unsigned i = 0; i < COUNT; i++)
            ordered[i] = slots[order == 0 ? i : order == 1 ? COUNT - 1 - i : order == 2 ? (i * 7) % COUNT : i];
        for (unsigned i = 0; order == 3 && i < COUNT; i++) {
            const size_t other = unit_below(&seed, COUNT);
            void *swapped = ordered[i];
            ordered[i] = ordered[other];
            ordered[other] = swapped;
        }
        for (unsigned i = 0; i < COUNT; i += 100)
            qyi_heap_put(heap, class, &ordered[i], 100);
        qyi_heap_trim(heap);
        require(heap->slab_count == 0);
        qyi_unlock(&heap->lock);
        require(unit_used_bytes() == 0);
    }
}
END_TEST

/* ---- misuse ---- */

static void put(void **some, size_t count, unsigned class)
{
    qyi_lock(&mine->heap->lock);
    qyi_heap_put(mine->heap, class, some, count);
    qyi_unlock(&mine->heap->lock);
}

static void take_some(unsigned class, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        blocks[i] = take(class);
}

START_TEST(test_putting_a_block_twice_in_one_batch_aborts)
{
    take_some(3, 20);
    blocks[13] = blocks[4];
    put(blocks, 20, 3);
}
END_TEST

START_TEST(test_putting_a_free_block_aborts)
{
    take_some(3, 20);
    put(blocks, 20, 3);
    put(&blocks[7], 1, 3);
}
END_TEST

START_TEST(test_putting_a_stretch_with_a_free_block_aborts)
{
    take_some(3, 20);
    put(&blocks[7], 1, 3);
    put(blocks, 20, 3);
}
END_TEST

START_TEST(test_putting_a_pointer_into_a_block_aborts)
{
    take_some(20, 3);
    blocks[1] = (char *)blocks[1] + 16;
    put(blocks, 3, 20);
}
END_TEST

START_TEST(test_putting_a_block_never_handed_out_aborts)
{
    take_some(20, 1);
    const struct qyi_slab *slab = unit_slab_of(blocks[0]);
    blocks[0] = (char *)blocks[0] + (size_t)slab->carved * qyi_classes[20].bytes;
    put(blocks, 1, 20);
}
END_TEST

START_TEST(test_putting_a_block_of_another_class_aborts)
{
    take_some(20, 1);
    put(blocks, 1, 19);
}
END_TEST

START_TEST(test_flushing_a_block_that_was_freed_twice_aborts)
{
    take_some(5, 3);
    give(5, blocks[0]);
    give(5, blocks[1]);
    give(5, blocks[0]);
    qyi_magazines_flush(mine);
}
END_TEST

/* ---- heaps without a thread ---- */

static void *take_blocks_and_end(void *argument)
{
    struct qyi_magazines *own = unit_attach();
    for (unsigned i = 0; i < 2000; i++)
        *(void **)argument = unit_take(own, 6);
    return NULL;
}

START_TEST(test_an_idle_heap_is_adopted_by_the_next_thread)
{
    const uint32_t before = qyi_heap_count();
    void *block;
    for (unsigned i = 0; i < 50; i++)
        unit_in_thread(take_blocks_and_end, &block);
    ck_assert_uint_eq(qyi_heap_count(), before + 1);
    struct qyi_heap *idle = qyi_heap_by_id(before + 1);
    ck_assert(idle->idle);
    ck_assert_ptr_eq(qyi_heap_adopt(), idle);
    ck_assert(!idle->idle);
    ck_assert_ptr_eq(idle->magazines->heap, idle);
    ck_assert_uint_eq(idle->magazines->key, qyi_owner_key(idle->id));
    struct qyi_heap *another = qyi_heap_adopt();
    ck_assert_ptr_ne(another, idle);
    ck_assert_uint_eq(qyi_heap_count(), before + 2);
    qyi_heap_retire(another, false);
    qyi_heap_retire(idle, false);
    ck_assert(idle->idle && another->idle);
    unit_check_runs();
}
END_TEST

static void *take_and_give(void *unused)
{
    struct qyi_magazines *own = unit_attach();
    void *taken[10];
    for (unsigned i = 0; i < 10; i++)
        taken[i] = unit_take(own, 6);
    for (unsigned i = 1; i < 10; i++)
        unit_give(own, 6, taken[i]);
    return unused;
}

START_TEST(test_slabs_of_ended_threads_serve_others)
{
    unit_in_thread(take_and_give, NULL); /* one block of it stays in use */
    qyi_heaps_unload(true);
    const size_t used = unit_used_bytes();
    ck_assert_uint_gt(used, 0);
    ck_assert_uint_eq(qyi_common->slab_count, 1);
    unit_check_runs();
    void *block = take(6);
    ck_assert_uint_eq(qyi_entry_owner(unit_entry_of(block)), mine->heap->id);
    ck_assert_uint_eq(qyi_common->slab_count, 0);
    ck_assert_uint_eq(unit_used_bytes(), used); /* no new slab */
    unit_check_runs();
}
END_TEST

START_TEST(test_empty_slabs_of_ended_threads_go_back)
{
    void *block;
    unit_in_thread(take_blocks_and_end, &block);
    qyi_heaps_unload(true);
    ck_assert_uint_gt(unit_used_bytes(), 0);
    const size_t used = unit_used_bytes();
    unit_in_thread(take_and_give, NULL);
    qyi_heaps_unload(true);
    ck_assert_uint_le(unit_used_bytes(), used + QYI_GRANULE_BYTES);
    unit_check_runs();
}
END_TEST

START_TEST(test_calls_of_ended_threads_are_not_forgotten)
{
    void *block;
    unit_in_thread(take_blocks_and_end, &block);
    qyi_heaps_unload(true);
    ck_assert_uint_eq(atomic_load(&qyi_heap_past_calls[6]), 2000);
    ck_assert_uint_gt(atomic_load(&qyi_heap_past.refills), 0);
    unit_in_thread(take_blocks_and_end, &block);
    qyi_heaps_unload(true);
    ck_assert_uint_eq(atomic_load(&qyi_heap_past_calls[6]), 4000);
}
END_TEST

START_TEST(test_the_common_heap_gives_single_blocks)
{
    for (unsigned i = 0; i < 2000; i++) {
        blocks[i] = qyi_common_take_one(4);
        require(blocks[i] != NULL);
        require(qyi_entry_owner(unit_entry_of(blocks[i])) == qyi_common->id);
    }
    ck_assert_uint_eq(atomic_load(&qyi_heap_past_calls[4]), 2000);
    check_apart(blocks, 2000, qyi_classes[4].bytes);
    unit_check_runs();
}
END_TEST

/* ---- news ---- */

static void drain(struct qyi_heap *heap)
{
    qyi_lock(&heap->lock);
    qyi_heap_drain(heap);
    qyi_unlock(&heap->lock);
}

START_TEST(test_news_are_drained_once)
{
    take_some(6, 10);
    struct qyi_heap *heap = mine->heap;
    struct qyi_slab *slab = unit_slab_of(blocks[0]);
    const unsigned available = qyi_slab_available(slab);
    ck_assert(!qyi_heap_has_news(heap));
    ck_assert_int_eq(unit_post(slab, 0, 0x3ff), QYI_POSTED_FIRST);
    qyi_heap_notify(heap->id, qyi_slab_granule(slab));
    ck_assert(qyi_heap_has_news(heap));
    drain(heap);
    ck_assert(!qyi_heap_has_news(heap));
    ck_assert_uint_eq(qyi_slab_available(slab), available + 10);
    drain(heap);
    ck_assert_uint_eq(qyi_slab_available(slab), available + 10);
    unit_check_runs();
}
END_TEST

/* A whole slab in the program's hands, and one block of it comes back: of the thread's own heap, and of the common
 * one. */
START_TEST(test_a_refill_looks_at_the_news_first)
{
    const unsigned class = qyi_class_of(_i == 0 ? 1024 : 65536);
    const unsigned count = qyi_classes[class].block_count;
    struct qyi_heap *heap = source_of(class);
    take_some(class, count);
    ck_assert_uint_eq(heap->slab_count, 1);
    struct qyi_slab *slab = unit_slab_of(blocks[0]);
    ck_assert_uint_eq(qyi_slab_available(slab), 0);
    ck_assert(!slab->listed);
    const unsigned number = count / 2;
    ck_assert_int_eq(unit_post(slab, 0, (uint64_t)1 << number), QYI_POSTED_FIRST);
    qyi_heap_notify(heap->id, qyi_slab_granule(slab));
    ck_assert_ptr_eq(take(class), blocks[number]);
    ck_assert_uint_eq(heap->slab_count, 1);
}
END_TEST

START_TEST(test_news_of_several_slabs_are_all_drained)
{
    const unsigned class = qyi_class_of(8192);
    struct qyi_heap *heap = source_of(class);
    take_some(class, 80);
    ck_assert_uint_ge(heap->slab_count, 10);
    for (unsigned i = 0; i < 80; i++) {
        struct qyi_slab *slab = unit_slab_of(blocks[i]);
        if (unit_post(slab, 0, (uint64_t)1 << qyi_slab_block(slab, blocks[i])) == QYI_POSTED_FIRST)
            qyi_heap_notify(heap->id, qyi_slab_granule(slab));
    }
    qyi_magazines_flush(mine);
    drain(heap);
    ck_assert_uint_le(heap->slab_count, 1);
    give_all_back();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* A thread has announced blocks; before it gets to the list of the owner that it saw, the slab has another owner. */
START_TEST(test_news_for_a_former_owner_are_passed_on)
{
    struct qyi_heap *former = qyi_heap_adopt();
    void *taken[10];
    qyi_lock(&former->lock);
    ck_assert_uint_eq(qyi_heap_take(former, 6, taken + 10, 10), 10);
    qyi_unlock(&former->lock);
    struct qyi_slab *slab = unit_slab_of(taken[0]);
    const uint32_t granule = qyi_slab_granule(slab);
    ck_assert_int_eq(unit_post(slab, 0, 0x3ff), QYI_POSTED_FIRST);
    qyi_heap_retire(former, false); /* the slab has room: it becomes an orphan */
    ck_assert_uint_eq(qyi_entry_owner(qyi_entry(granule)), qyi_common->id);
    ck_assert(!qyi_heap_has_news(qyi_common));
    qyi_heap_notify(former->id, granule); /* R3, late */
    ck_assert(qyi_heap_has_news(former));
    drain(former);
    ck_assert(!qyi_heap_has_news(former));
    ck_assert(qyi_heap_has_news(qyi_common));
    drain(qyi_common);
    qyi_lock(&qyi_common->lock);
    qyi_heap_trim(qyi_common);
    qyi_unlock(&qyi_common->lock);
    ck_assert_uint_eq(unit_used_bytes(), 0);
    ck_assert_uint_eq(qyi_common->slab_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *unstarted = tcase_create("unstarted");
    tcase_add_test(unstarted, test_before_the_start_every_magazine_is_empty_and_full);
    suite_add_tcase(suite, unstarted);
    TCase *magazines = tcase_create("magazines");
    tcase_add_checked_fixture(magazines, setup, NULL);
    tcase_add_test(magazines, test_a_thread_has_one_heap_and_starts_with_nothing);
    tcase_add_test(magazines, test_without_a_heap_every_magazine_is_empty_and_full);
    tcase_add_test(magazines, test_refills_give_blocks_of_the_class_all_apart);
    tcase_add_test(magazines, test_a_refill_keeps_within_its_bound);
    tcase_add_test(magazines, test_blocks_come_upwards_from_a_new_slab);
    tcase_add_test(magazines, test_the_block_freed_last_is_handed_out_first);
    tcase_add_test(magazines, test_push_refuses_the_block_that_was_freed_last);
    tcase_add_test(magazines, test_an_overflow_keeps_the_younger_blocks);
    tcase_add_test(magazines, test_a_batch_that_fits_the_magazine_needs_no_slow_calls);
    tcase_add_test(magazines, test_a_thread_keeps_a_bounded_number_of_bytes);
    tcase_add_test(magazines, test_room_for_large_blocks_is_made_of_other_classes_first);
    tcase_add_test(magazines, test_flush_gives_every_block_back);
    tcase_add_test(magazines, test_a_flush_leads_a_lost_top_back);
    tcase_add_test(magazines, test_a_sweep_gives_back_what_was_not_needed_since_the_last);
    tcase_add_test(magazines, test_shrunk_magazines_do_not_share_slots);
    tcase_add_loop_test(magazines, test_random_use_hands_no_block_out_twice, 0, 3);
    suite_add_tcase(suite, magazines);
    TCase *slabs = tcase_create("slabs");
    tcase_add_checked_fixture(slabs, setup, NULL);
    tcase_add_test(slabs, test_take_continues_in_the_next_slab_with_room);
    tcase_add_test(slabs, test_a_new_slab_is_not_begun_just_to_fill_up);
    tcase_add_test(slabs, test_empty_slabs_go_back_at_once_but_for_a_small_one);
    tcase_add_test(slabs, test_blocks_can_be_put_in_any_order);
    suite_add_tcase(suite, slabs);
    TCase *misuse = tcase_create("misuse");
    tcase_add_checked_fixture(misuse, setup, NULL);
    tcase_add_test_raise_signal(misuse, test_putting_a_block_twice_in_one_batch_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_putting_a_free_block_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_putting_a_stretch_with_a_free_block_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_putting_a_pointer_into_a_block_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_putting_a_block_never_handed_out_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_putting_a_block_of_another_class_aborts, SIGABRT);
    tcase_add_test_raise_signal(misuse, test_flushing_a_block_that_was_freed_twice_aborts, SIGABRT);
    suite_add_tcase(suite, misuse);
    TCase *idle = tcase_create("idle");
    tcase_add_checked_fixture(idle, setup, NULL);
    tcase_add_test(idle, test_an_idle_heap_is_adopted_by_the_next_thread);
    tcase_add_test(idle, test_slabs_of_ended_threads_serve_others);
    tcase_add_test(idle, test_empty_slabs_of_ended_threads_go_back);
    tcase_add_test(idle, test_calls_of_ended_threads_are_not_forgotten);
    tcase_add_test(idle, test_the_common_heap_gives_single_blocks);
    suite_add_tcase(suite, idle);
    TCase *news = tcase_create("news");
    tcase_add_checked_fixture(news, setup, NULL);
    tcase_add_test(news, test_news_are_drained_once);
    tcase_add_loop_test(news, test_a_refill_looks_at_the_news_first, 0, 2);
    tcase_add_test(news, test_news_of_several_slabs_are_all_drained);
    tcase_add_test(news, test_news_for_a_former_owner_are_passed_on);
    suite_add_tcase(suite, news);
    return unit_run(suite);
}

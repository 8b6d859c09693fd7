/*
 * test_slice.c: single slices: making, to and from malloc, sharing, cutting, writing, looking.
 */
#include "unit_slices.h"

/* ---- making ---- */

START_TEST(test_a_slice_is_an_iovec)
{
    ck_assert_uint_eq(sizeof(qy_slice), 16);
    ck_assert_uint_eq(sizeof(qy_slice), sizeof(struct iovec));
    int ends[2];
    require(pipe(ends) == 0);
    qy_slice parts[] = {text("one "), QY_SLICE_EMPTY, text("two "), text("three")};
    ck_assert_int_eq(writev(ends[1], parts, 4), 13);
    char line[14] = "";
    ck_assert_int_eq(read(ends[0], line, 13), 13);
    ck_assert_str_eq(line, "one two three");
    qy_slices_drop(parts, 4);
    nothing_left();
}
END_TEST

START_TEST(test_new_slices_have_lines_of_their_own)
{
    for (size_t i = 0; i < LENGTH_COUNT; i++) {
        qy_slice slice = qy_slice_new(LENGTHS[i]);
        require(slice.iov_len == LENGTHS[i] && (uintptr_t)slice.iov_base % 64 == 0);
        require(qy_base(slice.iov_base) == slice.iov_base && qy_capacity(slice.iov_base) >= LENGTHS[i]);
        require(qy_is_unique(slice.iov_base));
        memset(slice.iov_base, 1, slice.iov_len);
        qy_slice_drop(&slice);
        require(same(slice, QY_SLICE_EMPTY));
    }
    nothing_left();
}
END_TEST

START_TEST(test_every_short_length_is_aligned)
{
    for (size_t length = 1; length <= 5000; length++) {
        qy_slice slice = qy_slice_new(length);
        require(slice.iov_len == length && (uintptr_t)slice.iov_base % 64 == 0);
        qy_slice_drop(&slice);
    }
    nothing_left();
}
END_TEST

START_TEST(test_any_alignment_can_be_had)
{
    for (size_t align = 1; align <= (size_t)1 << 21; align *= 2) {
        for (size_t i = 0; i < LENGTH_COUNT; i++) {
            qy_slice slice = qy_slice_new_aligned(align, LENGTHS[i]);
            require(slice.iov_len == LENGTHS[i] && (uintptr_t)slice.iov_base % align == 0);
            require(qy_base(byte_at(slice, LENGTHS[i] - 1)) == slice.iov_base);
            qy_slice_drop(&slice);
        }
        require(is_empty(qy_slice_new_aligned(align, 0)));
    }
    nothing_left();
}
END_TEST

START_TEST(test_an_alignment_is_a_power_of_two)
{
    static const size_t WRONG[] = {0, 3, 48, 100, SIZE_MAX};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        require(is_empty(qy_slice_new_aligned(WRONG[i], 100)));
        failed_with(EINVAL);
    }
}
END_TEST

START_TEST(test_zeroed_slices_are_zero)
{
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < LENGTH_COUNT; i++) {
            qy_slice dirt = qy_slice_new(LENGTHS[i]);
            memset(dirt.iov_base, 0xff, LENGTHS[i]);
            qy_slice_drop(&dirt);
            qy_slice slice = qy_slice_zeroed(LENGTHS[i]);
            require(slice.iov_len == LENGTHS[i] && (uintptr_t)slice.iov_base % 64 == 0);
            require(*byte_at(slice, 0) == 0 && memcmp(slice.iov_base, byte_at(slice, 1), LENGTHS[i] - 1) == 0);
            qy_slice_drop(&slice);
        }
    }
    nothing_left();
}
END_TEST

START_TEST(test_a_copy_is_independent_of_its_origin)
{
    char bytes[] = "original";
    qy_slice slice = qy_slice_copy(bytes, 8);
    strcpy(bytes, "changed.");
    require(is(slice, "original"));
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

START_TEST(test_nothing_owns_nothing)
{
    char byte = 'x';
    require(same(qy_slice_new(0), QY_SLICE_EMPTY));
    require(same(qy_slice_zeroed(0), QY_SLICE_EMPTY));
    require(same(qy_slice_copy(NULL, 0), QY_SLICE_EMPTY));
    require(same(qy_slice_static(NULL, 0), QY_SLICE_EMPTY));
    require(same(qy_slice_from(&byte, 0), QY_SLICE_EMPTY));
    require(same(qy_slice_clone((qy_slice){&byte, 0}), QY_SLICE_EMPTY));
    require(same(qy_slice_sub((qy_slice){&byte, 0}, 0, 0), QY_SLICE_EMPTY));
    qy_slice slice = {&byte, 0}; /* whatever its pointer says */
    require(qy_slice_into_raw(&slice) == NULL);
    require(is_empty(qy_slice_split_to(&slice, 0)) && is_empty(qy_slice_split_off(&slice, 0)));
    slice = (qy_slice){&byte, 0};
    qy_slice_truncate(&slice, 0);
    require(qy_slice_advance(&slice, 0) == 0);
    require(qy_slice_make_mut(&slice) == NULL && qy_slice_try_mut(&slice) == NULL);
    require(qy_slice_compact(&slice, 100) == 0);
    qy_slice other = {&byte, 0};
    require(qy_slice_unsplit(&slice, &other) == 0);
    require(qy_slices_retain(&other, 1) == 0 && qy_slices_retain(NULL, 0) == 0);
    qy_slices_drop(&other, 1);
    qy_slices_drop(NULL, 0);
    qy_slice frames[2];
    other = (qy_slice){&byte, 0};
    require(qy_slice_split_steps(&other, 1, frames, 2) == 0);
    require(qy_slice_split_lines(&other, '\n', frames, 2) == 0);
    require(qy_slice_split_prefixed(&other, 2, false, 10, frames, 2) == 0);
    slice = (qy_slice){&byte, 0};
    qy_slice_drop(&slice);
    require(same(slice, QY_SLICE_EMPTY));
    nothing_left();
}
END_TEST

START_TEST(test_too_much_is_out_of_memory)
{
    static const size_t HUGE[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 63, SIZE_MAX};
    for (size_t i = 0; i < sizeof HUGE / sizeof HUGE[0]; i++) {
        require(is_empty(qy_slice_new(HUGE[i])));
        failed_with(ENOMEM);
        require(is_empty(qy_slice_zeroed(HUGE[i])));
        failed_with(ENOMEM);
        require(is_empty(qy_slice_new_aligned(64, HUGE[i])));
        failed_with(ENOMEM);
        require(is_empty(qy_slice_copy("", HUGE[i])));
        failed_with(ENOMEM);
    }
}
END_TEST

/* ---- to and from malloc ---- */

START_TEST(test_a_block_of_malloc_is_adopted_as_it_is)
{
    for (size_t i = 0; i < LENGTH_COUNT; i++) {
        char *block = qyi_malloc(LENGTHS[i]);
        block[LENGTHS[i] - 1] = 'e';
        const uint64_t before = allocations();
        qy_slice slice = qy_slice_adopt(block, LENGTHS[i]);
        require(same(slice, ((qy_slice){block, LENGTHS[i]})));
        qy_slice end = qy_slice_sub(slice, LENGTHS[i] - 1, 1);
        require(qy_refcount(block) == 2);
        qy_slice_drop(&slice);
        require(is(end, "e"));
        require(allocations() == before);
        qy_slice_drop(&end);
    }
    nothing_left();
}
END_TEST

START_TEST(test_what_cannot_be_adopted_stays_the_callers)
{
    char local[10];
    char *block = qyi_malloc(100);
    require(is_empty(qy_slice_adopt(block, 1000)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_adopt(block + 16, 10)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_adopt(local, 10)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_adopt(NULL, 10)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_adopt(local, 0)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_adopt(block + 16, 0)));
    failed_with(EINVAL);
    require(live_blocks() == 1);
    require(is_empty(qy_slice_adopt(block, 0))); /* frees it */
    require(is_empty(qy_slice_adopt(NULL, 0)));
    nothing_left();
}
END_TEST

START_TEST(test_bytes_at_the_start_go_back_as_they_are)
{
    qy_slice slice = text("bytes");
    char *bytes = slice.iov_base;
    qy_slice other = qy_slice_clone(slice);
    const uint64_t before = allocations();
    char *raw = qy_slice_into_raw(&slice);
    require(raw == bytes && same(slice, QY_SLICE_EMPTY)); /* shared, but where they have to be */
    qyi_free(raw);
    require(is(other, "bytes") && qy_is_unique(bytes));
    require(qy_slice_into_raw(&other) == bytes);
    require(allocations() == before);
    qyi_free(bytes);
    nothing_left();
}
END_TEST

START_TEST(test_bytes_of_a_sole_owner_move_to_the_start)
{
    qy_slice slice = text("0123456789");
    char *start = slice.iov_base;
    require(qy_slice_advance(&slice, 3) == 0);
    const uint64_t before = allocations();
    char *raw = qy_slice_into_raw(&slice);
    require(raw == start && memcmp(raw, "3456789", 7) == 0 && is_empty(slice));
    require(allocations() == before);
    qyi_free(raw);
    nothing_left();
}
END_TEST

START_TEST(test_shared_bytes_are_copied_out_for_plain_free)
{
    qy_slice slice = text("0123456789");
    qy_slice part = qy_slice_sub(slice, 3, 4);
    char *raw = qy_slice_into_raw(&part);
    require(raw != byte_at(slice, 3) && qy_base(raw) == raw && memcmp(raw, "3456", 4) == 0 && is_empty(part));
    require(is(slice, "0123456789") && qy_is_unique(slice.iov_base));
    qyi_free(raw);
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

START_TEST(test_registered_bytes_are_copied_out_for_plain_free)
{
    static const char constant[] = "constant";
    qy_slice slice = qy_slice_static(constant, 8);
    char *raw = qy_slice_into_raw(&slice);
    require(raw != constant && memcmp(raw, "constant", 8) == 0 && is_empty(slice));
    qyi_free(raw);
}
END_TEST

START_TEST(test_without_memory_for_the_copy_the_slice_stays)
{
    if (UNIT_TSAN)
        return;
    qy_slice slice = qy_slice_new(4000000);
    qy_slice part = qy_slice_sub(slice, 1, 3999999);
    const qy_slice before = part;
    use_up(3000000);
    require(qy_slice_into_raw(&part) == NULL);
    failed_with(ENOMEM);
    require(same(part, before));
    require(qy_slice_make_mut(&part) == NULL);
    failed_with(ENOMEM);
    require(same(part, before));
    qy_slice tail = qy_slice_sub(part, 0, 3500000);
    require(qy_slice_compact(&tail, 90) == -1);
    failed_with(ENOMEM);
    require(tail.iov_base == part.iov_base && tail.iov_len == 3500000);
    require(qy_refcount(slice.iov_base) == 3);
}
END_TEST

/* ---- sharing ---- */

START_TEST(test_create_costs_one_allocation_and_sharing_none)
{
    qy_slice first = qy_slice_new(200);
    qy_slice warm = qy_slice_clone(first); /* the slab has counts now */
    for (size_t i = 0; i < LENGTH_COUNT; i++) {
        uint64_t before = allocations();
        qy_slice slice = qy_slice_new(LENGTHS[i]);
        require(allocations() == before + 1);
        before = allocations();
        qy_slice clone = qy_slice_clone(slice);
        qy_slice part = qy_slice_sub(slice, LENGTHS[i] / 2, LENGTHS[i] - LENGTHS[i] / 2);
        qy_slice known = qy_slice_from(byte_at(slice, LENGTHS[i] / 2), 1);
        require(qy_refcount(slice.iov_base) == 4);
        require(allocations() == before); /* not even for the counts */
        qy_slice_drop(&slice);
        qy_slice_drop(&clone);
        qy_slice_drop(&part);
        qy_slice_drop(&known);
        require(allocations() == before);
    }
    qy_slice_drop(&first);
    qy_slice_drop(&warm);
    nothing_left();
}
END_TEST

START_TEST(test_a_part_keeps_the_block_alive)
{
    qy_slice whole = text("hello, world");
    qy_slice part = qy_slice_sub(whole, 7, 5);
    require(part.iov_base == byte_at(whole, 7));
    qy_slice_drop(&whole);
    require(is(part, "world") && live_blocks() == 1);
    qy_slice part_of_part = qy_slice_sub(part, 1, 3);
    qy_slice_drop(&part);
    require(is(part_of_part, "orl"));
    require(is_empty(qy_slice_sub(part_of_part, 3, 0)) && errno == 0 && qy_is_unique(part_of_part.iov_base));
    qy_slice_drop(&part_of_part);
    nothing_left();
}
END_TEST

START_TEST(test_parts_lie_within)
{
    static const struct {
        size_t offset, length;
    } WRONG[] = {{0, 11},          {5, 6}, {10, 1}, {11, 0}, {SIZE_MAX, 1}, {1, SIZE_MAX}, {SIZE_MAX, SIZE_MAX},
                 {5, SIZE_MAX - 3}};
    qy_slice slice = text("0123456789");
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        require(is_empty(qy_slice_sub(slice, WRONG[i].offset, WRONG[i].length)));
        failed_with(ERANGE);
    }
    require(qy_is_unique(slice.iov_base));
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

START_TEST(test_a_bare_pointer_becomes_a_slice)
{
    for (size_t i = 0; i < LENGTH_COUNT; i++) {
        char *block = qyi_malloc(LENGTHS[i]);
        const size_t usable = qy_capacity(block);
        qy_slice slice = qy_slice_from(block + usable / 2, usable - usable / 2);
        require(slice.iov_base == block + usable / 2 && slice.iov_len == usable - usable / 2);
        require(qy_refcount(block) == 2);
        require(is_empty(qy_slice_from(block + usable / 2, usable - usable / 2 + 1)));
        failed_with(ERANGE);
        require(is_empty(qy_slice_from(block, SIZE_MAX)));
        failed_with(ERANGE);
        require(qy_refcount(block) == 2);
        qyi_free(block);
        qy_slice_drop(&slice);
    }
    char local[10];
    require(is_empty(qy_slice_from(local, 10)));
    failed_with(EINVAL);
    nothing_left();
}
END_TEST

START_TEST(test_memory_of_others_is_no_slice)
{
    char local[10] = "local";
    qy_slice slice = {local, 5};
    qy_slice frames[5];
    require(is_empty(qy_slice_clone(slice)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_sub(slice, 1, 2)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_split_to(&slice, 2)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_split_off(&slice, 2)));
    failed_with(EINVAL);
    require(qy_slice_into_raw(&slice) == NULL);
    failed_with(EINVAL);
    require(qy_slice_make_mut(&slice) == NULL);
    failed_with(EINVAL);
    require(qy_slice_try_mut(&slice) == NULL);
    failed_with(EINVAL);
    require(qy_slice_compact(&slice, 50) == -1);
    failed_with(EINVAL);
    require(qy_slices_retain(&slice, 1) == -1);
    failed_with(EINVAL);
    require(qy_slice_split_steps(&slice, 2, frames, 5) == -1);
    failed_with(EINVAL);
    require(same(slice, ((qy_slice){local, 5})));
}
END_TEST

/* ---- cutting ---- */

START_TEST(test_a_slice_is_cut_in_two)
{
    for (size_t cut = 0; cut <= 10; cut++) {
        for (unsigned off = 0; off < 2; off++) {
            qy_slice front = text("0123456789");
            void *start = front.iov_base;
            qy_slice back;
            if (off) {
                back = qy_slice_split_off(&front, cut);
            } else {
                back = front;
                front = qy_slice_split_to(&back, cut);
            }
            require(front.iov_len == cut && back.iov_len == 10 - cut);
            require(memcmp(front.iov_base != NULL ? front.iov_base : "", "0123456789", cut) == 0);
            require(memcmp(back.iov_base != NULL ? back.iov_base : "", &"0123456789"[cut], 10 - cut) == 0);
            require(qy_refcount(start) == (cut != 0 && cut != 10 ? 2 : 1));
            qy_slice_drop(&front);
            qy_slice_drop(&back);
            require(live_blocks() == 0);
        }
    }
    nothing_left();
}
END_TEST

START_TEST(test_a_cut_beyond_the_end_is_refused)
{
    qy_slice slice = text("0123456789");
    const qy_slice before = slice;
    require(is_empty(qy_slice_split_to(&slice, 11)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_split_off(&slice, SIZE_MAX)));
    failed_with(ERANGE);
    require(qy_slice_advance(&slice, 11) == -1);
    failed_with(ERANGE);
    require(same(slice, before) && qy_is_unique(slice.iov_base));
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

START_TEST(test_truncate_and_advance_make_it_shorter)
{
    qy_slice slice = text("0123456789");
    qy_slice_truncate(&slice, 100);
    require(is(slice, "0123456789"));
    qy_slice_truncate(&slice, 10);
    require(is(slice, "0123456789"));
    qy_slice_truncate(&slice, 7);
    require(is(slice, "0123456"));
    require(qy_slice_advance(&slice, 0) == 0 && is(slice, "0123456"));
    require(qy_slice_advance(&slice, 2) == 0 && is(slice, "23456"));
    require(qy_is_unique(slice.iov_base));
    qy_slice other = qy_slice_clone(slice);
    require(qy_slice_advance(&slice, 5) == 0); /* nothing left, so nothing owned */
    require(same(slice, QY_SLICE_EMPTY) && qy_is_unique(other.iov_base));
    qy_slice_truncate(&other, 0);
    require(same(other, QY_SLICE_EMPTY));
    nothing_left();
}
END_TEST

START_TEST(test_what_was_cut_can_be_joined)
{
    qy_slice whole = text("0123456789");
    qy_slice back = qy_slice_split_off(&whole, 4);
    qy_slice middle = qy_slice_split_to(&back, 3);
    require(qy_slice_unsplit(&whole, &back) == -1); /* there is something between them */
    failed_with(EINVAL);
    require(qy_slice_unsplit(&middle, &whole) == -1); /* the wrong way round */
    failed_with(EINVAL);
    require(qy_slice_unsplit(&whole, &middle) == 0 && is(whole, "0123456") && same(middle, QY_SLICE_EMPTY));
    require(qy_slice_unsplit(&whole, &back) == 0 && is(whole, "0123456789") && is_empty(back));
    require(qy_is_unique(whole.iov_base));
    require(qy_slice_unsplit(&whole, &back) == 0 && is(whole, "0123456789"));
    require(qy_slice_unsplit(&back, &whole) == 0 && is(back, "0123456789") && same(whole, QY_SLICE_EMPTY));
    qy_slice_drop(&back);
    nothing_left();
}
END_TEST

/* The end of one block is the start of the next. */
START_TEST(test_neighbouring_blocks_are_not_joined)
{
    static const size_t BYTES[] = {64, 1024, 16384, 65536};
    for (size_t k = 0; k < sizeof BYTES / sizeof BYTES[0]; k++) {
        qy_slice slices[3];
        for (size_t i = 0; i < 3; i++)
            slices[i] = qy_slice_new(BYTES[k]);
        unsigned neighbours = 0;
        for (size_t i = 0; i < 3; i++) {
            for (size_t j = 0; j < 3; j++) {
                if (i == j || byte_at(slices[i], BYTES[k]) != slices[j].iov_base)
                    continue;
                neighbours++;
                require(qy_slice_unsplit(&slices[i], &slices[j]) == -1);
                failed_with(EINVAL);
                require(slices[i].iov_len == BYTES[k] && slices[j].iov_len == BYTES[k]);
            }
        }
        require(neighbours > 0);
        qy_slices_drop(slices, 3);
    }
    static char registered[20];
    qy_slice front = qy_slice_foreign(registered, 10, note_release, NULL);
    qy_slice back = qy_slice_foreign(registered + 10, 10, note_release, NULL);
    require(qy_slice_unsplit(&front, &back) == -1);
    failed_with(EINVAL);
    qy_slice_drop(&front);
    qy_slice_drop(&back);
    require(released.calls == 2);
    only_registry_left(2);
}
END_TEST

START_TEST(test_without_memory_for_counts_nothing_is_cut)
{
    if (UNIT_TSAN)
        return;
    qy_slice slice = text("0123,56789,");
    const qy_slice before = slice;
    qy_slice frames[4] = {{"old", 3}, {"old", 3}, {"old", 3}, {"old", 3}};
    no_memory = true;
    require(is_empty(qy_slice_clone(slice)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_sub(slice, 1, 2)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_from(slice.iov_base, 2)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_split_to(&slice, 4)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_split_off(&slice, 4)));
    failed_with(ENOMEM);
    require(qy_slices_retain(&slice, 1) == -1);
    failed_with(ENOMEM);
    require(qy_slice_split_steps(&slice, 3, frames, 4) == -1);
    failed_with(ENOMEM);
    require(qy_slice_split_lines(&slice, ',', frames, 4) == -1);
    failed_with(ENOMEM);
    for (unsigned i = 0; i < 4; i++) /* whoever drops them all the same does no harm */
        require(is_empty(frames[i]) || is(frames[i], "old"));
    require(same(slice, before) && qy_is_unique(slice.iov_base));
    require(same(qy_slice_split_to(&slice, 11), before)); /* needs no second reference */
    no_memory = false;
    slice = before;
    require(qy_slice_split_lines(&slice, ',', frames, 4) == 2 && is(frames[1], "56789") && is_empty(slice));
    qy_slices_drop(frames, 2);
    nothing_left();
}
END_TEST

/* ---- writing ---- */

START_TEST(test_the_only_owner_writes_in_place)
{
    qy_slice slice = text("0123456789");
    require(qy_slice_advance(&slice, 2) == 0);
    const uint64_t before = allocations();
    char *p = qy_slice_try_mut(&slice);
    require(p == slice.iov_base);
    p[0] = 'x';
    require(qy_slice_make_mut(&slice) == p && is(slice, "x3456789"));
    require(allocations() == before);
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

START_TEST(test_a_writer_among_several_gets_a_copy)
{
    qy_slice slice = text("0123456789");
    qy_slice other = qy_slice_sub(slice, 2, 3);
    require(qy_slice_try_mut(&other) == NULL);
    failed_with(EBUSY);
    char *p = qy_slice_make_mut(&other);
    require(p == other.iov_base && p != byte_at(slice, 2) && is(other, "234"));
    memcpy(p, "xyz", 3);
    require(is(slice, "0123456789") && is(other, "xyz"));
    require(qy_is_unique(slice.iov_base) && qy_is_unique(p));
    require(qy_slice_try_mut(&slice) == slice.iov_base);
    qy_slice_drop(&slice);
    qy_slice_drop(&other);
    nothing_left();
}
END_TEST

START_TEST(test_small_parts_are_copied_out_of_large_blocks)
{
    qy_slice slice = qy_slice_new(100000);
    memset(slice.iov_base, 'a', 100000);
    qy_slice part = qy_slice_sub(slice, 50000, 100);
    qy_slice_drop(&slice);
    require(qy_slice_compact(&part, 0) == 0 && qy_capacity(part.iov_base) >= 100000);
    require(qy_slice_compact(&part, 1) == 1); /* less than one in a hundred */
    require(part.iov_len == 100 && *byte_at(part, 99) == 'a' && qy_capacity(part.iov_base) == 128);
    require(live_blocks() == 1);
    require(qy_slice_compact(&part, 50) == 0);
    const void *where = part.iov_base;
    require(qy_slice_compact(&part, 100) == 0 && part.iov_base == where); /* another block would not be smaller */
    qy_slice_drop(&part);
    nothing_left();
}
END_TEST

START_TEST(test_the_share_of_a_block_decides_about_compaction)
{
    for (unsigned percent = 0; percent <= 100; percent += 5) {
        qy_slice slice = qy_slice_new(2048);
        require(qy_capacity(slice.iov_base) == 2048);
        qy_slice_truncate(&slice, 1024); /* a half */
        require(qy_slice_compact(&slice, percent) == (percent > 50));
        require(qy_capacity(slice.iov_base) == (percent > 50 ? 1024 : 2048));
        qy_slice_drop(&slice);
    }
    qy_slice shared = qy_slice_new(10000);
    memset(shared.iov_base, 'b', 10000);
    qy_slice part = qy_slice_sub(shared, 10, 10);
    require(qy_slice_compact(&part, 20) == 1 && is(part, "bbbbbbbbbb") && qy_is_unique(shared.iov_base));
    qy_slice_drop(&shared);
    qy_slice_drop(&part);
    nothing_left();
}
END_TEST

/* ---- looking ---- */

START_TEST(test_slices_have_an_order)
{
    static const char *const SORTED[] = {"", "a", "aa", "ab", "b", "ba", "\xff"};
    enum { COUNT = sizeof SORTED / sizeof SORTED[0] };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            const qy_slice a = qy_slice_copy(SORTED[i], strlen(SORTED[i]));
            const qy_slice b = qy_slice_copy(SORTED[j], strlen(SORTED[j]));
            const int order = qy_slice_compare(a, b);
            require((order > 0) - (order < 0) == (i > j) - (i < j));
            require(qy_slice_equal(a, b) == (i == j));
            require(a.iov_len == 0 || qy_is_unique(a.iov_base)); /* lent */
        }
    }
}
END_TEST

START_TEST(test_bytes_are_found)
{
    qy_slice slice = text("abcabcabd");
    require(qy_slice_find(slice, 0, "abc", 3) == 0);
    require(qy_slice_find(slice, 1, "abc", 3) == 3);
    require(qy_slice_find(slice, 4, "abc", 3) == -1);
    require(qy_slice_find(slice, 0, "abd", 3) == 6);
    require(qy_slice_find(slice, 6, "abd", 3) == 6);
    require(qy_slice_find(slice, 7, "abd", 3) == -1);
    require(qy_slice_find(slice, 0, "abde", 4) == -1);
    require(qy_slice_find(slice, 0, "d", 1) == 8);
    require(qy_slice_find(slice, 0, "", 0) == 0);
    require(qy_slice_find(slice, 9, NULL, 0) == 9);
    require(qy_slice_find(slice, 9, "a", 1) == -1);
    require(qy_slice_find(slice, 10, "", 0) == -1);
    require(qy_slice_find(slice, SIZE_MAX, "a", 1) == -1);
    require(qy_slice_find(slice, 0, "abcabcabdx", 10) == -1);
    require(qy_slice_find(slice, 0, "a", SIZE_MAX) == -1);
    require(qy_slice_find(QY_SLICE_EMPTY, 0, "a", 1) == -1);
    require(qy_slice_find(QY_SLICE_EMPTY, 0, "", 0) == 0);
    qy_slice_drop(&slice);
    nothing_left();
}
END_TEST

/* ---- */

static void add_making(Suite *suite)
{
    TCase *making = group(suite, "making");
    tcase_add_test(making, test_a_slice_is_an_iovec);
    tcase_add_test(making, test_new_slices_have_lines_of_their_own);
    tcase_add_test(making, test_every_short_length_is_aligned);
    tcase_add_test(making, test_any_alignment_can_be_had);
    tcase_add_test(making, test_an_alignment_is_a_power_of_two);
    tcase_add_test(making, test_zeroed_slices_are_zero);
    tcase_add_test(making, test_a_copy_is_independent_of_its_origin);
    tcase_add_test(making, test_nothing_owns_nothing);
    tcase_add_test(making, test_too_much_is_out_of_memory);
    TCase *raw = group(suite, "raw");
    tcase_add_test(raw, test_a_block_of_malloc_is_adopted_as_it_is);
    tcase_add_test(raw, test_what_cannot_be_adopted_stays_the_callers);
    tcase_add_test(raw, test_bytes_at_the_start_go_back_as_they_are);
    tcase_add_test(raw, test_bytes_of_a_sole_owner_move_to_the_start);
    tcase_add_test(raw, test_shared_bytes_are_copied_out_for_plain_free);
    tcase_add_test(raw, test_registered_bytes_are_copied_out_for_plain_free);
    tcase_add_test(raw, test_without_memory_for_the_copy_the_slice_stays);
}

static void add_using(Suite *suite)
{
    TCase *sharing = group(suite, "sharing");
    tcase_add_test(sharing, test_create_costs_one_allocation_and_sharing_none);
    tcase_add_test(sharing, test_a_part_keeps_the_block_alive);
    tcase_add_test(sharing, test_parts_lie_within);
    tcase_add_test(sharing, test_a_bare_pointer_becomes_a_slice);
    tcase_add_test(sharing, test_memory_of_others_is_no_slice);
    TCase *cutting = group(suite, "cutting");
    tcase_add_test(cutting, test_a_slice_is_cut_in_two);
    tcase_add_test(cutting, test_a_cut_beyond_the_end_is_refused);
    tcase_add_test(cutting, test_truncate_and_advance_make_it_shorter);
    tcase_add_test(cutting, test_what_was_cut_can_be_joined);
    tcase_add_test(cutting, test_neighbouring_blocks_are_not_joined);
    tcase_add_test(cutting, test_without_memory_for_counts_nothing_is_cut);
    TCase *writing = group(suite, "writing");
    tcase_add_test(writing, test_the_only_owner_writes_in_place);
    tcase_add_test(writing, test_a_writer_among_several_gets_a_copy);
    tcase_add_test(writing, test_small_parts_are_copied_out_of_large_blocks);
    tcase_add_test(writing, test_the_share_of_a_block_decides_about_compaction);
    TCase *looking = group(suite, "looking");
    tcase_add_test(looking, test_slices_have_an_order);
    tcase_add_test(looking, test_bytes_are_found);
}

int main(void)
{
    Suite *suite = suite_create("slice");
    add_making(suite);
    add_using(suite);
    return unit_run(suite);
}

/*
 * test_builder.c: growable bytes that become slices, each operation beside a plain string of the same bytes.
 */
#include "starve.h"

#include "quarry/builder.h"

#include <limits.h>
#include <stdio.h>
#include <wchar.h>

static void check(const qy_builder *builder, const void *expected, size_t length)
{
    require(builder->floor <= builder->start && builder->start <= builder->end && builder->end <= builder->limit);
    require(qy_builder_length(builder) == length);
    require(length == 0 || memcmp(qy_builder_data(builder), expected, length) == 0);
    if (builder->floor != builder->limit) {
        const char *base = qy_base(builder->floor);
        require(base != NULL && base + qy_capacity(base) == builder->limit);
    } else {
        require(builder->floor == NULL && builder->start == NULL && builder->end == NULL);
    }
}

static void check_text(const qy_builder *builder, const char *expected)
{
    check(builder, expected, strlen(expected));
}

static void add(qy_builder *builder, const char *text)
{
    require(qy_builder_append(builder, text, strlen(text)) == 0);
}

static void check_slice(qy_slice slice, const char *expected)
{
    require(slice.iov_len == strlen(expected));
    require(slice.iov_len == 0 || memcmp(slice.iov_base, expected, slice.iov_len) == 0);
}

START_TEST(test_an_empty_builder_has_no_block)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 0, 0), 0);
    ck_assert_ptr_null(qy_builder_data(&builder));
    ck_assert_uint_eq(qy_builder_freeze(&builder).iov_len, 0);
    ck_assert_uint_eq(qy_builder_split(&builder).iov_len, 0);
    qy_builder_clear(&builder);
    ck_assert(qy_builder_try_reclaim(&builder, 0));
    ck_assert(!qy_builder_try_reclaim(&builder, 1));
    check_text(&builder, "");
    builder = QY_BUILDER_EMPTY;
    add(&builder, "now");
    check_text(&builder, "now");
    qy_builder_drop(&builder);
    check_text(&builder, "");
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_capacity_and_headroom_are_there)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 100, 28), 0);
    ck_assert_uint_ge(qy_builder_room(&builder), 100);
    ck_assert_uint_eq(qy_builder_headroom(&builder), 28);
    const void *start = builder.floor;
    char filler[100];
    memset(filler, 'x', sizeof filler);
    errno = 0;
    ck_assert_int_eq(qy_builder_append(&builder, filler, 100), 0);
    ck_assert_int_eq(qy_builder_prepend(&builder, filler, 28), 0);
    ck_assert_int_eq(errno, 0);
    ck_assert_ptr_eq(builder.floor, start);
    ck_assert_ptr_eq(builder.start, start);
    ck_assert_uint_eq((uintptr_t)start % 64, 0);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_too_much_is_out_of_memory)
{
    qy_builder builder;
    errno = 0;
    ck_assert_int_eq(qy_builder_init(&builder, SIZE_MAX, 0), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(qy_builder_init(&builder, SSIZE_MAX, 1), -1);
    ck_assert_int_eq(qy_builder_init(&builder, SSIZE_MAX - 1, 1), -1);
    ck_assert_int_eq(qy_builder_init(&builder, 1, SIZE_MAX), -1);
    check_text(&builder, "");
    add(&builder, "ab");
    ck_assert_int_eq(qy_builder_reserve(&builder, SIZE_MAX), -1);
    ck_assert_int_eq(qy_builder_reserve(&builder, SSIZE_MAX), -1);
    ck_assert_int_eq(qy_builder_reserve(&builder, SSIZE_MAX - 2), -1);
    ck_assert_int_eq(qy_builder_reserve_front(&builder, SIZE_MAX), -1);
    ck_assert_int_eq(qy_builder_reserve_front(&builder, SSIZE_MAX), -1);
    ck_assert(!qy_builder_try_reclaim(&builder, SIZE_MAX));
    check_text(&builder, "ab");
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_append_grows_and_keeps_the_headroom)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 10, 4), 0);
    static char expected[200000];
    for (size_t i = 0; i < sizeof expected; i++) {
        expected[i] = (char)(i * 11 + i / 256);
        require(qy_builder_append(&builder, &expected[i], 1) == 0);
        require(qy_builder_headroom(&builder) == 4);
    }
    check(&builder, expected, sizeof expected);
    ck_assert_uint_le(qy_capacity(builder.floor), 3 * sizeof expected);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_prepend_works_beyond_the_headroom)
{
    qy_builder builder;
    static char expected[5000];
    ck_assert_int_eq(qy_builder_init(&builder, 0, 3), 0);
    unsigned moves = 0;
    for (size_t i = sizeof expected; i-- > 0;) {
        const char *before = builder.end;
        expected[i] = (char)(i * 11 + i / 256);
        require(qy_builder_prepend(&builder, &expected[i], 1) == 0);
        moves += builder.end != before;
        check(&builder, &expected[i], sizeof expected - i);
    }
    ck_assert_uint_lt(moves, 40);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_print_appends_without_the_null)
{
    qy_builder builder = QY_BUILDER_EMPTY;
    char expected[4000] = "";
    errno = 0;
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(qy_builder_printf(&builder, "%d:%s,", i * i, "ab"), 0);
        sprintf(expected + strlen(expected), "%d:%s,", i * i, "ab");
        check_text(&builder, expected);
    }
    ck_assert_int_eq(qy_builder_printf(&builder, "%s", ""), 0);
    ck_assert_int_eq(errno, 0);
    check_text(&builder, expected);
    qy_builder_drop(&builder);
    ck_assert_int_eq(qy_builder_init(&builder, 64, 0), 0);
    const size_t room = qy_builder_room(&builder);
    ck_assert_int_eq(qy_builder_printf(&builder, "%*d", (int)room, 5), 0); /* exactly full but for the null */
    ck_assert_uint_eq(qy_builder_length(&builder), room);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_print_fails_without_a_trace)
{
    qy_builder builder = QY_BUILDER_EMPTY;
    add(&builder, "ab");
    errno = 0;
    /* No such character in the C locale. */
    ck_assert_int_eq(qy_builder_printf(&builder, "xyz%lc", (wint_t)0x10ffff), -1);
    ck_assert_int_eq(errno, EILSEQ);
    check_text(&builder, "ab");
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_integers_have_their_byte_order)
{
    qy_builder builder = QY_BUILDER_EMPTY;
    ck_assert_int_eq(qy_builder_append_u8(&builder, 0x01), 0);
    ck_assert_int_eq(qy_builder_append_u16be(&builder, 0x0203), 0);
    ck_assert_int_eq(qy_builder_append_u32be(&builder, 0x04050607), 0);
    ck_assert_int_eq(qy_builder_append_u64be(&builder, 0x08090a0b0c0d0e0f), 0);
    ck_assert_int_eq(qy_builder_append_u16le(&builder, 0x1110), 0);
    ck_assert_int_eq(qy_builder_append_u32le(&builder, 0x15141312), 0);
    ck_assert_int_eq(qy_builder_append_u64le(&builder, 0x1d1c1b1a19181716), 0);
    unsigned char expected[29];
    for (unsigned i = 0; i < 29; i++)
        expected[i] = (unsigned char)(i + 1);
    check(&builder, expected, 29);
    qy_builder_drop(&builder);
    ck_assert_int_eq(qy_builder_prepend_u64be(&builder, 0x08090a0b0c0d0e0f), 0);
    ck_assert_int_eq(qy_builder_prepend_u32be(&builder, 0x04050607), 0);
    ck_assert_int_eq(qy_builder_prepend_u16be(&builder, 0x0203), 0);
    ck_assert_int_eq(qy_builder_prepend_u8(&builder, 0x01), 0);
    check(&builder, expected, 15);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_varints_are_as_short_as_can_be)
{
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t length;
    } cases[] = {{0, "\0", 1},
                 {1, "\1", 1},
                 {127, "\x7f", 1},
                 {128, "\x80\1", 2},
                 {300, "\xac\2", 2},
                 {16383, "\xff\x7f", 2},
                 {16384, "\x80\x80\1", 3},
                 {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qy_builder builder = QY_BUILDER_EMPTY;
        ck_assert_int_eq(qy_builder_append_varint(&builder, cases[i].value), 0);
        check(&builder, cases[i].bytes, cases[i].length);
        qy_builder_drop(&builder);
    }
    qy_builder builder = QY_BUILDER_EMPTY;
    const int64_t signed_values[] = {0, -1, 1, -2, 63, -64, 64};
    for (unsigned i = 0; i < 7; i++)
        ck_assert_int_eq(qy_builder_append_zigzag(&builder, signed_values[i]), 0);
    check(&builder, "\0\1\2\3\x7e\x7f\x80\1", 8);
    qy_builder_clear(&builder);
    ck_assert_int_eq(qy_builder_append_zigzag(&builder, INT64_MIN), 0);
    check(&builder, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_spare_room_is_committed)
{
    qy_builder builder = QY_BUILDER_EMPTY;
    size_t room;
    char *spare = qy_builder_spare(&builder, 100, &room);
    ck_assert_ptr_nonnull(spare);
    ck_assert_uint_ge(room, 100);
    ck_assert_uint_eq(room, qy_builder_room(&builder));
    memcpy(spare, "abc", 3);
    errno = 0;
    ck_assert_int_eq(qy_builder_commit(&builder, room + 1), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(qy_builder_commit(&builder, 3), 0);
    check_text(&builder, "abc");
    ck_assert_ptr_eq(qy_builder_spare(&builder, 1, NULL), spare + 3);
    ck_assert_ptr_null(qy_builder_spare(&builder, SIZE_MAX, NULL));
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_freeze_gives_the_block_up_without_copying)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 50, 10), 0);
    add(&builder, "hello");
    const void *data = qy_builder_data(&builder);
    qy_slice slice = qy_builder_freeze(&builder);
    check_slice(slice, "hello");
    ck_assert_ptr_eq(slice.iov_base, data);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    check_text(&builder, "");
    add(&builder, "next");
    ck_assert_uint_eq(qy_builder_headroom(&builder), 10);
    check_slice(slice, "hello");
    qy_slice_drop(&slice);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_split_goes_on_in_the_same_block)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 200, 4), 0);
    add(&builder, "one");
    qy_slice one = qy_builder_split(&builder);
    ck_assert_uint_eq(qy_builder_headroom(&builder), 4);
    add(&builder, "two");
    ck_assert_int_eq(qy_builder_prepend_u8(&builder, '#'), 0);
    qy_slice two = qy_builder_split(&builder);
    check_slice(one, "one");
    check_slice(two, "#two");
    ck_assert_ptr_eq(qy_base(one.iov_base), qy_base(two.iov_base));
    ck_assert_uint_eq(qy_refcount(one.iov_base), 3);
    qy_builder_drop(&builder);
    ck_assert_uint_eq(qy_refcount(one.iov_base), 2);
    qy_slice_drop(&one);
    check_slice(two, "#two");
    qy_slice_drop(&two);
}
END_TEST

START_TEST(test_split_to_leaves_the_rest)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 100, 0), 0);
    add(&builder, "abcdef");
    errno = 0;
    ck_assert_uint_eq(qy_builder_split_to(&builder, 7).iov_len, 0);
    ck_assert_int_eq(errno, ERANGE);
    errno = 0;
    ck_assert_uint_eq(qy_builder_split_to(&builder, 0).iov_len, 0);
    ck_assert_int_eq(errno, 0);
    qy_slice front = qy_builder_split_to(&builder, 2);
    check_text(&builder, "cdef");
    add(&builder, "gh");
    check_slice(front, "ab");
    check_text(&builder, "cdefgh");
    /* What is split off is no headroom. */
    ck_assert_uint_eq(qy_builder_headroom(&builder), 0);
    ck_assert_int_eq(qy_builder_prepend_u8(&builder, 'x'), 0);
    check_text(&builder, "xcdefgh");
    check_slice(front, "ab");
    qy_slice_drop(&front);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_a_block_that_is_used_up_is_given_away)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 64, 0), 0);
    const size_t room = qy_builder_room(&builder);
    memset(qy_builder_spare(&builder, 0, NULL), 'z', room);
    ck_assert_int_eq(qy_builder_commit(&builder, room), 0);
    qy_slice slice = qy_builder_split(&builder);
    ck_assert_uint_eq(slice.iov_len, room);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    check_text(&builder, "");
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_reclaim_needs_all_slices_to_be_dropped)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 64, 0), 0);
    const char *base = builder.floor;
    const size_t all = qy_builder_room(&builder);
    memset(qy_builder_spare(&builder, 0, NULL), 'z', all - 2);
    ck_assert_int_eq(qy_builder_commit(&builder, all - 2), 0);
    qy_slice slice = qy_builder_split_to(&builder, all - 5);
    ck_assert(qy_builder_try_reclaim(&builder, 2));
    ck_assert(!qy_builder_try_reclaim(&builder, 3));
    qy_slice_drop(&slice);
    ck_assert(!qy_builder_try_reclaim(&builder, all - 2));
    check_text(&builder, "zzz");
    ck_assert(qy_builder_try_reclaim(&builder, all - 3));
    check_text(&builder, "zzz");
    ck_assert_ptr_eq(qy_builder_data(&builder), base);
    ck_assert_uint_eq(qy_builder_room(&builder), all - 3);
    qy_builder_drop(&builder);
}
END_TEST

/* What a server does: read, split, hand on, read again. */
START_TEST(test_a_reading_loop_needs_no_allocation)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    const void *base = qy_base(builder.floor);
    for (unsigned i = 0; i < 1000; i++) {
        char *spare = qy_builder_spare(&builder, 300, NULL);
        ck_assert_ptr_nonnull(spare);
        memset(spare, (int)i, 300);
        ck_assert_int_eq(qy_builder_commit(&builder, 300), 0);
        qy_slice slice = qy_builder_split_to(&builder, qy_builder_length(&builder) - 10);
        ck_assert_uint_eq(((unsigned char *)slice.iov_base)[slice.iov_len - 1], (unsigned char)i);
        qy_slice_drop(&slice);
        require(qy_base(builder.floor) == base);
    }
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_a_new_block_is_as_large_as_the_old_one)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 8), 0);
    const size_t capacity = qy_capacity(builder.floor);
    memset(qy_builder_spare(&builder, 4000, NULL), 1, 4000);
    ck_assert_int_eq(qy_builder_commit(&builder, 4000), 0);
    qy_slice slice = qy_builder_split(&builder);
    ck_assert_int_eq(qy_builder_reserve(&builder, 3000), 0);
    ck_assert_uint_ge(qy_capacity(builder.floor), capacity);
    ck_assert_uint_eq(qy_builder_headroom(&builder), 8);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_clear_takes_everything_back)
{
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 100, 6), 0);
    const size_t room = qy_builder_room(&builder);
    add(&builder, "abcdef");
    qy_slice slice = qy_builder_split_to(&builder, 3);
    qy_builder_clear(&builder);
    check_text(&builder, "");
    ck_assert_uint_lt(qy_builder_room(&builder), room);
    add(&builder, "xyz");
    check_slice(slice, "abc");
    qy_slice_drop(&slice);
    qy_builder_clear(&builder);
    ck_assert_uint_eq(qy_builder_room(&builder), room);
    ck_assert_uint_eq(qy_builder_headroom(&builder), 6);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_without_memory_nothing_changes)
{
    if (!STARVE_WORKS)
        return;
    qy_builder builder;
    qy_builder other;
    ck_assert_int_eq(qy_builder_init(&builder, 64, 0), 0);
    const size_t room = qy_builder_room(&builder);
    add(&builder, "abc");
    starve(64);
    errno = 0;
    require(qy_builder_init(&other, 64, 0) == -1 && errno == ENOMEM && other.floor == NULL);
    require(qy_builder_append_u64be(&other, 1) == -1);
    char filler[64] = {0};
    require(qy_builder_append(&builder, filler, room - 3) == 0);
    builder.end -= room - 3;
    errno = 0;
    require(qy_builder_append(&builder, filler, room - 2) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_builder_printf(&builder, "%*d", (int)room, 1) == -1 && errno == ENOMEM);
    require(qy_builder_spare(&builder, room, NULL) == NULL);
    require(qy_builder_prepend(&builder, filler, 64) == -1);
    errno = 0;
    require(qy_builder_split(&builder).iov_len == 0 && errno == ENOMEM); /* the first count ever */
    check_text(&builder, "abc");
    feed();
    add(&builder, "def");
    check_text(&builder, "abcdef");
    qy_slice slice = qy_builder_split(&builder);
    starve(64);
    errno = 0;
    require(qy_builder_append(&builder, filler, 62) == -1 && errno == ENOMEM);
    check_slice(slice, "abcdef");
    feed();
    qy_slice_drop(&slice);
    qy_builder_drop(&builder);
}
END_TEST

static void *beside; /* keeps the slab of starve_but_for from being used for blocks of another size */

/* Starve, but for blocks of that size. */
static void starve_but_for(size_t bytes)
{
    void *block = qyi_malloc(bytes);
    beside = qyi_malloc(bytes);
    require(block != NULL && beside != NULL);
    starve(64);
    qyi_free(block);
    errno = 0;
}

START_TEST(test_a_block_that_cannot_be_doubled_becomes_as_large_as_it_must)
{
    if (!STARVE_WORKS)
        return;
    static char bytes[5000];
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    require(qy_builder_append(&builder, bytes, 4000) == 0);
    starve_but_for(5000);
    require(qy_builder_append(&builder, bytes, 1000) == 0 && errno == 0);
    check(&builder, bytes, 5000);
    feed();
    qyi_free(beside);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_little_behind_a_large_gap_needs_no_double_block)
{
    if (!STARVE_WORKS)
        return;
    static char bytes[5000];
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    require(qy_builder_append(&builder, bytes, 4096) == 0);
    qy_slice front = qy_builder_split_to(&builder, 3000);
    qy_slice_drop(&front);
    starve_but_for(5000);
    require(qy_builder_reserve(&builder, 3900) == 0 && errno == 0);
    check(&builder, bytes, 1096);
    feed();
    qyi_free(beside);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_a_gap_serves_when_there_is_no_memory)
{
    if (!STARVE_WORKS)
        return;
    static char bytes[4096];
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    require(qy_builder_append(&builder, bytes, 4096) == 0);
    qy_slice front = qy_builder_split_to(&builder, 1000);
    qy_slice_drop(&front);
    starve(64);
    errno = 0;
    require(qy_builder_append(&builder, bytes, 1000) == 0 && errno == 0);
    check(&builder, bytes, 4096);
    require(qy_builder_append(&builder, bytes, 1) == -1 && errno == ENOMEM);
    feed();
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_beside_slices_the_next_block_may_be_smaller)
{
    if (!STARVE_WORKS)
        return;
    static char bytes[4096];
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    require(qy_builder_append(&builder, bytes, 4000) == 0);
    qy_slice front = qy_builder_split_to(&builder, 3900);
    starve_but_for(256);
    require(qy_builder_append(&builder, bytes, 97) == 0 && errno == 0);
    check(&builder, bytes, 197);
    feed();
    qyi_free(beside);
    qy_slice_drop(&front);
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_headroom_that_cannot_be_doubled_is_what_it_must)
{
    if (!STARVE_WORKS)
        return;
    static char bytes[5000];
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 4096, 0), 0);
    require(qy_builder_append(&builder, bytes, 4096) == 0);
    starve_but_for(5000);
    require(qy_builder_prepend(&builder, bytes, 900) == 0 && errno == 0);
    check(&builder, bytes, 4996);
    feed();
    qyi_free(beside);
    qy_builder_drop(&builder);
}
END_TEST

/* ---- at random ---- */

enum { KEPT = 16, MODEL_BYTES = 1 << 17 };

static unsigned char model[MODEL_BYTES];
static size_t model_length;
static struct {
    qy_slice slice;
    unsigned char *expected;
} kept[KEPT];

static void keep(qy_slice slice, size_t slot)
{
    if (kept[slot].slice.iov_len != 0) {
        require(memcmp(kept[slot].slice.iov_base, kept[slot].expected, kept[slot].slice.iov_len) == 0);
        qy_slice_drop(&kept[slot].slice);
        free(kept[slot].expected);
        kept[slot].expected = NULL;
    }
    kept[slot].slice = slice;
    if (slice.iov_len != 0) {
        kept[slot].expected = malloc(slice.iov_len);
        memcpy(kept[slot].expected, model, slice.iov_len);
        require(memcmp(slice.iov_base, model, slice.iov_len) == 0);
        model_length -= slice.iov_len;
        memmove(model, model + slice.iov_len, model_length);
    }
}

static void step(qy_builder *builder, uint64_t *state)
{
    unsigned char bytes[3000];
    const size_t length = unit_below(state, unit_below(state, 4) == 0 ? sizeof bytes : 40);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)unit_random(state);
    const size_t slot = unit_below(state, KEPT);
    const size_t some = unit_below(state, model_length + 1);
    switch (unit_below(state, 11)) {
    case 0:
    case 1:
    case 2:
        require(qy_builder_append(builder, bytes, length) == 0);
        memcpy(model + model_length, bytes, length);
        model_length += length;
        break;
    case 3:
    case 4:
        require(qy_builder_prepend(builder, bytes, length) == 0);
        memmove(model + length, model, model_length);
        memcpy(model, bytes, length);
        model_length += length;
        break;
    case 5: {
        size_t room = 0;
        void *spare = qy_builder_spare(builder, length, &room);
        require(room >= length && (spare != NULL || length == 0));
        memcpy(spare == NULL ? bytes : spare, bytes, length);
        require(qy_builder_commit(builder, length) == 0);
        memcpy(model + model_length, bytes, length);
        model_length += length;
        break;
    }
    case 6: keep(qy_builder_split_to(builder, some), slot); break;
    case 7:
        keep(unit_below(state, 2) == 0 ? qy_builder_split(builder) : qy_builder_freeze(builder), slot);
        require(model_length == 0);
        break;
    case 8:
        keep(QY_SLICE_EMPTY, slot);
        keep(QY_SLICE_EMPTY, (slot + 1) % KEPT);
        require(!qy_builder_try_reclaim(builder, length) || qy_builder_room(builder) >= length);
        break;
    case 9:
        for (size_t i = 0; i < KEPT; i++)
            keep(QY_SLICE_EMPTY, i);
        require(qy_builder_reserve(builder, length) == 0 && qy_builder_room(builder) >= length);
        break;
    default:
        require(qy_builder_printf(builder, "%zu", length) == 0);
        model_length += (size_t)sprintf((char *)model + model_length, "%zu", length);
    }
    if (model_length > MODEL_BYTES / 2) {
        qy_builder_clear(builder);
        model_length = 0;
    }
}

START_TEST(test_random_operations_agree_with_strings)
{
    uint64_t state = 7;
    qy_builder builder;
    ck_assert_int_eq(qy_builder_init(&builder, 100, 20), 0);
    for (unsigned i = 0; i < unit_rounds(30000); i++) {
        step(&builder, &state);
        check(&builder, model, model_length);
        for (size_t k = 0; k < KEPT; k++)
            require(kept[k].slice.iov_len == 0 ||
                    memcmp(kept[k].slice.iov_base, kept[k].expected, kept[k].slice.iov_len) == 0);
    }
    for (size_t i = 0; i < KEPT; i++)
        keep(QY_SLICE_EMPTY, i);
    if (builder.floor != NULL)
        ck_assert_uint_eq(qy_refcount(builder.floor), 1);
    qy_builder_drop(&builder);
}
END_TEST

/* Slices are dropped elsewhere while the builder goes on: what it reclaims is its own. */
static void *drop_slices(void *argument)
{
    int *ends = argument;
    qy_slice slice;
    while (read(ends[0], &slice, sizeof slice) == (ssize_t)sizeof slice) {
        const unsigned char *bytes = slice.iov_base;
        for (size_t i = 1; i < slice.iov_len; i++)
            require(bytes[i] == bytes[0]);
        qy_slice_drop(&slice);
    }
    return NULL;
}

START_TEST(test_slices_may_be_dropped_by_another_thread)
{
    int ends[2];
    pthread_t thread;
    qy_builder builder;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(qy_builder_init(&builder, 1000, 0), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, drop_slices, ends), 0);
    for (unsigned i = 0; i < unit_rounds(20000); i++) {
        void *spare = qy_builder_spare(&builder, 100, NULL);
        memset(spare, (int)i, 100);
        require(qy_builder_commit(&builder, 100) == 0);
        const qy_slice slice = qy_builder_split(&builder);
        require(slice.iov_len == 100);
        require(write(ends[1], &slice, sizeof slice) == (ssize_t)sizeof slice);
    }
    close(ends[1]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    close(ends[0]);
    qy_builder_drop(&builder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("builder");
    TCase *tests = tcase_create("builder");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_an_empty_builder_has_no_block);
    tcase_add_test(tests, test_capacity_and_headroom_are_there);
    tcase_add_test(tests, test_too_much_is_out_of_memory);
    tcase_add_test(tests, test_append_grows_and_keeps_the_headroom);
    tcase_add_test(tests, test_prepend_works_beyond_the_headroom);
    tcase_add_test(tests, test_print_appends_without_the_null);
    tcase_add_test(tests, test_print_fails_without_a_trace);
    tcase_add_test(tests, test_integers_have_their_byte_order);
    tcase_add_test(tests, test_varints_are_as_short_as_can_be);
    tcase_add_test(tests, test_spare_room_is_committed);
    tcase_add_test(tests, test_freeze_gives_the_block_up_without_copying);
    tcase_add_test(tests, test_split_goes_on_in_the_same_block);
    tcase_add_test(tests, test_split_to_leaves_the_rest);
    tcase_add_test(tests, test_a_block_that_is_used_up_is_given_away);
    tcase_add_test(tests, test_reclaim_needs_all_slices_to_be_dropped);
    tcase_add_test(tests, test_a_reading_loop_needs_no_allocation);
    tcase_add_test(tests, test_a_new_block_is_as_large_as_the_old_one);
    tcase_add_test(tests, test_clear_takes_everything_back);
    tcase_add_test(tests, test_without_memory_nothing_changes);
    tcase_add_test(tests, test_a_block_that_cannot_be_doubled_becomes_as_large_as_it_must);
    tcase_add_test(tests, test_little_behind_a_large_gap_needs_no_double_block);
    tcase_add_test(tests, test_a_gap_serves_when_there_is_no_memory);
    tcase_add_test(tests, test_beside_slices_the_next_block_may_be_smaller);
    tcase_add_test(tests, test_headroom_that_cannot_be_doubled_is_what_it_must);
    tcase_add_test(tests, test_random_operations_agree_with_strings);
    tcase_add_test(tests, test_slices_may_be_dropped_by_another_thread);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

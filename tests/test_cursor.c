/*
 * test_cursor.c: reading slices and chains: every read at every border between slices, and beside plain strings at random.
 */
#include "starve.h"

#include "quarry/builder.h"
#include "quarry/cursor.h"

/* A chain of slices, each in a block of its own, that are cut after every byte whose bit is set in cuts. */
static void chain_of(qy_chain *chain, const void *bytes, size_t length, uint64_t cuts)
{
    const char *from = bytes;
    qy_chain_init(chain);
    for (size_t start = 0, i = 0; i < length; i++) {
        if (i + 1 == length || (cuts >> i % 64 & 1) != 0) {
            require(qy_chain_push(chain, qy_slice_copy(from + start, i + 1 - start)) == 0);
            start = i + 1;
        }
    }
}

START_TEST(test_nothing_can_be_read_from_nothing)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_cursor cursors[] = {qy_cursor_of_slice(QY_SLICE_EMPTY), qy_cursor_of_chain(&chain)};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t byte;
        size_t bytes = 7;
        errno = 0;
        ck_assert_int_eq(qy_cursor_read_u8(&cursors[i], &byte), -1);
        ck_assert_int_eq(errno, ENODATA);
        ck_assert_int_eq(qy_cursor_skip(&cursors[i], 1), -1);
        errno = 0;
        ck_assert_int_eq(qy_cursor_read(&cursors[i], &byte, 0), 0);
        ck_assert_int_eq(qy_cursor_skip(&cursors[i], 0), 0);
        ck_assert_uint_eq(qy_cursor_read_slice(&cursors[i], 0).iov_len, 0);
        ck_assert_int_eq(errno, 0);
        (void)qy_cursor_run(&cursors[i], &bytes);
        ck_assert_uint_eq(bytes, 0);
        ck_assert_uint_eq(qy_cursor_left(&cursors[i]), 0);
        ck_assert_int_eq(qy_cursor_find_byte(&cursors[i], 'a'), -1);
        ck_assert_int_eq(qy_cursor_find(&cursors[i], "", 0), 0);
    }
}
END_TEST

START_TEST(test_integers_are_read_at_every_border)
{
    unsigned char bytes[29];
    for (unsigned i = 0; i < 29; i++)
        bytes[i] = (unsigned char)(i + 0xe0);
    uint64_t state = 1;
    for (unsigned round = 0; round < unit_rounds(500); round++) {
        qy_chain chain;
        chain_of(&chain, bytes, 29, round == 0 ? 0 : round == 1 ? UINT64_MAX : unit_random(&state));
        qy_cursor cursor = qy_cursor_of_chain(&chain);
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        errno = 0;
        require(qy_cursor_read_u8(&cursor, &u8) == 0 && u8 == 0xe0);
        require(qy_cursor_read_u16be(&cursor, &u16) == 0 && u16 == 0xe1e2);
        require(qy_cursor_read_u32be(&cursor, &u32) == 0 && u32 == 0xe3e4e5e6);
        require(qy_cursor_read_u64be(&cursor, &u64) == 0 && u64 == 0xe7e8e9eaebecedee);
        require(qy_cursor_read_u16le(&cursor, &u16) == 0 && u16 == 0xf0ef);
        require(qy_cursor_read_u32le(&cursor, &u32) == 0 && u32 == 0xf4f3f2f1);
        require(qy_cursor_left(&cursor) == 8);
        require(qy_cursor_read_u64le(&cursor, &u64) == 0 && u64 == 0xfcfbfaf9f8f7f6f5);
        require(errno == 0 && qy_cursor_left(&cursor) == 0);
        require(chain.bytes == 29);
        qy_chain_clear(&chain);
    }
}
END_TEST

START_TEST(test_truncated_numbers_consume_nothing)
{
    static const unsigned char bytes[8] = {0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88};
    for (size_t length = 0; length < 8; length++) {
        qy_chain chain;
        chain_of(&chain, bytes, length, 0xaa);
        qy_cursor cursor = qy_cursor_of_chain(&chain);
        uint16_t u16 = 7;
        uint32_t u32 = 7;
        uint64_t u64 = 7;
        int64_t i64 = 7;
        errno = 0;
        require(qy_cursor_read_u64be(&cursor, &u64) == -1 && errno == ENODATA);
        require(qy_cursor_read_u64le(&cursor, &u64) == -1);
        errno = 0;
        require(qy_cursor_read_varint(&cursor, &u64) == -1 && errno == ENODATA);
        require(qy_cursor_read_zigzag(&cursor, &i64) == -1);
        require(length >= 4 || qy_cursor_read_u32be(&cursor, &u32) == -1);
        require(length >= 4 || qy_cursor_read_u32le(&cursor, &u32) == -1);
        require(length >= 2 || qy_cursor_read_u16be(&cursor, &u16) == -1);
        require(length >= 2 || qy_cursor_read_u16le(&cursor, &u16) == -1);
        require(u16 == 7 && u32 == 7 && u64 == 7 && i64 == 7);
        errno = 0;
        require(qy_cursor_skip(&cursor, length + 1) == -1 && errno == ENODATA);
        errno = 0;
        require(qy_cursor_read_slice(&cursor, length + 1).iov_len == 0 && errno == ENODATA);
        char out[8];
        require(qy_cursor_peek(&cursor, out, length + 1) == -1);
        require(qy_cursor_left(&cursor) == length);
        require(qy_cursor_read(&cursor, out, length) == 0 && memcmp(out, bytes, length) == 0);
        qy_chain_clear(&chain);
    }
}
END_TEST

START_TEST(test_varints_return_as_they_were_written)
{
    uint64_t state = 3;
    qy_builder builder = QY_BUILDER_EMPTY;
    enum { COUNT = 2000 };
    static uint64_t values[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        values[i] = i < 64    ? (uint64_t)1 << i
                    : i < 128 ? ((uint64_t)1 << (i - 64)) - 1
                              : unit_random(&state) >> unit_below(&state, 64);
        require(qy_builder_append_varint(&builder, values[i]) == 0);
        require(qy_builder_append_zigzag(&builder, (int64_t)values[i]) == 0);
        require(qy_builder_append_zigzag(&builder, (int64_t)(0 - values[i])) == 0);
    }
    require(qy_builder_append_varint(&builder, UINT64_MAX) == 0);
    require(qy_builder_append_zigzag(&builder, INT64_MIN) == 0);
    for (unsigned cut = 0; cut < 3; cut++) {
        static const uint64_t cuts[] = {0, UINT64_MAX, 0x123456789abcdef1};
        qy_chain chain;
        chain_of(&chain, qy_builder_data(&builder), qy_builder_length(&builder), cuts[cut]);
        qy_cursor cursor = qy_cursor_of_chain(&chain);
        uint64_t value;
        int64_t folded;
        for (unsigned i = 0; i < COUNT; i++) {
            require(qy_cursor_read_varint(&cursor, &value) == 0 && value == values[i]);
            require(qy_cursor_read_zigzag(&cursor, &folded) == 0 && folded == (int64_t)values[i]);
            require(qy_cursor_read_zigzag(&cursor, &folded) == 0 && folded == (int64_t)(0 - values[i]));
        }
        require(qy_cursor_read_varint(&cursor, &value) == 0 && value == UINT64_MAX);
        require(qy_cursor_read_zigzag(&cursor, &folded) == 0 && folded == INT64_MIN);
        require(qy_cursor_left(&cursor) == 0);
        qy_chain_clear(&chain);
    }
    qy_builder_drop(&builder);
}
END_TEST

START_TEST(test_malformed_varints_consume_nothing)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\x80\0", 2},                                        /* 0 in two bytes */
        {"\xff\x80\0", 3},                                    /* 127 in three */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", 10},       /* 0 in ten */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", 10},       /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},     /* 70 bits */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\1", 11},   /* eleven bytes */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* without an end */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81", 10},     /* an eleventh is announced */
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned cut = 0; cut < 2; cut++) {
            qy_chain chain;
            chain_of(&chain, cases[i].bytes, cases[i].length, cut == 0 ? 0 : UINT64_MAX);
            qy_cursor cursor = qy_cursor_of_chain(&chain);
            uint64_t value = 5;
            int64_t folded = 5;
            errno = 0;
            ck_assert_int_eq(qy_cursor_read_varint(&cursor, &value), -1);
            ck_assert_int_eq(errno, EBADMSG);
            ck_assert_int_eq(qy_cursor_read_zigzag(&cursor, &folded), -1);
            ck_assert_uint_eq(value, 5);
            ck_assert_int_eq(folded, 5);
            ck_assert_uint_eq(qy_cursor_left(&cursor), cases[i].length);
            qy_chain_clear(&chain);
        }
    }
}
END_TEST

START_TEST(test_peek_consumes_nothing)
{
    qy_chain chain;
    chain_of(&chain, "abcdef", 6, 0x5);
    qy_cursor cursor = qy_cursor_of_chain(&chain);
    char out[6];
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(qy_cursor_peek(&cursor, out, 6 - i), 0);
        ck_assert_mem_eq(out, &"abcdef"[i], 6 - i);
        ck_assert_int_eq(qy_cursor_skip(&cursor, 1), 0);
    }
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_runs_are_the_slices)
{
    qy_chain chain;
    chain_of(&chain, "abcdef", 6, 0x5);
    qy_cursor cursor = qy_cursor_of_chain(&chain);
    for (size_t i = 0; i < chain.count; i++) {
        size_t bytes;
        ck_assert_ptr_eq(qy_cursor_run(&cursor, &bytes), chain.slices[i].iov_base);
        ck_assert_uint_eq(bytes, chain.slices[i].iov_len);
        ck_assert_int_eq(qy_cursor_skip(&cursor, bytes), 0);
    }
    ck_assert_uint_eq(qy_cursor_left(&cursor), 0);
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_a_slice_within_one_is_a_reference_and_across_two_a_copy)
{
    qy_chain chain;
    chain_of(&chain, "abcdef", 6, 0x4); /* abc, def */
    const char *first = chain.slices[0].iov_base;
    qy_cursor cursor = qy_cursor_of_chain(&chain);
    qy_slice within = qy_cursor_read_slice(&cursor, 2);
    ck_assert_ptr_eq(within.iov_base, first);
    ck_assert_uint_eq(within.iov_len, 2);
    ck_assert_uint_eq(qy_refcount(first), 2);
    qy_slice across = qy_cursor_read_slice(&cursor, 3);
    ck_assert_uint_eq(across.iov_len, 3);
    ck_assert_mem_eq(across.iov_base, "cde", 3);
    ck_assert_uint_eq(qy_refcount(across.iov_base), 1);
    ck_assert_uint_eq(qy_refcount(first), 2);
    ck_assert_uint_eq(qy_cursor_left(&cursor), 1);
    /* The whole of a slice, entered by the read itself. */
    cursor = qy_cursor_of_chain(&chain);
    ck_assert_int_eq(qy_cursor_skip(&cursor, 3), 0);
    qy_slice second = qy_cursor_read_slice(&cursor, 3);
    ck_assert_ptr_eq(second.iov_base, chain.slices[1].iov_base);
    qy_chain_clear(&chain);
    ck_assert_mem_eq(within.iov_base, "ab", 2);
    ck_assert_mem_eq(second.iov_base, "def", 3);
    qy_slice_drop(&within);
    qy_slice_drop(&across);
    qy_slice_drop(&second);
}
END_TEST

START_TEST(test_a_slice_of_uncountable_memory_is_refused)
{
    char local[] = "abcdef";
    qy_cursor cursor = qy_cursor_of_slice((qy_slice){local, 6});
    uint16_t value;
    ck_assert_int_eq(qy_cursor_read_u16be(&cursor, &value), 0);
    ck_assert_uint_eq(value, 0x6162);
    errno = 0;
    ck_assert_uint_eq(qy_cursor_read_slice(&cursor, 2).iov_len, 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(qy_cursor_left(&cursor), 4);
}
END_TEST

START_TEST(test_bytes_are_found_across_every_border)
{
    static const char text[] = "aabaacaabaadabcabcabdaab";
    static const char *const needles[] = {"a",
                                          "b",
                                          "d",
                                          "e",
                                          "aab",
                                          "aad",
                                          "abcabd",
                                          "caab",
                                          "daab",
                                          "aabx",
                                          "abcabcabdaab",
                                          "aabaacaabaadabcabcabdaab",
                                          "aabaacaabaadabcabcabdaabx"};
    uint64_t state = 5;
    for (unsigned round = 0; round < unit_rounds(1000); round++) {
        qy_chain chain;
        chain_of(&chain, text, sizeof text - 1, round == 0 ? 0 : round == 1 ? UINT64_MAX : unit_random(&state));
        for (unsigned n = 0; n < sizeof needles / sizeof needles[0]; n++) {
            qy_cursor cursor = qy_cursor_of_chain(&chain);
            const size_t from = unit_below(&state, sizeof text);
            require(qy_cursor_skip(&cursor, from) == 0);
            const char *found = strstr(text + from, needles[n]);
            const ssize_t expected = found == NULL ? -1 : found - text - (ssize_t)from;
            require(qy_cursor_find(&cursor, needles[n], strlen(needles[n])) == expected);
            require(strlen(needles[n]) != 1 || qy_cursor_find_byte(&cursor, needles[n][0]) == expected);
            require(qy_cursor_left(&cursor) == sizeof text - 1 - from);
        }
        qy_chain_clear(&chain);
    }
}
END_TEST

START_TEST(test_random_reads_agree_with_a_string)
{
    static char text[20000];
    uint64_t state = 9;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)unit_random(&state);
    for (unsigned round = 0; round < unit_rounds(50); round++) {
        qy_chain chain;
        qy_chain_init(&chain);
        for (size_t at = 0; at < sizeof text;) {
            const size_t length = qyi_min(sizeof text - at, unit_below(&state, unit_below(&state, 3) == 0 ? 1000 : 5));
            require(qy_chain_push(&chain, qy_slice_copy(text + at, length)) == 0);
            at += length;
        }
        qy_cursor cursor = qy_cursor_of_chain(&chain);
        for (size_t at = 0; at < sizeof text;) {
            static char out[2000];
            const size_t length = qyi_min(sizeof text - at, unit_below(&state, unit_below(&state, 3) == 0 ? 2000 : 20));
            switch (unit_below(&state, 4)) {
            case 0: {
                qy_slice slice = qy_cursor_read_slice(&cursor, length);
                require(slice.iov_len == length && (length == 0 || memcmp(slice.iov_base, text + at, length) == 0));
                qy_slice_drop(&slice);
                break;
            }
            case 1: require(qy_cursor_skip(&cursor, length) == 0); break;
            case 2:
                require(qy_cursor_peek(&cursor, out, length) == 0 && memcmp(out, text + at, length) == 0);
                require(qy_cursor_skip(&cursor, length) == 0);
                break;
            default: require(qy_cursor_read(&cursor, out, length) == 0 && memcmp(out, text + at, length) == 0);
            }
            at += length;
            require(qy_cursor_left(&cursor) == sizeof text - at);
        }
        qy_chain_clear(&chain);
    }
}
END_TEST

START_TEST(test_without_memory_a_slice_is_not_read)
{
    if (!STARVE_WORKS)
        return;
    qy_chain chain;
    chain_of(&chain, "abcdef", 6, 0x4);
    qy_cursor cursor = qy_cursor_of_chain(&chain);
    starve(64);
    errno = 0;
    require(qy_cursor_read_slice(&cursor, 2).iov_len == 0 && errno == ENOMEM); /* the first count ever */
    errno = 0;
    require(qy_cursor_read_slice(&cursor, 4).iov_len == 0 && errno == ENOMEM);
    require(qy_cursor_left(&cursor) == 6);
    feed();
    qy_slice slice = qy_cursor_read_slice(&cursor, 4);
    ck_assert_mem_eq(slice.iov_base, "abcd", 4);
    qy_slice_drop(&slice);
    qy_chain_clear(&chain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cursor");
    TCase *tests = tcase_create("cursor");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_nothing_can_be_read_from_nothing);
    tcase_add_test(tests, test_integers_are_read_at_every_border);
    tcase_add_test(tests, test_truncated_numbers_consume_nothing);
    tcase_add_test(tests, test_varints_return_as_they_were_written);
    tcase_add_test(tests, test_malformed_varints_consume_nothing);
    tcase_add_test(tests, test_peek_consumes_nothing);
    tcase_add_test(tests, test_runs_are_the_slices);
    tcase_add_test(tests, test_a_slice_within_one_is_a_reference_and_across_two_a_copy);
    tcase_add_test(tests, test_a_slice_of_uncountable_memory_is_refused);
    tcase_add_test(tests, test_bytes_are_found_across_every_border);
    tcase_add_test(tests, test_random_reads_agree_with_a_string);
    tcase_add_test(tests, test_without_memory_a_slice_is_not_read);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

/*
 * test_chain.c: chains of slices, each operation beside a plain string of the same bytes, and every reference accounted for.
 */
#include "starve.h"

#include "quarry/chain.h"

#include <limits.h>
#include <sys/uio.h>

enum { SOURCE_BYTES = 4096, MODEL_BYTES = 1 << 16, CHAINS = 3, SOURCES = 4 };

static qy_slice source_of(size_t length, unsigned seed)
{
    const qy_slice slice = qy_slice_new(length);
    require(slice.iov_len == length);
    unsigned char *bytes = slice.iov_base;
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251 + seed * 101);
    return slice;
}

static qy_slice part(qy_slice source, size_t offset, size_t length)
{
    return (qy_slice){.iov_base = (char *)source.iov_base + offset, .iov_len = length};
}

/* Every other byte: slices that do not follow each other. */
static qy_slice single(qy_slice source, size_t number)
{
    return part(source, 2 * number, 1);
}

static const unsigned char *singles(qy_slice source, size_t first)
{
    static unsigned char bytes[SOURCE_BYTES];
    for (size_t i = first; 2 * i < source.iov_len; i++)
        bytes[i - first] = ((const unsigned char *)source.iov_base)[2 * i];
    return bytes;
}

/* The invariants that can be seen from outside, and the contents. */
static void check(const qy_chain *chain, const unsigned char *expected, size_t length)
{
    require(chain->bytes == length && qy_chain_bytes(chain) == length);
    require(chain->room <= chain->slices && chain->slices + chain->count <= chain->limit);
    require(chain->count != 0 || chain->slices == chain->room);
    size_t done = 0;
    for (size_t i = 0; i < chain->count; i++) {
        const qy_slice *slice = &chain->slices[i];
        require(slice->iov_len != 0 && slice->iov_len <= length - done);
        require(memcmp(slice->iov_base, expected + done, slice->iov_len) == 0);
        require(qy_refcount(slice->iov_base) != 0);
        done += slice->iov_len;
    }
    require(done == length);
}

static void check_text(const qy_chain *chain, const char *expected)
{
    check(chain, (const unsigned char *)expected, strlen(expected));
}

static qy_slice text(const char *bytes)
{
    return qy_slice_copy(bytes, strlen(bytes));
}

START_TEST(test_a_new_chain_is_empty)
{
    qy_chain chain;
    qy_chain_init(&chain);
    size_t count = 7;
    ck_assert_ptr_nonnull(qy_chain_iov(&chain, &count));
    ck_assert_uint_eq(count, 0);
    check_text(&chain, "");
    qy_chain_clear(&chain);
    check_text(&chain, "");
}
END_TEST

START_TEST(test_push_takes_and_clear_drops)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("abc");
    const qy_slice witness = qy_slice_clone(slice);
    errno = 0;
    ck_assert_int_eq(qy_chain_push(&chain, slice), 0);
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(qy_refcount(witness.iov_base), 2);
    check_text(&chain, "abc");
    qy_chain_clear(&chain);
    ck_assert_uint_eq(qy_refcount(witness.iov_base), 1);
    slice = witness;
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_push_clone_adds_a_reference)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("abcdef");
    ck_assert_int_eq(qy_chain_push_clone(&chain, slice), 0);
    ck_assert_int_eq(qy_chain_push_clone(&chain, part(slice, 2, 2)), 0);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 3);
    check_text(&chain, "abcdefcd");
    qy_chain_clear(&chain);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_an_empty_slice_is_not_pushed)
{
    qy_chain chain;
    qy_chain_init(&chain);
    char local;
    const qy_slice nothing = {&local, 0};
    ck_assert_int_eq(qy_chain_push(&chain, nothing), 0);
    ck_assert_int_eq(qy_chain_push_clone(&chain, nothing), 0);
    ck_assert_int_eq(qy_chain_push_front(&chain, nothing), 0);
    ck_assert_int_eq(qy_chain_push_clones(&chain, &nothing, 1), 0);
    ck_assert_uint_eq(qy_chain_count(&chain), 0);
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_memory_that_cannot_be_counted_is_not_pushed)
{
    qy_chain chain;
    qy_chain_init(&chain);
    char local[4] = "abc";
    qy_slice slice = text("xyz");
    const qy_slice both[] = {slice, {local, 3}};
    errno = 0;
    ck_assert_int_eq(qy_chain_push_clone(&chain, both[1]), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(qy_chain_push_clones(&chain, both, 2), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    check_text(&chain, "");
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_push_clones_counts_each_block)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice a = text("abcdef");
    qy_slice b = text("uvwxyz");
    const qy_slice parts[] = {part(a, 0, 2), part(a, 4, 1), QY_SLICE_EMPTY, part(b, 0, 3),
                              part(a, 1, 1), part(b, 5, 1), part(b, 5, 1)};
    ck_assert_int_eq(qy_chain_push_clones(&chain, parts, 7), 0);
    ck_assert_uint_eq(qy_refcount(a.iov_base), 4);
    ck_assert_uint_eq(qy_refcount(b.iov_base), 4);
    check_text(&chain, "abeuvwbzz");
    qy_chain_clear(&chain);
    ck_assert_uint_eq(qy_refcount(a.iov_base), 1);
    ck_assert_uint_eq(qy_refcount(b.iov_base), 1);
    qy_slice_drop(&a);
    qy_slice_drop(&b);
}
END_TEST

START_TEST(test_neighbouring_blocks_are_counted_apart)
{
    qy_slice blocks[64];
    qy_chain chain;
    qy_chain_init(&chain);
    for (unsigned i = 0; i < 64; i++)
        blocks[i] = source_of(64, i);
    ck_assert_int_eq(qy_chain_push_clones(&chain, blocks, 64), 0);
    for (unsigned i = 0; i < 64; i++)
        ck_assert_uint_eq(qy_refcount(blocks[i].iov_base), 2);
    ck_assert_int_eq(qy_chain_coalesce(&chain, 64 * 64), 0);
    ck_assert_uint_eq(qy_chain_count(&chain), 1);
    for (unsigned i = 0; i < 64; i++) {
        ck_assert_uint_eq(qy_refcount(blocks[i].iov_base), 1);
        ck_assert_mem_eq((char *)chain.slices[0].iov_base + (size_t)64 * i, blocks[i].iov_base, 64);
    }
    qy_chain_clear(&chain);
    qy_slices_drop(blocks, 64);
}
END_TEST

START_TEST(test_large_and_foreign_blocks_are_counted)
{
    static const char constant[] = "constant";
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice large = source_of((size_t)5 << 20, 1);
    const qy_slice fixed = qy_slice_static(constant, 8);
    const qy_slice parts[] = {part(large, (size_t)4 << 20, 9), part(large, 0, 5), fixed, fixed};
    ck_assert_int_eq(qy_chain_push_clones(&chain, parts, 4), 0);
    ck_assert_uint_eq(qy_refcount(large.iov_base), 3);
    ck_assert_int_eq(qy_chain_drain(&chain, 10), 0);
    ck_assert_uint_eq(qy_refcount(large.iov_base), 2);
    qy_slice_drop(&large);
    ck_assert_uint_eq(qy_refcount(chain.slices[0].iov_base), 1);
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_more_slices_than_the_structure_holds)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = source_of(SOURCE_BYTES, 3);
    for (size_t i = 0; i < 1000; i++)
        require(qy_chain_push_clone(&chain, single(slice, i)) == 0);
    ck_assert_uint_eq(chain.count, 1000);
    check(&chain, singles(slice, 0), 1000);
    qy_chain_clear(&chain);
    ck_assert_ptr_eq(chain.room, chain.inline_slices);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_eight_slices_need_no_allocation_whichever_end_they_are_pushed_to)
{
    qy_slice slice = source_of(SOURCE_BYTES, 3);
    for (unsigned fronts = 0; fronts < 256; fronts++) {
        qy_chain chain;
        qy_chain_init(&chain);
        for (unsigned i = 0; i < 8; i++) {
            const qy_slice clone = qy_slice_clone(slice);
            require((fronts >> i & 1 ? qy_chain_push_front(&chain, clone) : qy_chain_push(&chain, clone)) == 0);
        }
        require(chain.room == chain.inline_slices && chain.count == 8);
        qy_chain_clear(&chain);
    }
    qy_slice_drop(&slice);
}
END_TEST

/* A queue that is written to at one end and drained at the other keeps to its room. */
START_TEST(test_a_steady_queue_does_not_grow)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = source_of(64, 1);
    size_t most = 0;
    for (unsigned i = 0; i < 10000; i++) {
        require(qy_chain_push_clone(&chain, slice) == 0);
        if (i >= 50)
            require(qy_chain_drain(&chain, 64) == 0);
        most = qyi_max(most, (size_t)(chain.limit - chain.room));
    }
    ck_assert_uint_le(most, 128);
    qy_chain_clear(&chain);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_push_front_stands_first)
{
    qy_chain chain;
    qy_chain_init(&chain);
    for (const char *word = "zyxwvutsrqponmlkjihgfedcba"; *word != '\0'; word++)
        ck_assert_int_eq(qy_chain_push_front(&chain, qy_slice_copy(word, 1)), 0);
    check_text(&chain, "abcdefghijklmnopqrstuvwxyz");
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_move_works_inline_and_on_the_heap)
{
    for (unsigned length = 0; length < 20; length++) {
        qy_chain from;
        qy_chain to;
        const qy_chain_marks marks = {.high = 1000, .low = 1};
        qy_chain_init(&from);
        qy_chain_watch(&from, &marks);
        qy_slice slice = source_of(128, length);
        for (unsigned i = 0; i < length + 2; i++)
            require(qy_chain_push_clone(&from, single(slice, i)) == 0);
        require(qy_chain_drain(&from, 2) == 0);
        qy_chain_move(&to, &from);
        check(&to, singles(slice, 2), length);
        require(to.count == length);
        check_text(&from, "");
        require(to.marks == &marks && from.marks == NULL);
        memset(&from, 0xee, sizeof from);
        require(qy_chain_push_clone(&to, single(slice, length + 2)) == 0);
        check(&to, singles(slice, 2), length + 1);
        qy_chain_clear(&to);
        require(qy_refcount(slice.iov_base) == 1);
        qy_slice_drop(&slice);
    }
}
END_TEST

START_TEST(test_append_moves_every_slice)
{
    for (unsigned mine = 0; mine < 20; mine += 3) {
        for (unsigned other = 0; other < 20; other++) {
            qy_chain a;
            qy_chain b;
            qy_chain_init(&a);
            qy_chain_init(&b);
            qy_slice slice = source_of(128, other);
            for (unsigned i = 0; i < mine + other; i++)
                require(qy_chain_push_clone(i < mine ? &a : &b, single(slice, i)) == 0);
            require(qy_chain_append(&a, &b) == 0);
            check(&a, singles(slice, 0), mine + other);
            require(a.count == mine + other);
            check_text(&b, "");
            require(qy_chain_push_clone(&b, slice) == 0);
            check(&b, slice.iov_base, 128);
            qy_chain_clear(&a);
            qy_chain_clear(&b);
            require(qy_refcount(slice.iov_base) == 1);
            qy_slice_drop(&slice);
        }
    }
}
END_TEST

START_TEST(test_drain_shortens_and_drops)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("ab-cde-f");
    const qy_slice parts[] = {part(slice, 0, 2), part(slice, 3, 3), part(slice, 7, 1)};
    ck_assert_int_eq(qy_chain_push_clones(&chain, parts, 3), 0);
    errno = 0;
    ck_assert_int_eq(qy_chain_drain(&chain, 7), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(qy_chain_drain(&chain, 0), 0);
    check_text(&chain, "abcdef");
    ck_assert_int_eq(qy_chain_drain(&chain, 3), 0);
    check_text(&chain, "def");
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 3);
    ck_assert_int_eq(qy_chain_drain(&chain, 3), 0);
    check_text(&chain, "");
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_split_cuts_a_slice_in_two)
{
    qy_chain chain;
    qy_chain front;
    qy_chain_init(&chain);
    qy_chain_init(&front);
    qy_slice slice = text("ab-cdef");
    ck_assert_int_eq(qy_chain_push_clone(&chain, part(slice, 0, 2)), 0);
    ck_assert_int_eq(qy_chain_push_clone(&chain, part(slice, 3, 4)), 0);
    errno = 0;
    ck_assert_int_eq(qy_chain_split(&chain, 7, &front), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(qy_chain_split(&chain, 3, &front), 0);
    check_text(&front, "abc");
    check_text(&chain, "def");
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 4);
    ck_assert_int_eq(qy_chain_split(&chain, 3, &front), 0);
    check_text(&front, "abcdef");
    check_text(&chain, "");
    qy_chain_clear(&front);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_take_gives_contiguous_bytes)
{
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(qy_chain_push(&chain, text("ab")), 0);
    ck_assert_int_eq(qy_chain_push(&chain, text("cdefg")), 0);
    qy_slice taken = qy_chain_take(&chain, 4);
    ck_assert_uint_eq(taken.iov_len, 4);
    ck_assert_mem_eq(taken.iov_base, "abcd", 4);
    qy_slice_drop(&taken);
    check_text(&chain, "efg");
    taken = qy_chain_take(&chain, 1);
    ck_assert_mem_eq(taken.iov_base, "e", 1);
    ck_assert_uint_eq(qy_refcount(taken.iov_base), 2);
    qy_slice_drop(&taken);
    taken = qy_chain_take(&chain, 2);
    ck_assert_uint_eq(qy_refcount(taken.iov_base), 1);
    check_text(&chain, "");
    qy_slice_drop(&taken);
    errno = 0;
    ck_assert_uint_eq(qy_chain_take(&chain, 0).iov_len, 0);
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(qy_chain_take(&chain, 1).iov_len, 0);
    ck_assert_int_eq(errno, ERANGE);
}
END_TEST

START_TEST(test_coalesce_joins_neighbours_without_copying)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("abcdef");
    for (size_t i = 6; i-- > 0;)
        ck_assert_int_eq(qy_chain_push_front(&chain, qy_slice_sub(slice, i, 1)), 0);
    ck_assert_uint_eq(chain.count, 6);
    ck_assert_int_eq(qy_chain_coalesce(&chain, 4), 0);
    ck_assert_uint_eq(chain.count, 3);
    ck_assert_uint_ge(chain.slices[0].iov_len, 4);
    ck_assert_ptr_eq(chain.slices[0].iov_base, slice.iov_base);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1 + chain.count);
    check_text(&chain, "abcdef");
    qy_chain_clear(&chain);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_coalesce_copies_what_is_apart_and_no_more)
{
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(qy_chain_push(&chain, text("ab")), 0);
    ck_assert_int_eq(qy_chain_push(&chain, text("cdef")), 0);
    const char *rest = (char *)chain.slices[1].iov_base + 1;
    errno = 0;
    ck_assert_int_eq(qy_chain_coalesce(&chain, 7), -1);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(qy_chain_coalesce(&chain, 2), 0);
    ck_assert_uint_eq(chain.count, 2);
    ck_assert_int_eq(qy_chain_coalesce(&chain, 3), 0);
    ck_assert_uint_eq(chain.count, 2);
    ck_assert_uint_eq(chain.slices[0].iov_len, 3);
    ck_assert_ptr_eq(chain.slices[1].iov_base, rest);
    check_text(&chain, "abcdef");
    ck_assert_int_eq(qy_chain_coalesce(&chain, 6), 0);
    ck_assert_uint_eq(chain.count, 1);
    check_text(&chain, "abcdef");
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_copy_out_consumes_nothing)
{
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(qy_chain_push(&chain, text("ab")), 0);
    ck_assert_int_eq(qy_chain_push(&chain, text("cdef")), 0);
    for (size_t offset = 0; offset < 8; offset++) {
        for (size_t max = 0; max < 8; max++) {
            char out[8];
            memset(out, '#', sizeof out);
            const size_t expected = offset >= 6 ? 0 : qyi_min(max, 6 - offset);
            ck_assert_uint_eq(qy_chain_copy_out(&chain, offset, out, max), expected);
            ck_assert_mem_eq(out, &"abcdef##"[qyi_min(offset, 6)], expected);
            ck_assert_int_eq(out[expected], '#');
        }
    }
    check_text(&chain, "abcdef");
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_the_array_goes_to_writev)
{
    int ends[2];
    char got[16];
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(qy_chain_push(&chain, text("ab")), 0);
    ck_assert_int_eq(qy_chain_push(&chain, text("cde")), 0);
    size_t count;
    const struct iovec *iov = qy_chain_iov(&chain, &count);
    ck_assert_ptr_eq(iov, chain.slices);
    ck_assert_int_eq(writev(ends[1], iov, (int)count), 5);
    ck_assert_int_eq(read(ends[0], got, sizeof got), 5);
    ck_assert_mem_eq(got, "abcde", 5);
    qy_chain_clear(&chain);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(test_a_chain_cannot_have_more_bytes_than_ssize_max)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("x");
    /* No such block exists: only the arithmetic is of interest. */
    const qy_slice huge = {slice.iov_base, SSIZE_MAX};
    ck_assert_int_eq(qy_chain_push(&chain, huge), 0);
    errno = 0;
    ck_assert_int_eq(qy_chain_push(&chain, slice), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_int_eq(qy_chain_push_front(&chain, slice), -1);
    ck_assert_int_eq(qy_chain_push_clone(&chain, slice), -1);
    ck_assert_int_eq(qy_chain_push_clones(&chain, &slice, 1), -1);
    ck_assert_uint_eq(chain.count, 1);
    qy_chain_clear(&chain);
    slice = text("x");
    const qy_slice wraps = {(char *)slice.iov_base + 2, SIZE_MAX};
    ck_assert_int_eq(qy_chain_push(&chain, wraps), -1);
    ck_assert_int_eq(qy_chain_push(&chain, slice), 0);
    errno = 0;
    ck_assert_int_eq(qy_chain_push(&chain, wraps), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    check_text(&chain, "x");
    qy_chain_clear(&chain);
}
END_TEST

/* ---- joining ---- */

START_TEST(test_what_continues_the_last_slice_is_joined_to_it)
{
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = text("abcdef");
    ck_assert_int_eq(qy_chain_push(&chain, qy_slice_sub(slice, 0, 1)), 0);
    ck_assert_int_eq(qy_chain_push(&chain, qy_slice_sub(slice, 1, 2)), 0);
    ck_assert_uint_eq(chain.count, 1);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 2);
    ck_assert_int_eq(qy_chain_push_clone(&chain, part(slice, 3, 1)), 0);
    ck_assert_uint_eq(chain.count, 1);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 2);
    const qy_slice rest[] = {part(slice, 4, 1), part(slice, 5, 1), part(slice, 0, 3), part(slice, 3, 3)};
    ck_assert_int_eq(qy_chain_push_clones(&chain, rest, 2), 0);
    check_text(&chain, "abcdef");
    ck_assert_uint_eq(chain.count, 1);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 2);
    ck_assert_int_eq(qy_chain_push_clones(&chain, rest, 4), 0);
    check_text(&chain, "abcdefefabcdef");
    ck_assert_uint_eq(chain.count, 3);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 4);
    qy_chain_clear(&chain);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_neighbouring_blocks_are_not_joined)
{
    qy_slice blocks[64];
    qy_chain chain;
    qy_chain_init(&chain);
    for (unsigned i = 0; i < 64; i++)
        blocks[i] = source_of(64, i);
    /* Some of them are neighbours, in this order or the other. */
    unsigned neighbours = 0;
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned k = 0; k < 64; k++) {
            if ((char *)blocks[i].iov_base + 64 != blocks[k].iov_base)
                continue;
            const qy_slice second[] = {part(blocks[k], 0, 5), part(blocks[k], 5, 5)};
            neighbours++;
            require(qy_chain_push_clone(&chain, blocks[i]) == 0);
            require(qy_chain_push(&chain, qy_slice_clone(blocks[k])) == 0);
            require(chain.count == 2);
            qy_chain_clear(&chain);
            require(qy_chain_push_clone(&chain, blocks[i]) == 0);
            require(qy_chain_push_clone(&chain, blocks[k]) == 0);
            require(chain.count == 2);
            qy_chain_clear(&chain);
            require(qy_chain_push_clone(&chain, blocks[i]) == 0);
            require(qy_chain_push_clones(&chain, second, 2) == 0);
            require(chain.count == 2 && chain.bytes == 74);
            qy_chain_clear(&chain);
            require(qy_refcount(blocks[i].iov_base) == 1 && qy_refcount(blocks[k].iov_base) == 1);
        }
    }
    ck_assert_uint_ne(neighbours, 0);
    qy_slices_drop(blocks, 64);
}
END_TEST

/* ---- marks ---- */

struct told {
    unsigned high, low;
    size_t bytes;
};

static void on_high(qy_chain *chain, void *context)
{
    struct told *told = context;
    told->high++;
    told->bytes = qy_chain_bytes(chain);
}

static void on_low(qy_chain *chain, void *context)
{
    struct told *told = context;
    told->low++;
    told->bytes = qy_chain_bytes(chain);
}

static void drain_half(qy_chain *chain, void *context)
{
    on_high(chain, context);
    require(qy_chain_drain(chain, qy_chain_bytes(chain) / 2) == 0);
}

START_TEST(test_marks_are_told_once_each_way)
{
    struct told told = {0};
    const qy_chain_marks marks = {.high = 100, .low = 50, .on_high = on_high, .on_low = on_low, .context = &told};
    qy_chain chain;
    qy_chain_init(&chain);
    qy_chain_watch(&chain, &marks);
    qy_slice ten = source_of(10, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 1; i <= 20; i++) {
            ck_assert_int_eq(qy_chain_push_clone(&chain, ten), 0);
            ck_assert_uint_eq(told.high, round + (chain.bytes >= 100));
        }
        for (unsigned i = 1; i <= 20; i++) {
            ck_assert_int_eq(qy_chain_drain(&chain, 10), 0);
            ck_assert_uint_eq(told.low, round + (chain.bytes <= 50));
        }
    }
    /* Every way to grow, and to shrink. */
    qy_chain other;
    qy_chain_init(&other);
    qy_slice many[10];
    for (unsigned i = 0; i < 10; i++)
        many[i] = ten;
    told = (struct told){0};
    ck_assert_int_eq(qy_chain_push_clones(&chain, many, 10), 0);
    ck_assert_uint_eq(told.high, 1);
    ck_assert_int_eq(qy_chain_split(&chain, 50, &other), 0);
    ck_assert_uint_eq(told.low, 1);
    ck_assert_int_eq(qy_chain_append(&chain, &other), 0);
    ck_assert_uint_eq(told.high, 2);
    qy_chain_clear(&chain);
    ck_assert_uint_eq(told.low, 2);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_int_eq(qy_chain_push_front(&chain, qy_slice_clone(ten)), 0);
    ck_assert_uint_eq(told.high, 3);
    ck_assert_uint_eq(told.bytes, 100);
    qy_slice taken = qy_chain_take(&chain, 60);
    ck_assert_uint_eq(told.low, 3);
    qy_slice_drop(&taken);
    ck_assert_int_eq(qy_chain_append(&other, &chain), 0);
    ck_assert_uint_eq(told.low, 3);
    for (unsigned i = 0; i < 10; i++)
        ck_assert_int_eq(qy_chain_push(&chain, qy_slice_clone(ten)), 0);
    ck_assert_int_eq(qy_chain_append(&other, &chain), 0);
    ck_assert_uint_eq(told.high, 4);
    ck_assert_uint_eq(told.low, 4);
    qy_chain_clear(&chain);
    qy_chain_clear(&other);
    ck_assert_uint_eq(qy_refcount(ten.iov_base), 1);
    qy_slice_drop(&ten);
}
END_TEST

START_TEST(test_a_callback_may_drain_the_chain)
{
    struct told told = {0};
    const qy_chain_marks marks = {.high = 100, .low = 50, .on_high = drain_half, .on_low = on_low, .context = &told};
    qy_chain chain;
    qy_chain_init(&chain);
    qy_chain_watch(&chain, &marks);
    qy_slice ten = source_of(10, 0);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_int_eq(qy_chain_push_clone(&chain, ten), 0);
    ck_assert_uint_eq(told.high, 19);
    ck_assert_uint_eq(told.low, 19);
    qy_chain_clear(&chain);
    qy_slice_drop(&ten);
}
END_TEST

START_TEST(test_watching_a_full_chain_is_told_at_once_and_can_be_ended)
{
    struct told told = {0};
    const qy_chain_marks marks = {.high = 10, .low = 0, .on_high = on_high, .on_low = on_low, .context = &told};
    const qy_chain_marks never = {.high = 0, .low = 0, .on_high = on_high, .on_low = on_low, .context = &told};
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(qy_chain_push(&chain, source_of(10, 0)), 0);
    qy_chain_watch(&chain, &marks);
    ck_assert_uint_eq(told.high, 1);
    qy_chain_watch(&chain, NULL);
    qy_chain_clear(&chain);
    ck_assert_uint_eq(told.low, 0);
    qy_chain_watch(&chain, &never);
    ck_assert_int_eq(qy_chain_push(&chain, source_of(10, 0)), 0);
    qy_chain_clear(&chain);
    ck_assert_uint_eq(told.high, 1);
    ck_assert_uint_eq(told.low, 0);
}
END_TEST

/* ---- out of memory ---- */

START_TEST(test_without_memory_nothing_changes)
{
    if (!STARVE_WORKS)
        return;
    qy_chain full;
    qy_chain few;
    qy_chain_init(&full);
    qy_chain_init(&few);
    qy_slice slice = source_of(64, 5);
    for (unsigned i = 0; i < 8; i++)
        ck_assert_int_eq(qy_chain_push_clone(&full, single(slice, i)), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(qy_chain_push(&few, source_of(1, i)), 0);
    starve(64);
    errno = 0;
    require(qy_chain_push(&full, slice) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_chain_push_front(&full, slice) == -1 && errno == ENOMEM);
    require(qy_chain_push_clone(&full, slice) == -1);
    require(qy_chain_push_clones(&full, &slice, 1) == -1);
    require(qy_chain_push_clones(&few, &slice, SIZE_MAX) == -1);
    errno = 0;
    require(qy_chain_append(&full, &few) == -1 && errno == ENOMEM);
    require(qy_chain_split(&few, 4, &full) == -1);
    errno = 0;
    require(qy_chain_coalesce(&few, 4) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_chain_take(&few, 4).iov_len == 0 && errno == ENOMEM);
    require(qy_refcount(slice.iov_base) == 9 && few.count == 4 && few.bytes == 4);
    check(&full, singles(slice, 0), 8);
    feed();
    ck_assert_int_eq(qy_chain_append(&full, &few), 0);
    ck_assert_uint_eq(qy_chain_count(&full), 12);
    qy_chain_clear(&full);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_slice_drop(&slice);
}
END_TEST

START_TEST(test_without_memory_for_counts_nothing_changes)
{
    if (!STARVE_WORKS)
        return;
    qy_chain chain;
    qy_chain to;
    qy_chain_init(&chain);
    qy_chain_init(&to);
    const qy_slice slice = text("abcdef");
    ck_assert_int_eq(qy_chain_push(&chain, slice), 0);
    starve(64);
    errno = 0;
    require(qy_chain_push_clone(&chain, slice) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_chain_push_clones(&chain, &slice, 1) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_chain_split(&chain, 1, &to) == -1 && errno == ENOMEM);
    errno = 0;
    require(qy_chain_take(&chain, 1).iov_len == 0 && errno == ENOMEM);
    require(to.count == 0 && chain.count == 1 && qy_refcount(slice.iov_base) == 1);
    check_text(&chain, "abcdef");
    feed();
    ck_assert_int_eq(qy_chain_split(&chain, 1, &to), 0);
    check_text(&to, "a");
    check_text(&chain, "bcdef");
    qy_chain_clear(&chain);
    qy_chain_clear(&to);
}
END_TEST

/* ---- at random ---- */

static struct model {
    unsigned char bytes[MODEL_BYTES];
    size_t length;
} models[CHAINS];

static void model_add(struct model *model, const void *bytes, size_t length)
{
    require(length <= MODEL_BYTES - model->length);
    memcpy(model->bytes + model->length, bytes, length);
    model->length += length;
}

static void model_drop(struct model *model, size_t length)
{
    memmove(model->bytes, model->bytes + length, model->length - length);
    model->length -= length;
}

static void step(qy_chain *chains, const qy_slice *sources, uint64_t *state)
{
    const size_t a = unit_below(state, CHAINS);
    const size_t b = (a + 1 + unit_below(state, CHAINS - 1)) % CHAINS;
    qy_chain *chain = &chains[a];
    struct model *model = &models[a];
    const qy_slice source = sources[unit_below(state, SOURCES)];
    const size_t offset = unit_below(state, source.iov_len);
    const qy_slice some = part(source, offset, unit_below(state, qyi_min(source.iov_len - offset, 200) + 1));
    const size_t bytes = model->length == 0 ? 0 : unit_below(state, model->length + 1);
    switch (unit_below(state, 12)) {
    case 0:
    case 1: {
        qy_slice clone = qy_slice_clone(some);
        require(qy_chain_push(chain, clone) == 0);
        model_add(model, some.iov_base, some.iov_len);
        break;
    }
    case 2: {
        require(qy_chain_push_front(chain, qy_slice_clone(some)) == 0);
        memmove(model->bytes + some.iov_len, model->bytes, model->length);
        memcpy(model->bytes, some.iov_base, some.iov_len);
        model->length += some.iov_len;
        break;
    }
    case 3:
    case 4: {
        qy_slice many[20];
        const size_t count = unit_below(state, 20);
        for (size_t i = 0; i < count; i++) {
            const qy_slice from = sources[unit_below(state, 2)];
            many[i] = part(from, unit_below(state, 50), unit_below(state, 30));
            model_add(model, many[i].iov_base, many[i].iov_len);
        }
        require(qy_chain_push_clones(chain, many, count) == 0);
        break;
    }
    case 5:
        require(qy_chain_append(chain, &chains[b]) == 0);
        model_add(model, models[b].bytes, models[b].length);
        models[b].length = 0;
        break;
    case 6:
    case 7:
        require(qy_chain_split(chain, bytes, &chains[b]) == 0);
        model_add(&models[b], model->bytes, bytes);
        model_drop(model, bytes);
        break;
    case 8:
        require(qy_chain_drain(chain, bytes) == 0);
        model_drop(model, bytes);
        break;
    case 9:
        require(qy_chain_coalesce(chain, bytes) == 0);
        require(bytes == 0 || chain->slices[0].iov_len >= bytes);
        break;
    case 10: {
        qy_slice taken = qy_chain_take(chain, bytes);
        require(taken.iov_len == bytes && (bytes == 0 || memcmp(taken.iov_base, model->bytes, bytes) == 0));
        model_drop(model, bytes);
        qy_slice_drop(&taken);
        break;
    }
    default: {
        qy_chain moved;
        qy_chain_move(&moved, chain);
        memset(chain, 0xee, sizeof *chain);
        qy_chain_move(chain, &moved);
        /* Neighbours in a block for coalesce to join. */
        for (size_t at = 0; at < 5; at++)
            require(qy_chain_push_clone(chain, part(source, at * 3, 3)) == 0);
        model_add(model, source.iov_base, 15);
    }
    }
    if (model->length > MODEL_BYTES / 8) {
        qy_chain_clear(chain);
        model->length = 0;
    }
}

START_TEST(test_random_operations_agree_with_strings)
{
    uint64_t state = 42;
    qy_chain chains[CHAINS];
    qy_slice sources[SOURCES];
    for (unsigned i = 0; i < CHAINS; i++)
        qy_chain_init(&chains[i]);
    for (unsigned i = 0; i < SOURCES; i++)
        sources[i] = source_of(i == 3 ? (size_t)3 << 20 : (size_t)SOURCE_BYTES >> i, i);
    for (unsigned i = 0; i < unit_rounds(20000); i++) {
        step(chains, sources, &state);
        for (unsigned c = 0; c < CHAINS; c++)
            check(&chains[c], models[c].bytes, models[c].length);
    }
    /* Every reference of every chain is one of a source's block or its own. */
    uint32_t expected[SOURCES] = {1, 1, 1, 1};
    for (unsigned c = 0; c < CHAINS; c++) {
        for (size_t i = 0; i < chains[c].count; i++) {
            for (unsigned s = 0; s < SOURCES; s++)
                expected[s] += qy_base(chains[c].slices[i].iov_base) == sources[s].iov_base;
        }
    }
    for (unsigned s = 0; s < SOURCES; s++)
        ck_assert_uint_eq(qy_refcount(sources[s].iov_base), expected[s]);
    for (unsigned c = 0; c < CHAINS; c++)
        qy_chain_clear(&chains[c]);
    for (unsigned s = 0; s < SOURCES; s++) {
        ck_assert_uint_eq(qy_refcount(sources[s].iov_base), 1);
        qy_slice_drop(&sources[s]);
    }
}
END_TEST

/* ---- a chain that is its own argument ---- */

START_TEST(test_a_chain_can_repeat_its_own_slices)
{
    qy_slice sources[] = {source_of(SOURCE_BYTES, 1), source_of(SOURCE_BYTES, 2)};
    unsigned char expected[96];
    qy_chain chain;
    qy_chain_init(&chain);
    for (size_t i = 0; i < 12; i++) {
        ck_assert_int_eq(qy_chain_push_clone(&chain, single(sources[i % 2], i)), 0);
        expected[i] = *(unsigned char *)single(sources[i % 2], i).iov_base;
    }
    for (size_t length = 12; length < sizeof expected; length *= 2) { /* the array moves each time */
        memcpy(expected + length, expected, length);
        ck_assert_int_eq(qy_chain_push_clones(&chain, chain.slices, chain.count), 0);
        check(&chain, expected, 2 * length);
    }
    ck_assert_int_eq(qy_chain_push_clones(&chain, chain.slices + chain.count - 1, 1), 0);
    ck_assert_uint_eq(qy_refcount(sources[0].iov_base), 1 + 48);
    ck_assert_uint_eq(qy_refcount(sources[1].iov_base), 1 + 49);
    qy_chain_clear(&chain);
    qy_slices_drop(sources, 2);
}
END_TEST

START_TEST(test_a_chain_cannot_go_into_itself)
{
    qy_slice source = source_of(SOURCE_BYTES, 1);
    for (size_t count = 0; count < 20; count++) {
        qy_chain chain;
        qy_chain_init(&chain);
        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq(qy_chain_push_clone(&chain, single(source, i)), 0);
        ck_assert_int_eq(qy_chain_append(&chain, &chain), -1);
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_int_eq(qy_chain_split(&chain, count / 2, &chain), -1);
        ck_assert_int_eq(errno, EINVAL);
        qy_chain_move(&chain, &chain);
        check(&chain, singles(source, 0), count);
        ck_assert_uint_eq(qy_refcount(source.iov_base), 1 + count);
        qy_chain_clear(&chain);
    }
    qy_slice_drop(&source);
}
END_TEST

/* ---- threads ---- */

static void *push_and_drain(void *argument)
{
    const qy_slice *shared = argument;
    for (unsigned i = 0; i < unit_rounds(2000); i++) {
        qy_chain chain;
        qy_chain_init(&chain);
        qy_slice many[8];
        for (size_t k = 0; k < 8; k++)
            many[k] = part(shared[k % 2], k * 8, 8);
        require(qy_chain_push_clones(&chain, many, 8) == 0);
        require(qy_chain_drain(&chain, 20) == 0);
        qy_chain_clear(&chain);
    }
    return NULL;
}

START_TEST(test_threads_share_blocks_by_chains_of_their_own)
{
    qy_slice shared[2] = {source_of(64, 1), source_of(64, 2)};
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, push_and_drain, shared), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(qy_refcount(shared[0].iov_base), 1);
    ck_assert_uint_eq(qy_refcount(shared[1].iov_base), 1);
    qy_slices_drop(shared, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *tests = tcase_create("chain");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_a_new_chain_is_empty);
    tcase_add_test(tests, test_push_takes_and_clear_drops);
    tcase_add_test(tests, test_push_clone_adds_a_reference);
    tcase_add_test(tests, test_an_empty_slice_is_not_pushed);
    tcase_add_test(tests, test_memory_that_cannot_be_counted_is_not_pushed);
    tcase_add_test(tests, test_push_clones_counts_each_block);
    tcase_add_test(tests, test_neighbouring_blocks_are_counted_apart);
    tcase_add_test(tests, test_large_and_foreign_blocks_are_counted);
    tcase_add_test(tests, test_more_slices_than_the_structure_holds);
    tcase_add_test(tests, test_eight_slices_need_no_allocation_whichever_end_they_are_pushed_to);
    tcase_add_test(tests, test_a_steady_queue_does_not_grow);
    tcase_add_test(tests, test_push_front_stands_first);
    tcase_add_test(tests, test_move_works_inline_and_on_the_heap);
    tcase_add_test(tests, test_append_moves_every_slice);
    tcase_add_test(tests, test_drain_shortens_and_drops);
    tcase_add_test(tests, test_split_cuts_a_slice_in_two);
    tcase_add_test(tests, test_take_gives_contiguous_bytes);
    tcase_add_test(tests, test_coalesce_joins_neighbours_without_copying);
    tcase_add_test(tests, test_coalesce_copies_what_is_apart_and_no_more);
    tcase_add_test(tests, test_copy_out_consumes_nothing);
    tcase_add_test(tests, test_the_array_goes_to_writev);
    tcase_add_test(tests, test_a_chain_cannot_have_more_bytes_than_ssize_max);
    tcase_add_test(tests, test_what_continues_the_last_slice_is_joined_to_it);
    tcase_add_test(tests, test_neighbouring_blocks_are_not_joined);
    tcase_add_test(tests, test_marks_are_told_once_each_way);
    tcase_add_test(tests, test_a_callback_may_drain_the_chain);
    tcase_add_test(tests, test_watching_a_full_chain_is_told_at_once_and_can_be_ended);
    tcase_add_test(tests, test_without_memory_nothing_changes);
    tcase_add_test(tests, test_without_memory_for_counts_nothing_changes);
    tcase_add_test(tests, test_random_operations_agree_with_strings);
    tcase_add_test(tests, test_a_chain_can_repeat_its_own_slices);
    tcase_add_test(tests, test_a_chain_cannot_go_into_itself);
    tcase_add_test(tests, test_threads_share_blocks_by_chains_of_their_own);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

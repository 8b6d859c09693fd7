/*
 * test_slices.c: many slices at once: arrays that are retained and dropped, and buffers that are split into frames.
 */
#include "unit_slices.h"

/* ---- many at once ---- */

START_TEST(test_an_array_is_retained_and_dropped)
{
    static char registered[30];
    qy_slice slices[] = {text("first"),  QY_SLICE_EMPTY,     qy_slice_new(100000),
                         QY_SLICE_EMPTY, QY_SLICE_EMPTY,     qy_slice_foreign(registered, 30, note_release, NULL),
                         QY_SLICE_EMPTY, qy_slice_new(40000)};
    slices[1] = qy_slice_sub(slices[0], 1, 2);
    slices[3] = qy_slice_sub(slices[2], 70000, 10);
    slices[6] = qy_slice_sub(slices[5], 29, 1);
    const uint64_t before = allocations();
    require(qy_slices_retain(slices, 8) == 0);
    require(allocations() == before);
    require(qy_refcount(slices[0].iov_base) == 4 && qy_refcount(slices[2].iov_base) == 4);
    require(qy_refcount(registered) == 4 && qy_refcount(slices[7].iov_base) == 2);
    qy_slice copy[8];
    memcpy(copy, slices, sizeof copy);
    qy_slices_drop(copy, 8);
    for (unsigned i = 0; i < 8; i++)
        require(same(copy[i], QY_SLICE_EMPTY));
    require(qy_refcount(slices[0].iov_base) == 2 && qy_refcount(slices[7].iov_base) == 1);
    qy_slices_drop(slices, 8);
    require(released.calls == 1);
    only_registry_left(1);
}
END_TEST

/* A stranger among them: those before it get their references back. */
START_TEST(test_an_array_is_retained_as_a_whole_or_not_at_all)
{
    char local[4] = "out";
    qy_slice slices[] = {text("first"), QY_SLICE_EMPTY, text("second"), {local, 3}, text("third")};
    slices[1] = qy_slice_clone(slices[0]);
    require(qy_slices_retain(slices, 5) == -1);
    failed_with(EINVAL);
    require(qy_refcount(slices[0].iov_base) == 2 && qy_refcount(slices[2].iov_base) == 1);
    require(qy_refcount(slices[4].iov_base) == 1);
    slices[3] = QY_SLICE_EMPTY;
    qy_slices_drop(slices, 5);
    nothing_left();
}
END_TEST

/* Whoever subtracts more than one at a time may still meet others: see C4. */
START_TEST(test_arrays_are_folded_with_threads_too)
{
    unit_become_threaded();
    for (size_t k = 0; k < LENGTH_COUNT; k++) {
        qy_slice slices[10];
        slices[0] = qy_slice_new(LENGTHS[k]);
        for (size_t i = 1; i < 10; i++)
            slices[i] = qy_slice_sub(slices[0], LENGTHS[k] * i / 11, 1);
        require(qy_refcount(slices[9].iov_base) == 10);
        require(qy_slices_retain(slices, 10) == 0);
        qy_slice copy[10];
        memcpy(copy, slices, sizeof copy);
        qy_slices_drop(copy, 7);
        require(qy_refcount(slices[0].iov_base) == 13);
        qy_slices_drop(slices, 10);
        require(qy_refcount(copy[9].iov_base) == 3);
        qy_slices_drop(copy, 10);
        require(live_blocks() == 0);
    }
    nothing_left();
}
END_TEST

/* ---- frames ---- */

static void drop_all(qy_slice *slice, qy_slice *frames, ssize_t count)
{
    if (count > 0)
        qy_slices_drop(frames, (size_t)count);
    qy_slice_drop(slice);
    require(live_blocks() == 0);
}

START_TEST(test_frames_of_equal_length)
{
    for (size_t step = 1; step <= 11; step++) {
        for (size_t max = 0; max <= 11; max++) {
            qy_slice slice = text("0123456789");
            char *start = slice.iov_base;
            qy_slice frames[11];
            const size_t expected = qyi_min(10 / step, max);
            require(qy_slice_split_steps(&slice, step, frames, max) == (ssize_t)expected);
            for (size_t i = 0; i < expected; i++)
                require(frames[i].iov_base == start + i * step && frames[i].iov_len == step);
            require(slice.iov_len == 10 - expected * step);
            require(slice.iov_len == 0 || slice.iov_base == start + expected * step);
            require(qy_refcount(start) == expected + (slice.iov_len != 0));
            drop_all(&slice, frames, (ssize_t)expected);
        }
    }
    qy_slice slice = text("0123456789");
    require(qy_slice_split_steps(&slice, 0, NULL, 5) == -1);
    failed_with(EINVAL);
    require(is(slice, "0123456789") && qy_is_unique(slice.iov_base));
    require(qy_slice_split_steps(&slice, SIZE_MAX, NULL, 0) == 0 && is(slice, "0123456789"));
    drop_all(&slice, NULL, 0);
    nothing_left();
}
END_TEST

START_TEST(test_frames_that_end_with_a_delimiter)
{
    static const struct {
        const char *bytes;
        size_t max;
        ssize_t count;
        const char *frames[4];
        const char *rest;
    } CASES[] = {
        {"one\ntwo\nthree\n", 4, 3, {"one", "two", "three"}, ""},
        {"one\ntwo\nthree", 4, 2, {"one", "two"}, "three"},
        {"one\ntwo\nthree\n", 2, 2, {"one", "two"}, "three\n"},
        {"one\ntwo\n", 0, 0, {NULL}, "one\ntwo\n"},
        {"nothing", 4, 0, {NULL}, "nothing"},
        {"\n", 4, 1, {""}, ""},
        {"\n\n\nx", 4, 3, {"", "", ""}, "x"},
        {"\n\n\n", 2, 2, {"", ""}, "\n"},
        {"a\n\nb\n", 4, 3, {"a", "", "b"}, ""},
        {"x\n", 1, 1, {"x"}, ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        qy_slice slice = text(CASES[i].bytes);
        qy_slice keep = qy_slice_clone(slice);
        qy_slice frames[4];
        require(qy_slice_split_lines(&slice, '\n', frames, CASES[i].max) == CASES[i].count);
        uint32_t owners = 1 + (slice.iov_len != 0);
        for (ssize_t k = 0; k < CASES[i].count; k++) {
            require(is(frames[k], CASES[i].frames[k]));
            owners += frames[k].iov_len != 0;
        }
        require(is(slice, CASES[i].rest));
        require(qy_refcount(keep.iov_base) == owners);
        qy_slice_drop(&keep);
        drop_all(&slice, frames, CASES[i].count);
    }
    nothing_left();
}
END_TEST

/* Writes a length of so many bytes, big endian. Returns what follows. */
static unsigned char *put_length(unsigned char *out, unsigned prefix, uint64_t length)
{
    for (unsigned i = prefix; i > 0; i--)
        *out++ = (unsigned char)(length >> 8 * (i - 1));
    return out;
}

START_TEST(test_frames_that_follow_their_length)
{
    for (unsigned prefix = 1; prefix <= 8; prefix *= 2) {
        for (unsigned with = 0; with < 2; with++) {
            static const size_t PAYLOADS[] = {5, 0, 200, 1};
            qy_slice slice = qy_slice_new(300);
            unsigned char *out = slice.iov_base;
            for (unsigned i = 0; i < 4; i++) {
                out = put_length(out, prefix, PAYLOADS[i]);
                memset(out, 'a' + (int)i, PAYLOADS[i]);
                out += PAYLOADS[i];
            }
            out = put_length(out, prefix, 100); /* unfinished */
            *out++ = 'e';
            qy_slice_truncate(&slice, (size_t)(out - (unsigned char *)slice.iov_base));
            qy_slice keep = qy_slice_clone(slice);
            qy_slice frames[10];
            require(qy_slice_split_prefixed(&slice, prefix, with, 200, frames, 3) == 3);
            require(qy_slice_split_prefixed(&slice, prefix, with, 200, frames + 3, 7) == 1);
            require(qy_slice_split_prefixed(&slice, prefix, with, 200, frames + 4, 6) == 0);
            uint32_t owners = 2;
            for (unsigned i = 0; i < 4; i++) {
                const size_t before = with ? prefix : 0;
                require(frames[i].iov_len == before + PAYLOADS[i]);
                if (PAYLOADS[i] != 0)
                    require(*byte_at(frames[i], before) == 'a' + (char)i &&
                            *byte_at(frames[i], frames[i].iov_len - 1) == 'a' + (char)i);
                owners += frames[i].iov_len != 0;
            }
            require(slice.iov_len == prefix + 1 && *byte_at(slice, prefix) == 'e');
            require(qy_refcount(keep.iov_base) == owners);
            qy_slice_drop(&keep);
            drop_all(&slice, frames, 4);
        }
    }
    nothing_left();
}
END_TEST

START_TEST(test_a_length_is_cut_short_anywhere)
{
    for (unsigned prefix = 1; prefix <= 8; prefix *= 2) {
        unsigned char bytes[12];
        put_length(bytes, prefix, 3);
        memcpy(bytes + prefix, "abc", 3);
        for (size_t length = 1; length < prefix + 3u; length++) {
            qy_slice slice = qy_slice_copy(bytes, length);
            qy_slice frame;
            require(qy_slice_split_prefixed(&slice, prefix, false, 100, &frame, 1) == 0);
            require(slice.iov_len == length && qy_is_unique(slice.iov_base));
            drop_all(&slice, NULL, 0);
        }
        qy_slice slice = qy_slice_copy(bytes, prefix + 3u);
        qy_slice frame;
        require(qy_slice_split_prefixed(&slice, prefix, false, 100, &frame, 1) == 1);
        require(is(frame, "abc") && is_empty(slice) && qy_is_unique(frame.iov_base));
        drop_all(&slice, &frame, 1);
    }
    nothing_left();
}
END_TEST

START_TEST(test_a_length_beyond_the_limit_is_refused_in_its_turn)
{
    static const unsigned char BYTES[] = {1, 'a', 2, 'b', 'c', 50, 'd'};
    qy_slice slice = qy_slice_copy(BYTES, sizeof BYTES);
    qy_slice frames[5];
    require(qy_slice_split_prefixed(&slice, 1, false, 49, frames, 5) == 2 && errno == 0);
    require(is(frames[0], "a") && is(frames[1], "bc"));
    require(qy_slice_split_prefixed(&slice, 1, false, 49, frames + 2, 3) == -1);
    failed_with(EMSGSIZE);
    require(slice.iov_len == 2);
    require(qy_slice_split_prefixed(&slice, 1, false, 50, frames + 2, 3) == 0); /* might still become one */
    drop_all(&slice, frames, 2);

    unsigned char huge[20]; /* lengths that no sum holds */
    for (unsigned i = 0; i < 3; i++) {
        put_length(huge, 8, UINT64_MAX - i * 4);
        slice = qy_slice_copy(huge, sizeof huge);
        require(qy_slice_split_prefixed(&slice, 8, true, SIZE_MAX - 100, frames, 5) == -1);
        failed_with(EMSGSIZE);
        require(qy_slice_split_prefixed(&slice, 8, true, SIZE_MAX, frames, 5) == 0);
        require(slice.iov_len == 20 && qy_is_unique(slice.iov_base));
        drop_all(&slice, NULL, 0);
    }
    static const unsigned WRONG[] = {0, 3, 5, 6, 7, 9, 16, UINT32_MAX};
    slice = text("0123456789");
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        require(qy_slice_split_prefixed(&slice, WRONG[i], false, 100, frames, 5) == -1);
        failed_with(EINVAL);
    }
    require(is(slice, "0123456789"));
    drop_all(&slice, NULL, 0);
    nothing_left();
}
END_TEST

/* Frames that own nothing, and nothing left: the slice's own reference has nowhere to go. */
START_TEST(test_a_slice_that_splits_into_nothing_is_released)
{
    qy_slice frames[10];
    qy_slice slice = qy_slice_zeroed(8);
    require(qy_slice_split_prefixed(&slice, 2, false, 10, frames, 10) == 4 && is_empty(slice));
    require(live_blocks() == 0);
    slice = text("\n\n\n");
    require(qy_slice_split_lines(&slice, '\n', frames, 10) == 3 && is_empty(slice));
    nothing_left();
}
END_TEST

START_TEST(test_frames_of_registered_memory_count_too)
{
    static char registered[] = "ab cd ef";
    qy_slice slice = qy_slice_foreign(registered, 8, note_release, NULL);
    qy_slice frames[3];
    require(qy_slice_split_lines(&slice, ' ', frames, 3) == 2 && is(slice, "ef"));
    require(qy_refcount(registered) == 3);
    qy_slices_drop(frames, 2);
    require(released.calls == 0);
    qy_slice_drop(&slice);
    require(released.calls == 1);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("slices");
    TCase *many = group(suite, "many");
    tcase_add_test(many, test_an_array_is_retained_and_dropped);
    tcase_add_test(many, test_an_array_is_retained_as_a_whole_or_not_at_all);
    tcase_add_test(many, test_arrays_are_folded_with_threads_too);
    TCase *frames = group(suite, "frames");
    tcase_add_test(frames, test_frames_of_equal_length);
    tcase_add_test(frames, test_frames_that_end_with_a_delimiter);
    tcase_add_test(frames, test_frames_that_follow_their_length);
    tcase_add_test(frames, test_a_length_is_cut_short_anywhere);
    tcase_add_test(frames, test_a_length_beyond_the_limit_is_refused_in_its_turn);
    tcase_add_test(frames, test_a_slice_that_splits_into_nothing_is_released);
    tcase_add_test(frames, test_frames_of_registered_memory_count_too);
    return unit_run(suite);
}

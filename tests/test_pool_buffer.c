/*
 * test_pool_buffer.c: pools of buffers, which come back at their last release.
 */
#include "unit_pool.h"

START_TEST(test_a_buffer_comes_back_at_its_last_release)
{
    qy_pool_attr attr = things();
    attr.object_bytes = 1000;
    attr.flags = QY_POOL_BUFFERS;
    qy_pool *pool = new_pool(attr);
    qy_slice slice = qy_pool_acquire_slice(pool);
    ck_assert_uint_eq(slice.iov_len, 1000);
    ck_assert(qy_is_unique(slice.iov_base));
    void *p = slice.iov_base;
    qy_slice part = qy_slice_sub(slice, 500, 100);
    ck_assert_uint_eq(qy_refcount(p), 2);
    ck_assert_ptr_eq(qy_base((char *)p + 999), p);
    qy_slice_drop(&slice);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    ck_assert_int_eq(reset_count, 0);
    qy_slice_drop(&part);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    ck_assert_int_eq(reset_count, 1);
    /* by plain free, and by free of a block that has other owners */
    slice = qy_pool_acquire_slice(pool);
    ck_assert_ptr_eq(slice.iov_base, p);
    part = qy_slice_clone(slice);
    qy_free(p);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    qy_free(p);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    /* by pool functions */
    p = qy_pool_acquire(pool);
    ck_assert_int_eq(qy_retain_n(p, 4), 0);
    ck_assert_int_eq(qy_release_n(p, 3), 0);
    qy_pool_release(pool, p);
    ck_assert_uint_eq(stats_of(pool).in_use, 1);
    ck_assert_int_eq(qy_release_n((char *)p + 17, 1), 0);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    qy_pool_destroy(pool);
    check_nothing_is_left();
}
END_TEST

START_TEST(test_every_byte_of_a_buffer_finds_its_count)
{
    static const size_t sizes[] = {64, 192, 320, 1000, 1024, 5000, 8192, 40000, 65536, 65600, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        enum { COUNT = 30 };
        qy_slice slices[COUNT];
        qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = sizes[i], .flags = QY_POOL_BUFFERS});
        ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, COUNT), COUNT);
        for (unsigned j = 0; j < COUNT; j++)
            require(qy_retain_n(slices[j].iov_base, j) == 0);
        for (unsigned j = 0; j < COUNT; j++) {
            char *p = slices[j].iov_base;
            for (size_t offset = 0; offset < sizes[i]; offset += sizes[i] / 50 + 1)
                require(qy_refcount(p + offset) == j + 1 && qy_base(p + offset) == p);
            require(qy_refcount(p + sizes[i] - 1) == j + 1);
        }
        for (unsigned j = 0; j < COUNT; j++)
            require(qy_release_n((char *)slices[j].iov_base + sizes[i] / 2, j) == 0);
        qy_slices_drop(slices, COUNT);
        ck_assert_uint_eq(stats_of(pool).in_use, 0);
        qy_pool_destroy(pool);
    }
}
END_TEST

/* Entries say how far it is to the start of a run only up to a limit. */
START_TEST(test_a_large_buffer_is_found_from_its_end)
{
    enum { BYTES = 150 << 20 };
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = BYTES, .flags = QY_POOL_BUFFERS});
    for (size_t offset = 0; offset < BYTES; offset += BYTES / 9 + 1) {
        qy_slice slice = qy_pool_acquire_slice(pool);
        char *p = slice.iov_base;
        qy_slice part = qy_slice_sub(slice, offset, 1);
        ck_assert_uint_eq(part.iov_len, 1);
        qy_slice_drop(&slice);
        ck_assert_ptr_eq(qy_base(p + offset), p);
        ck_assert_uint_ge(qy_capacity(p + offset), BYTES);
        ck_assert(qy_is_unique(p + offset));
        ck_assert_uint_eq(stats_of(pool).in_use, 1);
        qy_slice_drop(&part);
        ck_assert_uint_eq(stats_of(pool).in_use, 0);
    }
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_what_lies_behind_a_buffer_is_none_of_it)
{
    static const size_t sizes[] = {64, 4096, 24576, 32768, 33 << 10, 65536, 100000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        qy_pool *pool = qy_pool_new(&(qy_pool_attr){.object_bytes = sizes[i], .flags = QY_POOL_BUFFERS});
        qy_slice slice = qy_pool_acquire_slice(pool);
        char *end = (char *)slice.iov_base + qy_capacity(slice.iov_base);
        ck_assert_ptr_ne(qy_base(end), slice.iov_base);
        ck_assert_ptr_eq(qy_base(end - 1), slice.iov_base);
        ck_assert_uint_eq(qy_slice_from(end - 1, 2).iov_len, 0);
        ck_assert_int_eq(errno, ERANGE);
        if (qy_base(end) == NULL) {
            ck_assert_uint_eq(qy_slice_from(end, 1).iov_len, 0);
            ck_assert_int_eq(qy_retain(end), -1);
            ck_assert_int_eq(errno, EINVAL);
        }
        ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
        qy_slice_drop(&slice);
        qy_pool_destroy(pool);
    }
}
END_TEST

START_TEST(test_buffers_suit_slice_functions)
{
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 4096, .flags = QY_POOL_BUFFERS});
    qy_slice slice = qy_pool_acquire_slice(pool);
    memset(slice.iov_base, 'x', 4096);
    qy_slice frames[64];
    ck_assert_int_eq(qy_slice_split_steps(&slice, 64, frames, 64), 64);
    ck_assert_uint_eq(slice.iov_len, 0);
    ck_assert_uint_eq(qy_refcount(frames[0].iov_base), 64);
    ck_assert_int_eq(qy_slice_unsplit(&frames[0], &frames[1]), 0);
    qy_slices_drop(frames, 64);
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    /* a block that plain free takes; and realloc, which moves the bytes when they no longer fit */
    slice = qy_pool_acquire_slice(pool);
    memset(slice.iov_base, 'y', 4096);
    char *raw = qy_slice_into_raw(&slice);
    ck_assert_uint_eq(qy_usable_size(raw), 4096);
    ck_assert_ptr_eq(qy_realloc(raw, 4000), raw);
    raw = qy_realloc(raw, 10000);
    ck_assert_int_eq(raw[4095], 'y');
    ck_assert_uint_eq(stats_of(pool).in_use, 0);
    qy_free(raw);
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_memory_of_buffers_goes_back)
{
    qyi_reclaim_all();
    const size_t before = unit_used_bytes();
    qy_pool *pool = new_pool((qy_pool_attr){.object_bytes = 2048, .flags = QY_POOL_BUFFERS});
    qy_slice slices[500];
    ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, 500), 500);
    ck_assert_uint_ge(unit_used_bytes(), before + 500 * 2048);
    unit_check_runs();
    qy_slices_drop(slices, 500);
    ck_assert_uint_eq(qy_pool_trim(pool, 0), 500);
    qyi_reclaim_all();
    ck_assert_uint_lt(unit_used_bytes(), before + 500 * 1024);
    ck_assert_uint_eq(qy_pool_acquire_slices(pool, slices, 500), 500);
    qy_slices_drop(slices, 500);
    qy_pool_destroy(pool);
}
END_TEST

START_TEST(test_the_wrong_kind_is_einval)
{
    qy_pool *objects = new_pool(things());
    qy_pool *buffers = new_pool((qy_pool_attr){.object_bytes = 100, .flags = QY_POOL_BUFFERS});
    qy_slice slice;
    errno = 0;
    ck_assert_uint_eq(qy_pool_acquire_slice(objects).iov_len, 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(qy_pool_try_acquire_slice(objects).iov_len, 0);
    ck_assert_uint_eq(qy_pool_acquire_slice_timeout(objects, 1).iov_len, 0);
    ck_assert_uint_eq(qy_pool_acquire_slices(objects, &slice, 1), 0);
    void *buffer = qy_pool_acquire(buffers);
    errno = 0;
    ck_assert_ptr_null(qy_pool_detach(buffers, buffer));
    ck_assert_int_eq(errno, EINVAL);
    qy_pool_release(buffers, buffer);
    qy_pool_destroy(objects);
    qy_pool_destroy(buffers);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("pool_buffer");
    TCase *buffers = tcase_create("buffers");
    tcase_add_test(buffers, test_a_buffer_comes_back_at_its_last_release);
    tcase_add_test(buffers, test_every_byte_of_a_buffer_finds_its_count);
    tcase_add_test(buffers, test_a_large_buffer_is_found_from_its_end);
    tcase_add_test(buffers, test_what_lies_behind_a_buffer_is_none_of_it);
    tcase_add_test(buffers, test_buffers_suit_slice_functions);
    tcase_add_test(buffers, test_memory_of_buffers_goes_back);
    tcase_add_test(buffers, test_the_wrong_kind_is_einval);
    suite_add_tcase(suite, buffers);
    return unit_run(suite);
}

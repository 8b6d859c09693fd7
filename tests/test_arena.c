/*
 * test_arena.c: blocks of an arena, where they lie, how they come back, and what keeps the memory.
 */
#include "unit.h"

#include "quarry/arena.h"

#include "alloc.h"
#include "fork.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static qy_arena *arena_of_bytes(size_t bytes)
{
    qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = bytes});
    require(arena != NULL);
    return arena;
}

static size_t idle_bytes(qy_arena *arena)
{
    return qy_arena_get_stats(arena).idle;
}

START_TEST(test_blocks_lie_in_the_arena_and_are_aligned)
{
    qy_arena *arena = arena_of_bytes(8 << 20);
    struct iovec buffer;
    ck_assert_uint_eq(qy_arena_buffers(arena, &buffer, 1), 1);
    ck_assert_uint_eq(buffer.iov_len, 8 << 20);
    for (size_t length = 1; length < 1 << 20; length += length / 3 + 1) {
        qy_slice slice = qy_arena_slice(arena, length);
        require(slice.iov_len == length);
        const size_t offset = (size_t)((char *)slice.iov_base - (char *)buffer.iov_base);
        require(offset < buffer.iov_len && length <= buffer.iov_len - offset);
        const size_t capacity = qy_capacity(slice.iov_base);
        require(capacity >= length && capacity % 64 == 0);
        require(length <= 64 || capacity < 2 * length || capacity == 32768 * ((length + 32767) / 32768));
        require((uintptr_t)slice.iov_base % 64 == 0);
        if (capacity <= 32768 && (capacity & (capacity - 1)) == 0)
            require((uintptr_t)slice.iov_base % capacity == 0);
        require(qy_arena_of((char *)slice.iov_base + length - 1) == arena);
        require(qy_arena_index(arena, slice.iov_base) == 0);
        require(qy_base((char *)slice.iov_base + length - 1) == slice.iov_base);
        memset(slice.iov_base, 'a', length);
    }
    ck_assert_int_eq(qy_arena_index(arena, &arena), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(qy_arena_of(&arena));
    void *other = qy_malloc(100);
    ck_assert_ptr_null(qy_arena_of(other));
}
END_TEST

START_TEST(test_every_way_to_release_gives_the_block_back)
{
    static const size_t lengths[] = {64, 1500, 4096, 32768, 40000, 65536, 300000};
    qy_arena *arena = arena_of_bytes(1 << 20);
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (unsigned way = 0; way < 5; way++) {
            qy_slice slice = qy_arena_slice(arena, lengths[i]);
            require(slice.iov_len == lengths[i]);
            char *p = slice.iov_base;
            qy_slice part = qy_slice_sub(slice, lengths[i] / 2, 10);
            require(part.iov_len == 10 && qy_refcount(p) == 2);
            qy_slice_drop(&part);
            require(qy_is_unique(p) && idle_bytes(arena) < 1 << 20);
            if (way == 0)
                qy_slice_drop(&slice);
            else if (way == 1)
                require(qy_release(p + lengths[i] - 1) == 0);
            else if (way == 2)
                qy_free(p);
            else if (way == 3)
                require(qy_retain_n(p, 2) == 0 && qy_release_n(p, 3) == 0);
            else
                qyi_free_slow(p);
            require(idle_bytes(arena) == 1 << 20 && qy_arena_get_stats(arena).blocks == 0);
        }
    }
}
END_TEST

START_TEST(test_several_references_at_once_can_be_dropped_anywhere_in_the_block)
{
    qy_arena *arena = arena_of_bytes(4 << 20);
    for (size_t at = 0; at < 256 << 10; at += 60 << 10) {
        qy_slice slices[3];
        qy_slice slice = qy_arena_slice(arena, 256 << 10);
        slices[0] = qy_slice_sub(slice, at, 100);
        slices[1] = qy_slice_sub(slice, at + 100, 100);
        slices[2] = qy_slice_sub(slice, at + 50, 100);
        qy_slice_drop(&slice);
        qy_slices_drop(slices, 2);
        ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 1);
        ck_assert_int_eq(qy_release_n(slices[2].iov_base, 1), 0);
        ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 0);
    }
    ck_assert_uint_eq(idle_bytes(arena), 4 << 20);
}
END_TEST

/* Entries say how far it is to the start of a run only up to a limit. */
START_TEST(test_a_large_block_is_found_from_its_end)
{
    enum { BYTES = 150 << 20 };
    qy_arena *arena = arena_of_bytes(BYTES);
    for (size_t at = 0; at < BYTES; at += BYTES / 9 + 1) {
        qy_slice slice = qy_arena_slice(arena, BYTES);
        qy_slice part = qy_slice_sub(slice, at, 1);
        ck_assert_uint_eq(part.iov_len, 1);
        qy_slice_drop(&slice);
        ck_assert_ptr_eq(qy_arena_of(part.iov_base), arena);
        ck_assert_ptr_eq((char *)qy_base(part.iov_base) + at, part.iov_base);
        ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 1);
        qy_slice_drop(&part);
        ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 0);
    }
    qy_arena_destroy(arena);
}
END_TEST

START_TEST(test_a_full_arena_says_so_and_has_room_again)
{
    qy_arena *arena = arena_of_bytes(1 << 20);
    static qy_slice slices[300];
    unsigned count = 0;
    while ((slices[count] = qy_arena_slice(arena, 4096)).iov_len != 0)
        count++;
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(count, 256);
    ck_assert_uint_eq(qy_arena_get_stats(arena).used, 1 << 20);
    ck_assert_uint_eq(qy_arena_slice(arena, 1).iov_len, 0);
    qy_slice_drop(&slices[100]);
    slices[100] = qy_arena_slice(arena, 4000);
    ck_assert_uint_eq(slices[100].iov_len, 4000);
    unit_check_runs();
    qy_slices_drop(slices, count);
    unit_check_runs();
    ck_assert_uint_eq(idle_bytes(arena), 1 << 20);
    qy_slice whole = qy_arena_slice(arena, 1 << 20);
    ck_assert_uint_eq(whole.iov_len, 1 << 20);
    unit_check_runs();
    qy_slice_drop(&whole);
    ck_assert_uint_eq(qy_arena_slice(arena, (1 << 20) + 1).iov_len, 0);
    ck_assert_uint_eq(qy_arena_slice(arena, SIZE_MAX).iov_len, 0);
    ck_assert_uint_eq(qy_arena_slice(arena, 0).iov_len, 0);
}
END_TEST

START_TEST(test_what_cannot_be_is_refused)
{
    ck_assert_ptr_null(qy_arena_new(&(struct qy_arena_attr){.bytes = 0}));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(qy_arena_new(&(struct qy_arena_attr){.bytes = 1, .flags = 1u << 9}));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(qy_arena_new(&(struct qy_arena_attr){.bytes = ((size_t)1 << 44) + 1}));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(qy_arena_new(&(struct qy_arena_attr){.bytes = (size_t)1 << 44}));
    ck_assert_int_eq(errno, ENOMEM);
    qy_arena_destroy(NULL);
}
END_TEST

START_TEST(test_memory_stays_until_the_last_slice_and_the_last_pin)
{
    qy_slice_drop(&(qy_slice){qy_malloc(1), 1});
    const size_t before = unit_used_bytes();
    qy_arena *arena = arena_of_bytes(4 << 20);
    qy_slice slice = qy_arena_slice(arena, 5000);
    qy_arena_pin(arena);
    qy_arena_pin(arena);
    qy_arena_destroy(arena);
    ck_assert_uint_ge(unit_used_bytes(), before + (4 << 20));
    memset(slice.iov_base, 'x', 5000);
    qy_slice_drop(&slice);
    qy_arena_unpin(arena);
    ck_assert_uint_ge(unit_used_bytes(), before + (4 << 20));
    qy_arena_unpin(arena);
    ck_assert_uint_lt(unit_used_bytes(), before + (1 << 20));
    arena = qy_arena_new(&(struct qy_arena_attr){.bytes = 4 << 20, .flags = QY_ARENA_HUGE});
    slice = qy_arena_slice(arena, 5000);
    qy_arena_destroy(arena);
    ck_assert_uint_ge(unit_used_bytes(), before + (4 << 20));
    qy_slice_drop(&slice);
    ck_assert_uint_lt(unit_used_bytes(), before + (1 << 20));
    qyi_region_validate();
}
END_TEST

START_TEST(test_pages_are_there_and_stay_there)
{
    const size_t before = qyi_region_resident();
    qy_arena *arena = arena_of_bytes(8 << 20);
    ck_assert(qy_arena_get_stats(arena).populated);
    if (before != 0)
        ck_assert_uint_ge(qyi_region_resident(), before + (8 << 20));
    qy_slice slice = qy_arena_slice(arena, 1 << 20);
    memset(slice.iov_base, 'k', 1 << 20);
    const char *p = slice.iov_base;
    qy_slice_drop(&slice);
    qy_trim();
    ck_assert_int_eq(p[12345], 'k'); /* not purged although idle: only looked at in a test */
}
END_TEST

/* ---- recycling ---- */

struct keeper {
    unsigned calls;
    bool keep;
    void *last;
    size_t bytes;
};

static bool keep_block(void *block, size_t bytes, void *context)
{
    struct keeper *keeper = context;
    keeper->calls++;
    keeper->last = block;
    keeper->bytes = bytes;
    return keeper->keep;
}

START_TEST(test_a_recycler_may_keep_the_last_reference)
{
    struct keeper keeper = {.keep = true};
    qy_arena *arena =
        qy_arena_new(&(struct qy_arena_attr){.bytes = 1 << 20, .recycle = keep_block, .context = &keeper});
    qy_slice slice = qy_arena_slice(arena, 2000);
    void *block = slice.iov_base;
    qy_slice clone = qy_slice_clone(slice);
    qy_slice_drop(&slice);
    ck_assert_uint_eq(keeper.calls, 0);
    qy_slice_drop(&clone);
    ck_assert_uint_eq(keeper.calls, 1);
    ck_assert_ptr_eq(keeper.last, block);
    ck_assert_uint_eq(keeper.bytes, 2048);
    ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 1);
    ck_assert_uint_eq(qy_refcount(block), 1);
    keeper.keep = false;
    qy_free(block);
    ck_assert_uint_eq(keeper.calls, 2);
    ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 0);
}
END_TEST

/* ---- misuse ---- */

static void abort_on(void (*function)(qy_arena *), qy_arena *arena)
{
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        function(arena);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void free_twice(qy_arena *arena)
{
    qy_slice keep = qy_arena_slice(arena, 100);
    void *p = qy_arena_slice(arena, 100).iov_base;
    qy_free(p);
    qy_free(p);
    (void)keep;
}

static void free_twice_in_idle_memory(qy_arena *arena)
{
    void *p = qy_arena_slice(arena, 100).iov_base;
    qy_free(p);
    qy_free(p);
}

static void free_inside(qy_arena *arena)
{
    qy_free((char *)qy_arena_slice(arena, 100).iov_base + 16);
}

static void resize_idle_memory(qy_arena *arena)
{
    void *p = qy_arena_slice(arena, 100).iov_base;
    qy_free(p);
    require(qy_realloc(p, 10) == NULL); /* it does not come back */
}

START_TEST(test_misuse_ends_the_process)
{
    qy_arena *arena = arena_of_bytes(1 << 20);
    abort_on(free_twice, arena);
    abort_on(free_twice_in_idle_memory, arena);
    abort_on(free_inside, arena);
    abort_on(resize_idle_memory, arena);
}
END_TEST

START_TEST(test_idle_memory_cannot_be_retained)
{
    qy_arena *arena = arena_of_bytes(1 << 20);
    qy_slice slice = qy_arena_slice(arena, 100);
    const char *p = slice.iov_base;
    ck_assert_int_eq(qy_retain(p + 32768), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(qy_release(p + 32768), -1);
    ck_assert_uint_eq(qy_refcount(p + 32768), 0);
    ck_assert_ptr_null(qy_base(p + 32768));
    qy_slice odd = qy_arena_slice(arena, 3 * 64); /* 32768 is no multiple of it */
    const char *end = (char *)qy_base(odd.iov_base) + 32767;
    ck_assert_int_eq(qy_retain(end), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(test_realloc_moves_out_of_an_arena_only_when_it_must)
{
    qy_arena *arena = arena_of_bytes(1 << 20);
    char *p = qy_arena_slice(arena, 2000).iov_base;
    memset(p, 'r', 2000);
    ck_assert_ptr_eq(qy_realloc(p, 2048), p);
    char *moved = qy_realloc(p, 100000);
    ck_assert_ptr_null(qy_arena_of(moved));
    for (unsigned i = 0; i < 2000; i++)
        require(moved[i] == 'r');
    ck_assert_uint_eq(qy_arena_get_stats(arena).blocks, 0);
    qy_free(moved);
    ck_assert_uint_eq(qy_usable_size(qy_arena_slice(arena, 70000).iov_base), qyi_align_up(70000, QYI_GRANULE_BYTES));
}
END_TEST

/* ---- threads, forks ---- */

static qy_arena *shared;

static void *hammer(void *argument)
{
    uint64_t random = *(const uint64_t *)argument;
    qy_slice held[32] = {{NULL, 0}};
    for (unsigned round = unit_rounds(20000); round > 0; round--) {
        qy_slice *slot = &held[unit_below(&random, 32)];
        if (slot->iov_len != 0) {
            const char *bytes = slot->iov_base;
            require(bytes[0] == (char)slot->iov_len && bytes[slot->iov_len - 1] == (char)slot->iov_len);
            qy_slice_drop(slot);
            continue;
        }
        const size_t length = unit_below(&random, 16) == 0 ? 100000 : 1 + unit_below(&random, 9000);
        *slot = qy_arena_slice(shared, length);
        if (slot->iov_len != 0) {
            ((char *)slot->iov_base)[0] = (char)length;
            ((char *)slot->iov_base)[length - 1] = (char)length;
        }
    }
    qy_slices_drop(held, 32);
    return NULL;
}

START_TEST(test_threads_share_an_arena)
{
    shared = arena_of_bytes(2 << 20);
    pthread_t threads[4];
    uint64_t seeds[4] = {1, 2, 3, 4};
    for (unsigned i = 0; i < 4; i++)
        require(pthread_create(&threads[i], NULL, hammer, &seeds[i]) == 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(qy_arena_get_stats(shared).blocks, 0);
    ck_assert_uint_eq(qy_arena_get_stats(shared).used, 0);
    ck_assert_uint_eq(idle_bytes(shared), 2 << 20);
}
END_TEST

static _Atomic bool stop;

static void *churn(void *argument)
{
    (void)argument;
    while (!atomic_load(&stop)) {
        qy_slice a = qy_arena_slice(shared, 100000);
        qy_slice b = qy_arena_slice(shared, 40000);
        qy_slice_drop(&a);
        qy_slice_drop(&b);
    }
    return NULL;
}

START_TEST(test_a_child_can_use_the_arena_whatever_the_parent_was_doing)
{
    shared = arena_of_bytes(2 << 20);
    qy_slice kept = qy_arena_slice(shared, 1000);
    memset(kept.iov_base, 'k', 1000);
    pthread_t thread;
    require(pthread_create(&thread, NULL, churn, NULL) == 0);
    for (unsigned i = unit_rounds(200); i > 0; i--) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            bool right = true;
            for (unsigned n = 0; n < 20; n++) {
                qy_slice slice = qy_arena_slice(shared, 1 + n * 5000);
                right &= slice.iov_len == 1 + n * 5000;
                memset(slice.iov_base, 'c', slice.iov_len);
                qy_slice_drop(&slice);
            }
            right &= ((char *)kept.iov_base)[999] == 'k';
            qy_slice_drop(&kept);
            right &= qy_arena_get_stats(shared).blocks <= 2;
            _exit(right ? 0 : 1);
        }
        int status;
        require(waitpid(child, &status, 0) == child);
        require(status == 0);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *tests = tcase_create("arena");
    tcase_add_test(tests, test_blocks_lie_in_the_arena_and_are_aligned);
    tcase_add_test(tests, test_every_way_to_release_gives_the_block_back);
    tcase_add_test(tests, test_several_references_at_once_can_be_dropped_anywhere_in_the_block);
    tcase_add_test(tests, test_a_large_block_is_found_from_its_end);
    tcase_add_test(tests, test_a_full_arena_says_so_and_has_room_again);
    tcase_add_test(tests, test_what_cannot_be_is_refused);
    tcase_add_test(tests, test_memory_stays_until_the_last_slice_and_the_last_pin);
    tcase_add_test(tests, test_pages_are_there_and_stay_there);
    tcase_add_test(tests, test_a_recycler_may_keep_the_last_reference);
    tcase_add_test(tests, test_misuse_ends_the_process);
    tcase_add_test(tests, test_idle_memory_cannot_be_retained);
    tcase_add_test(tests, test_realloc_moves_out_of_an_arena_only_when_it_must);
    tcase_add_test(tests, test_threads_share_an_arena);
    tcase_add_test(tests, test_a_child_can_use_the_arena_whatever_the_parent_was_doing);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

/*
 * test_slice.c: counted slices: making, sharing, cutting, writing, many at once, frames; and operations at random beside a
 * shadow of what must be there.
 */
#include "unit.h"

#include "quarry/slice.h"

#include "alloc.h"
#include "foreign.h"
#include "os.h"
#include "reclaim.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t LENGTHS[] = {1, 15, 64, 65, 100, 1000, 1024, 1025, 5000, 40000, 65536, 65537, 200000, 3000000};
enum { LENGTH_COUNT = sizeof LENGTHS / sizeof LENGTHS[0] };

static struct qyi_stats stats;

/* Blocks in the program's hands. */
static uint64_t live_blocks(void)
{
    qyi_stats_collect(&stats);
    uint64_t live = stats.large_count;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        live += stats.classes[class].live;
    return live;
}

/* Blocks that were ever handed out. */
static uint64_t allocations(void)
{
    qyi_stats_collect(&stats);
    uint64_t calls = stats.large_calls;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += stats.classes[class].calls;
    return calls;
}

static bool is_empty(qy_slice slice)
{
    return slice.iov_len == 0;
}

static bool is(qy_slice slice, const char *text)
{
    return slice.iov_len == strlen(text) && (slice.iov_len == 0 || memcmp(slice.iov_base, text, slice.iov_len) == 0);
}

static qy_slice text(const char *bytes)
{
    const qy_slice slice = qy_slice_copy(bytes, strlen(bytes));
    require(!is_empty(slice));
    return slice;
}

static bool same(qy_slice a, qy_slice b)
{
    return a.iov_base == b.iov_base && a.iov_len == b.iov_len;
}

static char *byte_at(qy_slice slice, size_t i)
{
    return (char *)slice.iov_base + i;
}

static void setup(void)
{
    errno = 0;
}

static void nothing_left(void)
{
    require(live_blocks() == 0);
    require(errno == 0);
}

/* The registry has blocks of its own: an index, and a record for every range that there was at once. */
static void only_registry_left(unsigned ranges)
{
    require(live_blocks() == 1 + ranges);
    require(errno == 0);
}

/* The call has failed for this reason; the next one begins anew. */
#define failed_with(error) require(errno == (error) && (errno = 0) == 0)

/* ---- the system refuses ---- */

static bool no_memory;

#if !defined(__SANITIZE_THREAD__)
int mprotect(void *start, size_t bytes, int protection)
{
    if (no_memory && (protection & PROT_WRITE) != 0) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, start, bytes, protection);
}
#endif

/* From here on there is not one more block of these bytes. */
static void use_up(size_t bytes)
{
    no_memory = true;
    while (qyi_malloc(bytes) != NULL)
        ;
    failed_with(ENOMEM);
}

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

/* ---- memory of another origin ---- */

static struct {
    unsigned calls;
    void *p, *context;
    size_t length;
    pthread_t thread;
} released;

static void note_release(void *p, size_t length, void *context)
{
    released.calls++;
    released.p = p;
    released.length = length;
    released.context = context;
    released.thread = pthread_self();
    errno = EIO; /* as somebody who does not care */
}

START_TEST(test_foreign_memory_is_released_once_by_its_last_owner)
{
    static char memory[1000] = "somewhere";
    int context;
    qy_slice slice = qy_slice_foreign(memory, sizeof memory, note_release, &context);
    require(same(slice, ((qy_slice){memory, sizeof memory})));
    require(qy_refcount(memory + 999) == 1 && qy_base(memory + 500) == memory && qy_capacity(memory + 5) == 1000);
    qy_slice part = qy_slice_sub(slice, 4, 5);
    qy_slice clone = qy_slice_clone(part);
    require(is(part, "where") && is(clone, "where") && qy_refcount(memory) == 3);
    require(qy_slice_try_mut(&part) == NULL);
    failed_with(EBUSY);
    qy_slice_drop(&slice);
    qy_slice_drop(&clone);
    require(released.calls == 0 && qy_is_unique(memory));
    require(qy_slice_try_mut(&part) == memory + 4 && qy_slice_make_mut(&part) == memory + 4);
    qy_slice_drop(&part);
    require(released.calls == 1 && released.p == memory && released.length == 1000 && released.context == &context);
    require(errno == 0); /* whatever the function does */
    require(qy_retain(memory) == -1);
    failed_with(EINVAL);
    slice = qy_slice_foreign(memory + 1, 1, note_release, NULL); /* it may come again */
    require(slice.iov_base == memory + 1);
    require(qy_release(memory + 1) == 0 && released.calls == 2);
    only_registry_left(1);
}
END_TEST

static void *drop_it(void *slice)
{
    qy_slice_drop(slice);
    return NULL;
}

static void *who(void *slice)
{
    qy_slice_drop(slice);
    require(pthread_equal(released.thread, pthread_self()));
    return NULL;
}

START_TEST(test_the_thread_that_drops_last_releases)
{
    static char memory[10];
    qy_slice slice = qy_slice_foreign(memory, 10, note_release, NULL);
    qy_slice clone = qy_slice_clone(slice);
    unit_in_thread(drop_it, &slice);
    require(released.calls == 0);
    unit_in_thread(who, &clone);
    require(released.calls == 1);
}
END_TEST

START_TEST(test_foreign_memory_can_do_without_a_function)
{
    static char memory[10];
    qy_slice slice = qy_slice_foreign(memory, 10, NULL, NULL);
    require(qy_refcount(memory) == 1);
    qy_slice_drop(&slice);
    require(qy_refcount(memory) == 0);
    failed_with(EINVAL);
    only_registry_left(1);
}
END_TEST

static char *register_again(void)
{
    static char other[10];
    return qy_slice_foreign(other, 10, note_release, NULL).iov_base;
}

static void release_and_register(void *p, size_t length, void *context)
{
    (void)length;
    require(qy_refcount(p) == 0);
    *(char **)context = register_again();
    qy_slice slice = qy_slice_new(100);
    qy_slice_drop(&slice);
}

START_TEST(test_foreign_memory_without_bytes_is_released_at_once)
{
    static char memory[10];
    int context;
    require(is_empty(qy_slice_foreign(memory, 0, note_release, &context)));
    require(released.calls == 1 && released.p == memory && released.length == 0 && released.context == &context);
    require(errno == 0);
    require(is_empty(qy_slice_foreign(NULL, 0, NULL, NULL)));
    require(errno == 0 && released.calls == 1);
    nothing_left();
}
END_TEST

START_TEST(test_a_release_function_may_call_anything)
{
    static char memory[10];
    char *again = NULL;
    qy_slice slice = qy_slice_foreign(memory, 10, release_and_register, &again);
    qy_slice_drop(&slice);
    require(again != NULL && qy_refcount(again) == 1);
    require(qy_release(again) == 0 && released.calls == 1);
}
END_TEST

START_TEST(test_ranges_that_overlap_are_refused)
{
    static char memory[100];
    qy_slice slice = qy_slice_foreign(memory + 20, 60, note_release, NULL);
    static const struct {
        size_t start, length;
        bool wanted;
    } TRIES[] = {{20, 60, false}, {0, 21, false}, {79, 1, false}, {30, 5, false},
                 {0, 100, false}, {0, 20, true},  {80, 20, true}};
    for (size_t i = 0; i < sizeof TRIES / sizeof TRIES[0]; i++) {
        qy_slice other = qy_slice_foreign(memory + TRIES[i].start, TRIES[i].length, note_release, NULL);
        require(is_empty(other) == !TRIES[i].wanted);
        if (!TRIES[i].wanted) {
            failed_with(EINVAL);
            require(is_empty(qy_slice_static(memory + TRIES[i].start, TRIES[i].length)));
            failed_with(EINVAL);
        }
        qy_slice_drop(&other);
    }
    require(released.calls == 2 && qy_is_unique(memory + 20));
    require(is_empty(qy_slice_foreign(memory, SIZE_MAX, note_release, NULL)));
    failed_with(EINVAL);
    char *block = qyi_malloc(100);
    require(is_empty(qy_slice_foreign(block, 100, note_release, NULL)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_foreign(block - 5000, 10, note_release, NULL)));
    failed_with(EINVAL);
    require(released.calls == 2);
    qyi_free(block);
    qy_slice_drop(&slice);
    require(released.calls == 3);
}
END_TEST

/* Neighbours, in any order, each with a count of its own. */
START_TEST(test_many_ranges_are_found_and_forgotten)
{
    enum { RANGES = 500, EACH = 24 };
    static char memory[RANGES * EACH];
    static qy_slice slices[RANGES];
    uint64_t seed = 7;
    static size_t order[RANGES];
    for (size_t i = 0; i < RANGES; i++) {
        const size_t k = unit_below(&seed, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < RANGES; i++) {
            const size_t k = order[i];
            slices[k] = qy_slice_foreign(memory + k * EACH, EACH - k % 2, note_release, NULL);
            require(!is_empty(slices[k]));
            require(qy_retain_n(memory + k * EACH + 5, (uint32_t)k) == 0);
        }
        for (size_t k = 0; k < RANGES; k++) {
            require(qy_refcount(memory + k * EACH + EACH - 1) == (k % 2 == 0 ? k + 1 : 0));
            require(qy_base(memory + k * EACH + EACH - 2) == memory + k * EACH);
        }
        errno = 0;
        for (size_t i = 0; i < RANGES; i++) {
            const size_t k = order[RANGES - 1 - i];
            require(qy_release_n(memory + k * EACH, (uint32_t)k) == 0);
            qy_slice_drop(&slices[k]);
            require(qy_retain(memory + k * EACH) == -1);
            failed_with(EINVAL);
        }
        require(released.calls == RANGES * (round + 1));
    }
}
END_TEST

START_TEST(test_static_memory_is_sliced_and_never_freed)
{
    static const char words[] = "static words";
    qy_slice slice = qy_slice_static(words, 12);
    require(same(slice, ((qy_slice){(void *)words, 12})));
    for (unsigned i = 0; i < 10; i++)
        require(same(qy_slice_static(words, 12), slice)); /* registered once */
    qy_slice word = qy_slice_sub(slice, 7, 5);
    require(is(word, "words"));
    for (unsigned i = 0; i < 10; i++) {
        qy_slice clone = slice;
        qy_slice_drop(&clone);
    }
    require(is(qy_slice_from(words + 3, 3), "tic"));
    require(!qy_is_unique(words) && qy_slice_try_mut(&slice) == NULL);
    failed_with(EBUSY);
    char *copy = qy_slice_make_mut(&word);
    require(copy != words + 7 && is(word, "words") && qy_is_unique(copy));
    copy[0] = 'W';
    require(is(slice, "static words"));
    qy_slice_drop(&word);
    qy_slice_drop(&slice);
    require(is_empty(slice));
    qyi_free(NULL);
}
END_TEST

START_TEST(test_static_ranges_that_overlap_are_joined)
{
    static const char bytes[100];
    require(!is_empty(qy_slice_static(bytes + 10, 10)));
    require(!is_empty(qy_slice_static(bytes + 30, 10)));
    require(!is_empty(qy_slice_static(bytes + 50, 10)));
    require(qy_capacity(bytes + 15) == 10 && qy_base(bytes + 25) == NULL);
    failed_with(EINVAL);
    require(!is_empty(qy_slice_static(bytes + 15, 40)));
    require(qy_base(bytes + 59) == bytes + 10 && qy_capacity(bytes + 30) == 50);
    require(qy_retain(bytes + 25) == 0);
    require(!is_empty(qy_slice_static(bytes, 100)));
    require(qy_base(bytes + 99) == bytes && qy_capacity(bytes) == 100);
    require(!is_empty(qy_slice_static(bytes + 40, 5)));
    require(qy_capacity(bytes + 40) == 100);
    require(is_empty(qy_slice_foreign((void *)(bytes + 99), 1, NULL, NULL)));
    failed_with(EINVAL);
}
END_TEST

START_TEST(test_without_memory_nothing_is_registered)
{
    if (UNIT_TSAN)
        return;
    static char memory[100];
    qyi_free(qyi_malloc(1));
    use_up(16);
    use_up(32);
    use_up(64);
    use_up(128);
    use_up(256);
    require(is_empty(qy_slice_foreign(memory, 100, note_release, NULL)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_static(memory, 100)));
    failed_with(ENOMEM);
    require(qy_refcount(memory) == 0);
    failed_with(EINVAL);
    no_memory = false;
    qy_slice slice = qy_slice_foreign(memory, 100, note_release, NULL);
    qy_slice_drop(&slice);
    require(released.calls == 1);
}
END_TEST

START_TEST(test_a_child_has_a_registry_of_its_own)
{
    static char memory[100];
    qy_slice slice = qy_slice_foreign(memory, 100, note_release, NULL);
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        require(qy_refcount(memory) == 1);
        qy_slice clone = qy_slice_clone(slice);
        qy_slice_drop(&slice);
        require(released.calls == 0);
        qy_slice_drop(&clone);
        _exit(released.calls == 1 ? 0 : 1);
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child && status == 0);
    require(qy_refcount(memory) == 1 && released.calls == 0);
    qy_slice_drop(&slice);
}
END_TEST

/* ---- files ---- */

enum { FILE_BYTES = 20000 };

static char file_byte(size_t i)
{
    return (char)(i * 7 + i / 256);
}

static int make_file(void)
{
    const int fd = memfd_create("file", MFD_CLOEXEC);
    require(fd >= 0);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        const char byte = file_byte(i);
        require(write(fd, &byte, 1) == 1);
    }
    return fd;
}

static bool is_mapped(const void *p)
{
    const uintptr_t page = qyi_align_down((uintptr_t)p, qyi_os_page_bytes);
    unsigned char vector;
    const bool mapped = mincore((void *)page, 1, &vector) == 0; /* NOLINT(performance-no-int-to-ptr) */
    errno = 0;
    return mapped;
}

START_TEST(test_parts_of_files_are_slices)
{
    const int fd = make_file();
    static const struct {
        off_t offset;
        size_t length, expected;
    } PARTS[] = {{0, 0, FILE_BYTES},
                 {0, 1, 1},
                 {1, 5000, 5000},
                 {4095, 2, 2},
                 {4096, 4096, 4096},
                 {12345, 0, 7655},
                 {FILE_BYTES - 1, 0, 1},
                 {FILE_BYTES - 1, 1, 1},
                 {8192, FILE_BYTES - 8192, FILE_BYTES - 8192}};
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        qy_slice slice = qy_slice_map(fd, PARTS[i].offset, PARTS[i].length);
        require(slice.iov_len == PARTS[i].expected);
        for (size_t k = 0; k < slice.iov_len; k++)
            require(*byte_at(slice, k) == file_byte((size_t)PARTS[i].offset + k));
        char *end = byte_at(slice, slice.iov_len - 1);
        qy_slice last = qy_slice_sub(slice, slice.iov_len - 1, 1);
        require(qy_slice_try_mut(&last) == NULL); /* mapped for reading */
        failed_with(EBUSY);
        qy_slice_drop(&slice);
        require(is_mapped(end));
        require(qy_slice_try_mut(&last) == NULL);
        failed_with(EBUSY);
        qy_slice_drop(&last);
        require(!is_mapped(end));
    }
    close(fd);
    only_registry_left(1);
}
END_TEST

START_TEST(test_bytes_of_a_file_are_copied_to_be_written)
{
    const int fd = make_file();
    qy_slice slice = qy_slice_map(fd, 5, 10);
    const void *mapped = slice.iov_base;
    char *mutable = qy_slice_make_mut(&slice);
    require(mutable != NULL && slice.iov_base == mutable && !is_mapped(mapped));
    mutable[0] ^= 1;
    char byte;
    require(pread(fd, &byte, 1, 5) == 1 && byte == file_byte(5));
    qy_slice_drop(&slice);
    close(fd);
    only_registry_left(1);
}
END_TEST

START_TEST(test_what_cannot_be_mapped_says_why)
{
    const int fd = make_file();
    require(is_empty(qy_slice_map(fd, FILE_BYTES, 0)) && errno == 0); /* nothing was asked for */
    require(is_empty(qy_slice_map(fd, FILE_BYTES + 1, 0)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, 5, FILE_BYTES)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, 0, SIZE_MAX)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, -1, 10)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(-1, 0, 0)));
    failed_with(EBADF);
    const int write_only = open("/dev/null", O_WRONLY | O_CLOEXEC);
    require(is_empty(qy_slice_map(write_only, 0, 1)));
    failed_with(ERANGE);
    const int no_file = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(is_empty(qy_slice_map(no_file, 0, 1)) && errno != 0);
    close(write_only);
    close(no_file);
    close(fd);
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

static void *idle(void *unused)
{
    return unused;
}

/* Whoever subtracts more than one at a time may still meet others: see C4. */
START_TEST(test_arrays_are_folded_with_threads_too)
{
    unit_in_thread(idle, NULL);
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

/* ---- operations at random ---- */

enum { BLOCKS_MAX = 40, SLICES_MAX = 120, SHADOW_BYTES = 200000 };

/* What a block must contain, and how many slices lie in it. */
static struct shadow {
    char *base; /* NULL: none */
    size_t bytes;
    unsigned slices;
    bool registered;
    unsigned char *content;
} shadows[BLOCKS_MAX];

static struct held {
    qy_slice slice;
    struct shadow *shadow;
} helds[SLICES_MAX];

static uint64_t dice;
static unsigned registered_live;

static void free_registered(void *p, size_t length, void *context)
{
    struct shadow *shadow = context;
    require(shadow->base == p && shadow->bytes == length && shadow->slices == 0);
    free(p);
    registered_live--;
}

static struct held *free_held(void)
{
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        if (is_empty(helds[i].slice))
            return &helds[i];
    }
    return NULL;
}

static struct held *any_held(void)
{
    const size_t start = unit_below(&dice, SLICES_MAX);
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        struct held *held = &helds[(start + i) % SLICES_MAX];
        if (!is_empty(held->slice))
            return held;
    }
    return NULL;
}

/* A slice that has a block for itself. The bytes are what they are. */
static void hold_new(struct held *held, qy_slice slice, bool registered)
{
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        struct shadow *shadow = &shadows[i];
        if (shadow->base != NULL)
            continue;
        shadow->base = qy_base(slice.iov_base);
        shadow->bytes = qy_capacity(slice.iov_base);
        require(shadow->base != NULL && shadow->bytes <= SHADOW_BYTES);
        memcpy(shadow->content, shadow->base, shadow->bytes);
        shadow->slices = 1;
        shadow->registered = registered;
        *held = (struct held){slice, shadow};
        return;
    }
    ck_abort_msg("too few shadows");
}

static bool has_free_shadow(void)
{
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        if (shadows[i].base == NULL)
            return true;
    }
    return false;
}

/* A slice is going to lose its reference. */
static void forget(struct held *held)
{
    held->shadow->slices--;
}

static void settle_shadow(struct shadow *shadow)
{
    if (shadow->slices == 0)
        shadow->base = NULL;
}

static void check_held(const struct held *held)
{
    if (is_empty(held->slice))
        return;
    const struct shadow *shadow = held->shadow;
    const size_t offset = (size_t)((char *)held->slice.iov_base - shadow->base);
    require(offset < shadow->bytes && held->slice.iov_len <= shadow->bytes - offset);
    require(qy_base(held->slice.iov_base) == shadow->base);
    require(qy_refcount(byte_at(held->slice, held->slice.iov_len - 1)) == shadow->slices);
    require(memcmp(held->slice.iov_base, shadow->content + offset, held->slice.iov_len) == 0);
}

static size_t random_length(void)
{
    static const size_t MOST[] = {16, 64, 200, 2000, 30000, 180000};
    return 1 + unit_below(&dice, MOST[unit_below(&dice, sizeof MOST / sizeof MOST[0])]);
}

static void fill_at_random(void *p, size_t length)
{
    const uint64_t value = unit_random(&dice);
    memset(p, (int)(value & 0xff), length);
    memcpy(p, &value, qyi_min(length, sizeof value));
    ((char *)p)[length - 1] = (char)(value >> 11);
}

static void op_make(void)
{
    struct held *held = free_held();
    if (held == NULL || !has_free_shadow())
        return;
    const size_t length = random_length();
    qy_slice slice;
    bool registered = false;
    switch (unit_below(&dice, 4)) {
    case 0: slice = qy_slice_new(length); break;
    case 1: slice = qy_slice_zeroed(length); break;
    case 2: slice = qy_slice_adopt(qyi_malloc(length), length); break;
    default:
        registered = true;
        struct shadow *shadow = shadows;
        while (shadow->base != NULL) /* hold_new will take the same */
            shadow++;
        slice = qy_slice_foreign(malloc(length), length, free_registered, shadow);
        registered_live++;
        break;
    }
    require(slice.iov_len == length);
    memset(qy_base(slice.iov_base), 0, qy_capacity(slice.iov_base));
    fill_at_random(slice.iov_base, length);
    hold_new(held, slice, registered);
}

static void op_share(void)
{
    const struct held *held = any_held();
    struct held *other = free_held();
    if (held == NULL || other == NULL)
        return;
    const size_t offset = unit_below(&dice, held->slice.iov_len);
    const size_t length = 1 + unit_below(&dice, held->slice.iov_len - offset);
    const unsigned way = (unsigned)unit_below(&dice, 3);
    other->slice = way == 0   ? qy_slice_clone(held->slice)
                   : way == 1 ? qy_slice_sub(held->slice, offset, length)
                              : qy_slice_from(byte_at(held->slice, offset), length);
    require(!is_empty(other->slice));
    other->shadow = held->shadow;
    other->shadow->slices++;
}

static void op_drop(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    forget(held);
    switch (unit_below(&dice, 4)) {
    case 0: qy_slice_drop(&held->slice); break;
    case 1: qy_slice_truncate(&held->slice, 0); break;
    case 2: require(qy_slice_advance(&held->slice, held->slice.iov_len) == 0); break;
    default: require(qy_release(byte_at(held->slice, unit_below(&dice, held->slice.iov_len))) == 0); break;
    }
    held->slice = QY_SLICE_EMPTY;
    settle_shadow(held->shadow);
}

static void op_cut(void)
{
    struct held *held = any_held();
    struct held *other = free_held();
    if (held == NULL || other == NULL)
        return;
    const size_t length = held->slice.iov_len;
    const size_t cut = unit_below(&dice, length + 1);
    const bool front = unit_below(&dice, 2) == 0;
    other->slice = front ? qy_slice_split_to(&held->slice, cut) : qy_slice_split_off(&held->slice, cut);
    require(held->slice.iov_len + other->slice.iov_len == length);
    require(other->slice.iov_len == (front ? cut : length - cut));
    other->shadow = held->shadow;
    held->shadow->slices += cut != 0 && cut != length;
}

static void op_shorten(void)
{
    struct held *held = any_held();
    if (held == NULL || held->slice.iov_len < 2)
        return;
    const size_t by = 1 + unit_below(&dice, held->slice.iov_len - 1);
    if (unit_below(&dice, 2) == 0)
        require(qy_slice_advance(&held->slice, by) == 0);
    else
        qy_slice_truncate(&held->slice, by);
}

static void op_join(void)
{
    struct held *front = any_held();
    if (front == NULL)
        return;
    struct held *back = any_held();
    for (unsigned i = 0; i < SLICES_MAX; i++) { /* chance alone would not find any */
        if (!is_empty(helds[i].slice) && helds[i].slice.iov_base == byte_at(front->slice, front->slice.iov_len))
            back = &helds[i];
    }
    if (back == front)
        return;
    const bool fits =
        front->shadow == back->shadow && byte_at(front->slice, front->slice.iov_len) == back->slice.iov_base;
    require((qy_slice_unsplit(&front->slice, &back->slice) == 0) == fits);
    require(is_empty(back->slice) == fits);
    errno = 0;
    front->shadow->slices -= fits;
}

static void op_write(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    const bool unique = held->shadow->slices == 1;
    if (unit_below(&dice, 2) == 0) {
        char *p = qy_slice_try_mut(&held->slice);
        require((p != NULL) == unique && (unique || errno == EBUSY));
        errno = 0;
        if (p == NULL)
            return;
    } else if (!unique && !has_free_shadow()) {
        return;
    } else {
        const qy_slice before = held->slice;
        require(qy_slice_make_mut(&held->slice) == held->slice.iov_base);
        require((before.iov_base == held->slice.iov_base) == unique && before.iov_len == held->slice.iov_len);
        if (!unique) {
            require(memcmp(before.iov_base, held->slice.iov_base, before.iov_len) == 0);
            forget(held);
            hold_new(held, held->slice, false);
        }
    }
    fill_at_random(held->slice.iov_base, held->slice.iov_len);
    memcpy(held->shadow->content + ((char *)held->slice.iov_base - held->shadow->base), held->slice.iov_base,
           held->slice.iov_len);
}

static void op_compact(void)
{
    struct held *held = any_held();
    if (held == NULL || !has_free_shadow())
        return;
    const unsigned percent = (unsigned)unit_below(&dice, 101);
    const qy_slice before = held->slice;
    struct shadow *shadow = held->shadow;
    const bool small = before.iov_len * 100 < shadow->bytes * percent;
    shadow->slices--; /* a release function looks */
    const int copied = qy_slice_compact(&held->slice, percent);
    require(copied == 0 || (copied == 1 && small));
    if (copied == 0) {
        require(same(held->slice, before));
        require(!small || shadow->bytes <= qyi_good_size(qyi_align_up(before.iov_len, 64)));
        shadow->slices++;
        return;
    }
    settle_shadow(shadow);
    hold_new(held, held->slice, false);
}

static void op_raw(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    struct shadow *shadow = held->shadow;
    const size_t offset = (size_t)((char *)held->slice.iov_base - shadow->base);
    const size_t length = held->slice.iov_len;
    forget(held);
    char *raw = qy_slice_into_raw(&held->slice);
    require(raw != NULL && is_empty(held->slice));
    require(memcmp(raw, shadow->content + offset, length) == 0);
    require((raw == shadow->base) == (!shadow->registered && (offset == 0 || shadow->slices == 0)));
    qyi_free(raw);
    settle_shadow(shadow);
}

/* Several at once, of any blocks. */
static void op_batch(void)
{
    qy_slice some[12];
    struct held *from[12];
    size_t count = 0;
    for (unsigned i = 0; i < 12; i++) {
        struct held *held = any_held();
        if (held == NULL)
            return;
        from[count] = held;
        some[count++] = unit_below(&dice, 6) == 0 ? QY_SLICE_EMPTY : held->slice;
    }
    require(qy_slices_retain(some, count) == 0);
    for (size_t i = 0; i < count; i++)
        from[i]->shadow->slices += some[i].iov_len != 0;
    for (size_t i = 0; i < count; i++)
        check_held(from[i]);
    for (size_t i = 0; i < count; i++)
        from[i]->shadow->slices -= some[i].iov_len != 0;
    qy_slices_drop(some, count);
}

static void op_frames(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    qy_slice frames[8];
    const size_t length = held->slice.iov_len;
    const size_t step = 1 + unit_below(&dice, length);
    const size_t max = 1 + unit_below(&dice, 8);
    const qy_slice before = held->slice;
    const ssize_t count = qy_slice_split_steps(&held->slice, step, frames, max);
    require(count == (ssize_t)qyi_min(length / step, max));
    held->shadow->slices += (unsigned)count - is_empty(held->slice);
    for (ssize_t i = 0; i < count; i++) {
        require(frames[i].iov_base == byte_at(before, (size_t)i * step) && frames[i].iov_len == step);
        check_held(&(struct held){frames[i], held->shadow});
    }
    held->shadow->slices -= (unsigned)count;
    qy_slices_drop(frames, (size_t)count);
    settle_shadow(held->shadow);
}

static void check_everything(void)
{
    for (unsigned i = 0; i < SLICES_MAX; i++)
        check_held(&helds[i]);
    uint64_t ours = 0;
    uint64_t registered = 0;
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        if (shadows[i].base != NULL)
            ++*(shadows[i].registered ? &registered : &ours);
    }
    require(registered == registered_live);
    /* the registry has its index and records in blocks of its own */
    const uint64_t live = live_blocks();
    require(live >= ours && live <= ours + BLOCKS_MAX + 1);
}

START_TEST(test_operations_at_random)
{
    static void (*const OPERATIONS[])(void) = {op_make,  op_make,    op_share, op_share,   op_share, op_drop,
                                               op_drop,  op_cut,     op_cut,   op_shorten, op_join,  op_join,
                                               op_write, op_compact, op_raw,   op_batch,   op_frames};
    dice = (uint64_t)_i + 1;
    if (_i % 2 != 0)
        unit_in_thread(idle, NULL); /* with atomic instructions */
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        require((shadows[i].content = malloc(SHADOW_BYTES)) != NULL);
    const unsigned rounds = unit_rounds(40000);
    for (unsigned round = 0; round < rounds; round++) {
        OPERATIONS[unit_below(&dice, sizeof OPERATIONS / sizeof OPERATIONS[0])]();
        require(errno == 0);
        const struct held *held = any_held();
        if (held != NULL)
            check_held(held);
        if (round % 512 == 0)
            check_everything();
    }
    check_everything();
    while (any_held() != NULL)
        op_drop();
    require(registered_live == 0);
    check_everything();
    unit_check_runs();
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        free(shadows[i].content);
}
END_TEST

/* ---- */

static TCase *group(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, NULL);
    suite_add_tcase(suite, tests);
    return tests;
}

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

static void add_foreign(Suite *suite)
{
    TCase *foreign = group(suite, "foreign");
    tcase_add_test(foreign, test_foreign_memory_is_released_once_by_its_last_owner);
    tcase_add_test(foreign, test_the_thread_that_drops_last_releases);
    tcase_add_test(foreign, test_foreign_memory_can_do_without_a_function);
    tcase_add_test(foreign, test_foreign_memory_without_bytes_is_released_at_once);
    tcase_add_test(foreign, test_a_release_function_may_call_anything);
    tcase_add_test(foreign, test_ranges_that_overlap_are_refused);
    tcase_add_test(foreign, test_many_ranges_are_found_and_forgotten);
    tcase_add_test(foreign, test_static_memory_is_sliced_and_never_freed);
    tcase_add_test(foreign, test_static_ranges_that_overlap_are_joined);
    tcase_add_test(foreign, test_without_memory_nothing_is_registered);
    tcase_add_test(foreign, test_a_child_has_a_registry_of_its_own);
    TCase *files = group(suite, "files");
    tcase_add_test(files, test_parts_of_files_are_slices);
    tcase_add_test(files, test_bytes_of_a_file_are_copied_to_be_written);
    tcase_add_test(files, test_what_cannot_be_mapped_says_why);
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

static void add_many(Suite *suite)
{
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
    TCase *random = group(suite, "random");
    tcase_add_loop_test(random, test_operations_at_random, 0, 4);
}

int main(void)
{
    Suite *suite = suite_create("slice");
    add_making(suite);
    add_foreign(suite);
    add_using(suite);
    add_many(suite);
    return unit_run(suite);
}

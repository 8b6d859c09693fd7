/*
 * test_fault.c: the system refuses. Every call for memory fails once, or from then on, in a process of its own each
 * time; and whole kinds of calls are refused, as by sandboxes, old kernels, limits and strict overcommit.
 *
 * The answer is either success or NULL and ENOMEM; what was allocated keeps its contents; and when the system is in a
 * better mood, everything works again.
 */
#include "unit.h"

#include "alloc.h"
#include "family.h"
#include "os.h"
#include "reclaim.h"
#include "span.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer's own calls would come here too, before it can run anything. */
int main(void)
{
    puts("SKIP: system calls cannot be replaced under ThreadSanitizer");
    return 77;
}
#else

/* ---- the system, as the core sees it ---- */

enum move_failure {
    MOVE_AS_REFUSED,     /* nothing has happened */
    MOVE_AFTER_UNMAPPING /* the target is gone: Linux has found out late; see below */
};

static struct {
    bool on;
    _Atomic unsigned calls; /* counted from 1 */
    unsigned fail_first;    /* this one fails ... */
    unsigned fail_last;     /* ... up to this one; 0: none */
    size_t reserve_max;     /* no reservation beyond; 0: no limit */
    size_t commit_left;     /* what may yet be made writable */
    bool commit_limited;
    bool no_purge, no_move, no_unmap;
    bool no_widening; /* a mapping does not grow in place */
    bool taken;       /* and somebody else maps something where it would have grown */
    enum move_failure move_failure;
    unsigned moves_refused, purges_refused;
    void (*before_mapping)(void *where);
} system_now;

static bool fails(void)
{
    if (!system_now.on)
        return false;
    const unsigned call = atomic_fetch_add(&system_now.calls, 1) + 1;
    return call >= system_now.fail_first && call <= system_now.fail_last;
}

static bool commit_refused(size_t bytes, int protection)
{
    if (!system_now.commit_limited || (protection & PROT_WRITE) == 0)
        return false;
    if (bytes > system_now.commit_left)
        return true;
    system_now.commit_left -= bytes;
    return false;
}

void *mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (system_now.before_mapping != NULL)
        system_now.before_mapping(where);
    const bool reservation = protection == PROT_NONE && system_now.reserve_max != 0 && bytes > system_now.reserve_max;
    if (fails() || reservation || commit_refused(bytes, protection)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (system_now.taken && (flags & MAP_FIXED_NOREPLACE) != 0) {
        errno = EEXIST;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, where, bytes, protection, flags, fd,
                           offset); /* NOLINT(performance-no-int-to-ptr) */
}

int munmap(void *start, size_t bytes)
{
    if (fails() || system_now.no_unmap) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_munmap, start, bytes);
}

int mprotect(void *start, size_t bytes, int protection)
{
    if (fails() || commit_refused(bytes, protection)) {
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_mprotect, start, bytes, protection);
}

int madvise(void *start, size_t bytes, int advice)
{
    if (fails() || system_now.no_purge) {
        system_now.purges_refused++;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, start, bytes, advice);
}

void *mremap(void *from, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    void *to = va_arg(rest, void *);
    va_end(rest);
    if (system_now.no_widening && (flags & MREMAP_FIXED) == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (fails() || system_now.no_move) {
        system_now.moves_refused++;
        if (system_now.move_failure == MOVE_AFTER_UNMAPPING && (flags & MREMAP_FIXED) != 0)
            syscall(SYS_munmap, to, new_bytes);
        errno = EFAULT;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mremap, from, old_bytes, new_bytes, flags, to); /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- a workload that takes whatever comes ---- */

static const size_t SIZES[] = {10, 64, 500, 1024, 3000, 20000, 70000, 140000, 1100000, 2200000};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0], LIVE = 4 * SIZE_COUNT };

static struct live {
    unsigned char *block;
    size_t bytes;
} lives[LIVE];

static unsigned char pattern(size_t i, size_t number)
{
    return (unsigned char)(i * 13 + number * 31 + 1);
}

static void fill(struct live *live)
{
    for (size_t i = 0; i < live->bytes; i += i < 64 ? 1 : 4093)
        live->block[i] = pattern(i, (size_t)(live - lives));
}

static bool holds(const struct live *live, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += i < 64 ? 1 : 4093) {
        if (live->block[i] != pattern(i, (size_t)(live - lives)))
            return false;
    }
    return true;
}

static bool is_zero(const unsigned char *block, size_t bytes)
{
    return bytes == 0 || (block[0] == 0 && memcmp(block, block + 1, bytes - 1) == 0);
}

/* A block, or NULL for the right reason. */
static void receive(struct live *live, void *block, size_t bytes)
{
    require(block != NULL || errno == ENOMEM);
    require(block == NULL || errno == 0);
    live->block = block;
    live->bytes = block == NULL ? 0 : bytes;
    if (block != NULL)
        fill(live);
    errno = 0;
}

static void allocate_all(void)
{
    errno = 0;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        receive(&lives[4 * i], qyi_malloc(SIZES[i]), SIZES[i]);
        unsigned char *zeroed = qyi_calloc(1, SIZES[i]);
        require(zeroed == NULL || is_zero(zeroed, SIZES[i]));
        receive(&lives[4 * i + 1], zeroed, SIZES[i]);
        receive(&lives[4 * i + 2], qyi_memalign(SIZES[i] % 7 * 4096, SIZES[i]), SIZES[i]);
        receive(&lives[4 * i + 3], qyi_malloc(SIZES[i] / 2), SIZES[i] / 2);
    }
}

static void check_all(void)
{
    for (size_t i = 0; i < LIVE; i++)
        require(lives[i].block == NULL || holds(&lives[i], lives[i].bytes));
}

static void change(struct live *live, size_t bytes)
{
    if (live->block == NULL)
        return;
    errno = 0;
    unsigned char *block = qyi_realloc(live->block, bytes);
    if (block == NULL) {
        require(errno == ENOMEM);
        require(holds(live, live->bytes));
        errno = 0;
        return;
    }
    require(errno == 0);
    live->block = block;
    require(holds(live, qyi_min(live->bytes, bytes)));
    live->bytes = bytes;
    fill(live);
}

static void free_every_other(void)
{
    for (size_t i = 0; i < LIVE; i += 2) {
        qyi_free(lives[i].block);
        lives[i].block = NULL;
    }
}

static void *work_in_thread(void *unused)
{
    for (size_t i = 1; i < LIVE; i += 4) { /* others' blocks, and some of its own */
        qyi_free(lives[i].block);
        receive(&lives[i], qyi_malloc(SIZES[i / 4]), SIZES[i / 4]);
    }
    return unused;
}

static void work(void)
{
    allocate_all();
    check_all();
    for (size_t i = 0; i < LIVE; i += 3)
        change(&lives[i], lives[i].bytes * 3 + 1000);
    for (size_t i = 1; i < LIVE; i += 3)
        change(&lives[i], lives[i].bytes / 3 + 1);
    for (size_t i = 0; i < LIVE; i += 3)
        change(&lives[i], lives[i].bytes + 1200000); /* some for the second time */
    check_all();
    unit_in_thread(work_in_thread, NULL);
    check_all();
    free_every_other();
    qyi_reclaim_all();
    for (size_t i = 0; i < LIVE; i += 2)
        receive(&lives[i], qyi_malloc(SIZES[i / 4]), SIZES[i / 4]);
    check_all();
}

/* From here on the system is generous again: nothing may fail, and nothing may be lost. */
static void recover(void)
{
    system_now.on = false;
    check_all();
    for (size_t i = 0; i < LIVE; i++)
        qyi_free(lives[i].block);
    allocate_all();
    for (size_t i = 0; i < LIVE; i++)
        require(lives[i].block != NULL);
    check_all();
    for (size_t i = 0; i < LIVE; i++)
        change(&lives[i], lives[i].bytes + 100000);
    check_all();
    unit_check_runs();
    for (size_t i = 0; i < LIVE; i++)
        qyi_free(lives[i].block);
    qyi_reclaim_all();
    /* A block whose move and whose mapping anew were both refused may have nothing mapped there: its place is given
     * up. */
    require(unit_used_bytes() == 0 || (system_now.fail_last > system_now.fail_first && system_now.moves_refused != 0));
    unit_check_runs();
}

static void setup(void)
{
    errno = 0;
}

/* ---- one call after the other ---- */

enum { NEVER_REACHED = 3 };

/* The call with this number fails, and as many after it. Returns whether there was one. */
static bool survives_failure(unsigned first, unsigned count)
{
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        system_now.fail_first = first;
        system_now.fail_last = first + count - 1;
        system_now.on = true;
        work();
        const bool reached = atomic_load(&system_now.calls) >= first;
        recover();
        _exit(reached ? 0 : NEVER_REACHED);
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child);
    if (status != 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == NEVER_REACHED)) {
        ck_abort_msg("calls %u to %u fail: the process ends with %s %d", first, first + count - 1,
                     WIFSIGNALED(status) ? "signal" : "exit status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    return status == 0;
}

/* Of the first calls every one; then, to save time, only every so many. */
static void fail_each_call(unsigned count, unsigned step)
{
    if (unit_rounds(10) < 10)
        step += 5;
    unsigned first = 1;
    while (survives_failure(first, count))
        first += first < 25 ? 1 : step;
    ck_assert_uint_gt(first, 30); /* or the workload does not ask for much */
}

START_TEST(test_the_workload_works)
{
    work();
    for (size_t i = 0; i < LIVE; i++)
        require(lives[i].block != NULL);
    recover();
}
END_TEST

START_TEST(test_every_call_may_fail_once)
{
    fail_each_call(1, 2);
}
END_TEST

START_TEST(test_every_call_may_fail_three_times)
{
    fail_each_call(3, 5);
}
END_TEST

START_TEST(test_from_every_call_on_all_may_fail)
{
    fail_each_call(1000000, 5);
}
END_TEST

static void limit_address_space(void)
{
    const struct rlimit limit = {.rlim_cur = (rlim_t)4 << 30, .rlim_max = (rlim_t)4 << 30};
    require(setrlimit(RLIMIT_AS, &limit) == 0);
}

START_TEST(test_every_call_may_fail_where_address_space_is_limited)
{
    if (UNIT_SANITIZED)
        return; /* they need address space without end */
    limit_address_space();
    fail_each_call(_i == 0 ? 1 : 1000000, 5);
}
END_TEST

/* ---- whole kinds of calls ---- */

START_TEST(test_a_smaller_reservation_will_do)
{
    static const size_t MOST[] = {(size_t)8 << 30, (size_t)1 << 30, (size_t)256 << 20, (size_t)128 << 20};
    system_now.reserve_max = MOST[_i] + QYI_FRAME_BYTES;
    work();
    ck_assert_uint_le(qyi_region.bytes, MOST[_i]);
    ck_assert_uint_ge(qyi_region.bytes, MOST[_i] / 2);
    recover();
    errno = 0;
    ck_assert_ptr_null(qyi_malloc(MOST[_i]));
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(test_no_reservation_at_all_is_out_of_memory)
{
    system_now.reserve_max = 1;
    for (unsigned i = 0; i < 3; i++) {
        errno = 0;
        ck_assert_ptr_null(qyi_malloc(100));
        ck_assert_int_eq(errno, ENOMEM);
        errno = 0;
        ck_assert_ptr_null(qyi_calloc(10, 100000));
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_ptr_null(qyi_realloc(NULL, 10));
        ck_assert_ptr_null(qyi_aligned(64, 10));
        ck_assert_uint_eq(qyi_reclaim_all(), 0);
        qyi_free(NULL);
    }
    system_now.reserve_max = 0; /* it can be tried again */
    work();
    recover();
}
END_TEST

START_TEST(test_without_purging_calloc_is_zero_all_the_same)
{
    system_now.no_purge = true;
    for (unsigned round = 0; round < 3; round++) {
        work();
        for (size_t i = 0; i < LIVE; i++)
            qyi_free(lives[i].block);
        qyi_reclaim_all();
        unit_check_runs();
    }
    ck_assert_uint_gt(system_now.purges_refused, 0);
    ck_assert_uint_gt(qyi_region_dirty(), 0);
    allocate_all(); /* checks what calloc gives */
    system_now.no_purge = false;
    recover();
    ck_assert_uint_eq(qyi_region_dirty(), 0);
}
END_TEST

/* Blocks that are too large to be copied lightly, in each other's way. */
static void grow_in_turn(void)
{
    enum { BUFFERS = 2 };
    for (unsigned i = 0; i < BUFFERS; i++)
        receive(&lives[i], qyi_malloc(1500000), 1500000);
    for (unsigned step = 0; step < 12; step++)
        change(&lives[step % BUFFERS], lives[step % BUFFERS].bytes + 2200000);
    for (unsigned i = 0; i < BUFFERS; i++)
        require(lives[i].bytes > 12000000);
    check_all();
}

START_TEST(test_without_moving_large_blocks_are_copied)
{
    system_now.no_move = true;
    system_now.move_failure = (enum move_failure)_i;
    grow_in_turn();
    ck_assert_uint_gt(system_now.moves_refused, 0);
    recover();
}
END_TEST

static bool is_one_mapping(const void *start, size_t bytes)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    require(maps != NULL);
    char line[512];
    bool one = false;
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t low;
        uintptr_t high;
        if (sscanf(line, "%zx-%zx", &low, &high) == 2 && low <= (uintptr_t)start && (uintptr_t)start + bytes <= high)
            one = true;
    }
    fclose(maps);
    return one;
}

/* A block that cannot grow where it is. */
static void *take_walled(struct live *live)
{
    receive(live, qyi_malloc(2 << 20), 2 << 20);
    void *wall = qyi_malloc(2 << 20);
    ck_assert_ptr_eq(wall, live->block + (2 << 20));
    return wall;
}

START_TEST(test_a_block_that_has_moved_has_headroom)
{
    struct live *live = &lives[0];
    take_walled(live);
    change(live, 4 << 20); /* moves */
    const unsigned char *moved = live->block;
    change(live, (4 << 20) + (384 << 10)); /* in place */
    ck_assert_ptr_eq(live->block, moved);
    ck_assert(is_one_mapping(live->block, live->bytes));
    change(live, 8 << 20); /* mremap takes a single mapping, which this one is */
    ck_assert_ptr_ne(live->block, moved);
    ck_assert(is_one_mapping(live->block, live->bytes));
    change(live, 1 << 20);
    check_all();
    qyi_free(live->block);
    ck_assert_uint_lt(unit_used_bytes(), 4 << 20);
}
END_TEST

START_TEST(test_a_block_that_moved_into_two_mappings_can_be_moved_again)
{
    struct live *live = &lives[0];
    void *wall = take_walled(live);
    system_now.no_widening = true;
    change(live, 4 << 20);
    ck_assert(!is_one_mapping(live->block, live->bytes));
    change(live, 8 << 20);
    ck_assert_uint_eq(live->bytes, 8 << 20);
    check_all();
    system_now.no_widening = false;
    qyi_free(wall);
    recover();
}
END_TEST

START_TEST(test_a_block_does_not_move_where_others_map_something)
{
    struct live *live = &lives[0];
    take_walled(live);
    const unsigned char *before = live->block;
    system_now.no_widening = system_now.taken = true;
    errno = 0;
    ck_assert_ptr_null(qyi_realloc(live->block, 4 << 20));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_eq(live->block, before);
    check_all();
    system_now.no_widening = system_now.taken = false;
    change(live, 4 << 20);
    check_all();
}
END_TEST

static unsigned count_mappings(void)
{
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    require(maps != NULL);
    for (int c = getc(maps); c != EOF; c = getc(maps))
        count += c == '\n';
    fclose(maps);
    return count;
}

static char *freed;

/* Another thread might be there at that moment. It must not get further: what it gave back would be mapped anew under its next owner. */
static void free_again(void *where)
{
    if (where == freed) {
        qyi_free(freed);
        _exit(1);
    }
}

START_TEST(test_a_moved_block_is_given_back_once_by_whoever_comes_first)
{
    freed = qyi_malloc(1500000);
    void *in_the_way = qyi_malloc(1500000);
    freed = qyi_realloc(freed, 6000000);
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        system_now.before_mapping = free_again;
        qyi_free(freed);
        _exit(0); /* its mapping did not need to be made anew: nothing is tested */
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    qyi_free(freed);
    qyi_free(in_the_way);
}
END_TEST

/* Moved pages have a mapping of their own; freed, they must become one with their neighbours again, wherever they lie. */
START_TEST(test_the_number_of_mappings_stays_bounded)
{
    if (UNIT_SANITIZED)
        return; /* they map memory of their own */
    enum { ROUNDS = 100 };
    void *gaps[ROUNDS]; /* so that things do not fall into the same place again */
    uint64_t seed = 1;
    unsigned before = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        grow_in_turn();
        change(&lives[0], 300000); /* the tail of what was moved goes back */
        for (unsigned i = 0; i < 2; i++) {
            qyi_free(lives[i].block);
            lives[i].block = NULL;
        }
        if (round == ROUNDS / 2)
            before = count_mappings();
        gaps[round] = qyi_malloc(200000 + unit_below(&seed, 3000000));
        require(gaps[round] != NULL);
    }
    ck_assert_uint_le(count_mappings(), before + 30);
    for (unsigned round = 0; round < ROUNDS; round++)
        qyi_free(gaps[round]);
    ck_assert_uint_le(count_mappings(), before + 30);
}
END_TEST

START_TEST(test_without_unmapping_nothing_is_lost)
{
    system_now.no_unmap = true;
    work();
    recover();
}
END_TEST

/* ---- strict overcommit ---- */

enum { BUDGET = 48 << 20, FULL_MAX = 1 << 20 };
static void *full[FULL_MAX];

/* Allocate blocks of one size until there is no more. Returns their number. */
static size_t fill_up(size_t bytes)
{
    size_t count = 0;
    errno = 0;
    while (count < FULL_MAX && (full[count] = qyi_malloc(bytes)) != NULL) {
        memset(full[count], (int)(count % 250 + 1), qyi_min(bytes, 64));
        count++;
    }
    require(errno == ENOMEM);
    return count;
}

static void free_full(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned char *block = full[i];
        require(block[0] == i % 250 + 1 && block[qyi_min(bytes, 64) - 1] == i % 250 + 1);
        qyi_free(full[i]);
    }
}

/* When memory was full of one size, and that was freed, there is room for all other sizes. */
START_TEST(test_a_full_memory_that_is_freed_serves_other_sizes)
{
    static const size_t BYTES[] = {64, 1000000, 3000, 64, 100000, 9000000, 500, 140000};
    system_now.commit_left = BUDGET;
    system_now.commit_limited = true;
    for (size_t i = 0; i < sizeof BYTES / sizeof BYTES[0]; i++) {
        const size_t count = fill_up(BYTES[i]);
        require(count * BYTES[i] >= BUDGET / 2); /* tables and steps take their part */
        require(count < FULL_MAX);
        free_full(count, BYTES[i]);
        unit_check_runs();
    }
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* A little more is enough for something small, even if a whole step forward is refused. */
START_TEST(test_the_last_of_memory_is_used)
{
    unit_attach();
    system_now.commit_limited = true; /* no more than there is already */
    while (qyi_malloc(70000) != NULL)
        ;
    ck_assert_int_eq(errno, ENOMEM);
    system_now.commit_left = 3 << 20; /* less than the region likes to take at once */
    const size_t count = fill_up(70000);
    ck_assert_uint_ge(count * 70000, 1 << 20);
    free_full(count, 70000);
}
END_TEST

static void *allocate_something(void *unused)
{
    void *block = qyi_malloc(100);
    require(block != NULL || errno == ENOMEM);
    qyi_free(block);
    qyi_free(full[0]); /* another thread's */
    return unused;
}

START_TEST(test_threads_begin_when_memory_is_full)
{
    system_now.commit_left = 16 << 20;
    system_now.commit_limited = true;
    const size_t count = fill_up(40000);
    for (unsigned i = 0; i < 10; i++) {
        unit_in_thread(allocate_something, NULL);
        full[0] = NULL;
    }
    for (size_t i = 1; i < count; i++)
        qyi_free(full[i]);
    system_now.commit_limited = false;
    unit_in_thread(allocate_something, NULL);
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}
END_TEST

/* ---- real limits ---- */

START_TEST(test_memory_within_a_limit_of_address_space)
{
    if (UNIT_SANITIZED || unit_under_valgrind())
        return;
    const struct rlimit limit = {.rlim_cur = (rlim_t)256 << 20, .rlim_max = (rlim_t)256 << 20};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    static const size_t BYTES[] = {100000, 5000000, 1000};
    for (size_t i = 0; i < sizeof BYTES / sizeof BYTES[0]; i++) {
        const size_t count = fill_up(BYTES[i]);
        require(count * BYTES[i] >= (size_t)64 << 20);
        free_full(count, BYTES[i]);
    }
    unit_check_runs();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault");
    TCase *calls = tcase_create("calls");
    tcase_add_checked_fixture(calls, setup, NULL);
    tcase_add_test(calls, test_the_workload_works);
    tcase_add_test(calls, test_every_call_may_fail_once);
    tcase_add_test(calls, test_every_call_may_fail_three_times);
    tcase_add_test(calls, test_from_every_call_on_all_may_fail);
    tcase_add_loop_test(calls, test_every_call_may_fail_where_address_space_is_limited, 0, 2);
    suite_add_tcase(suite, calls);
    TCase *kinds = tcase_create("kinds");
    tcase_add_checked_fixture(kinds, setup, NULL);
    tcase_add_loop_test(kinds, test_a_smaller_reservation_will_do, 0, 4);
    tcase_add_test(kinds, test_no_reservation_at_all_is_out_of_memory);
    tcase_add_test(kinds, test_without_purging_calloc_is_zero_all_the_same);
    tcase_add_loop_test(kinds, test_without_moving_large_blocks_are_copied, MOVE_AS_REFUSED, MOVE_AFTER_UNMAPPING + 1);
    tcase_add_test(kinds, test_a_block_that_has_moved_has_headroom);
    tcase_add_test(kinds, test_a_block_that_moved_into_two_mappings_can_be_moved_again);
    tcase_add_test(kinds, test_a_block_does_not_move_where_others_map_something);
    tcase_add_test(kinds, test_a_moved_block_is_given_back_once_by_whoever_comes_first);
    tcase_add_test(kinds, test_the_number_of_mappings_stays_bounded);
    tcase_add_test(kinds, test_without_unmapping_nothing_is_lost);
    suite_add_tcase(suite, kinds);
    TCase *limits = tcase_create("limits");
    tcase_add_checked_fixture(limits, setup, NULL);
    tcase_add_test(limits, test_a_full_memory_that_is_freed_serves_other_sizes);
    tcase_add_test(limits, test_the_last_of_memory_is_used);
    tcase_add_test(limits, test_threads_begin_when_memory_is_full);
    tcase_add_test(limits, test_memory_within_a_limit_of_address_space);
    suite_add_tcase(suite, limits);
    return unit_run(suite);
}
#endif

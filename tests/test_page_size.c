/*
 * test_page_size.c: kernels with larger pages, of 16 and 64 KiB. What such a kernel would refuse is refused here, and what it would round up
 * is rounded up, into what lies behind.
 */
#include "unit.h"

#include "alloc.h"
#include "os.h"

#include "quarry/arena.h"
#include "quarry/quarry.h"
#include "quarry/ref.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
/* The sanitizers' own calls would come here too, before they can run anything. */
int main(void)
{
    puts("SKIP: system calls cannot be replaced under sanitizers");
    return 77;
}
#else

/* ---- the system, as the core sees it ---- */

/* The size of pages in this process; without, it is the parent of one for each. */
#define PAGE_VARIABLE "QUARRY_TEST_PAGE_BYTES"

static size_t page_bytes;
static unsigned purges;

/* Asked for the first time before main. */
unsigned long getauxval(unsigned long type)
{
    if (type != AT_PAGESZ)
        return 0; /* the only other one that is asked for is AT_RANDOM, which may be missing */
    const char *value = getenv(PAGE_VARIABLE);
    page_bytes = value == NULL ? 4096 : strtoul(value, NULL, 10);
    return page_bytes;
}

static bool is_aligned(const void *start)
{
    if (page_bytes == 0) /* too early: libc's or the loader's own */
        return true;
    if ((uintptr_t)start % page_bytes == 0)
        return true;
    errno = EINVAL;
    return false;
}

static size_t whole_pages(size_t bytes)
{
    return page_bytes == 0 ? bytes : qyi_align_up(bytes, page_bytes);
}

void *mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    const bool anywhere = where == NULL;
    if (!is_aligned(where))
        return MAP_FAILED;
    bytes = whole_pages(bytes);
    char *start = (char *)syscall(SYS_mmap, where, anywhere ? bytes + page_bytes : bytes, protection, flags, fd,
                                  offset); /* NOLINT(performance-no-int-to-ptr) */
    if (start == MAP_FAILED || !anywhere)
        return start;
    char *aligned = (char *)whole_pages((uintptr_t)start); /* NOLINT(performance-no-int-to-ptr) */
    if (aligned != start)
        syscall(SYS_munmap, start, aligned - start);
    syscall(SYS_munmap, aligned + bytes, page_bytes - (size_t)(aligned - start));
    return aligned;
}

int munmap(void *start, size_t bytes)
{
    return is_aligned(start) ? (int)syscall(SYS_munmap, start, whole_pages(bytes)) : -1;
}

int mprotect(void *start, size_t bytes, int protection)
{
    return is_aligned(start) ? (int)syscall(SYS_mprotect, start, whole_pages(bytes), protection) : -1;
}

int madvise(void *start, size_t bytes, int advice)
{
    if (!is_aligned(start))
        return -1;
    purges += advice == MADV_DONTNEED;
    return (int)syscall(SYS_madvise, start, whole_pages(bytes), advice);
}

void *mremap(void *from, size_t old_bytes, size_t new_bytes, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    void *to = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void *) : NULL;
    va_end(rest);
    if (!is_aligned(from) || !is_aligned(to))
        return MAP_FAILED;
    return (void *)syscall(SYS_mremap, from, whole_pages(old_bytes), whole_pages(new_bytes), flags,
                           to); /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- tests ---- */

enum { BLOCKS = 1200 };

static unsigned char *block[BLOCKS];

static void start(void)
{
    require(qyi_start() && qyi_os_page_bytes == page_bytes);
}

static void take(unsigned i, size_t bytes)
{
    require((block[i] = qyi_malloc(bytes)) != NULL);
    memset(block[i], (int)(i % 251) + 1, bytes);
}

static void check(unsigned i, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += at + 64 < bytes ? 64 : 1)
        require(block[i][at] == i % 251 + 1);
}

/* Counts and contents of what lies beside memory that goes back. */
START_TEST(test_what_is_given_back_takes_nothing_along)
{
    static const size_t BYTES[] = {700, 20000, 70000};
    for (unsigned size = 0; size < sizeof BYTES / sizeof BYTES[0]; size++) {
        const size_t bytes = BYTES[size];
        for (unsigned i = 0; i < BLOCKS; i++) {
            take(i, bytes);
            require(qy_retain(block[i] + i % bytes) == 0);
        }
        for (unsigned round = 2; round <= 8; round *= 2) {
            for (unsigned i = 0; i < BLOCKS; i++) {
                /* every other frame, then pieces of what is left */
                const bool goes = round == 2 ? ((uintptr_t)block[i] >> QYI_FRAME_SHIFT) % 2 != 0 : i % round == 0;
                if (block[i] == NULL || !goes)
                    continue;
                require(qy_release(block[i]) == 0);
                qyi_free(block[i]);
                block[i] = NULL;
            }
            (void)qy_trim();
            for (unsigned i = 0; i < BLOCKS; i++) {
                if (block[i] == NULL)
                    continue;
                require(qy_refcount(block[i]) == 2);
                check(i, bytes);
            }
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            if (block[i] == NULL)
                continue;
            require(qy_release(block[i]) == 0);
            qyi_free(block[i]);
        }
        unsigned char *zero = qyi_calloc(1, 5 << 20); /* of what has been in use */
        for (size_t at = 0; at < 5 << 20; at++)
            require(zero[at] == 0);
        qyi_free(zero);
    }
    (void)qy_trim();
    require(purges != 0);
    require(qyi_region_dirty() == 0);
    require(unit_used_bytes() == 0);
    unit_check_runs();
}
END_TEST

/* Pieces of frames: what is no whole page stays dirty, and does not keep the rest from going back. */
START_TEST(test_pieces_go_back_as_far_as_they_are_pages)
{
    enum { PIECES = 4000, KEPT_EVERY = 16, PIECE_BYTES = 28000 };
    static void *piece[PIECES];
    for (unsigned i = 0; i < PIECES; i++) {
        require((piece[i] = qyi_malloc(PIECE_BYTES)) != NULL);
        memset(piece[i], 1, PIECE_BYTES);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        if (i % KEPT_EVERY != 0)
            qyi_free(piece[i]);
    }
    (void)qyi_magazines_flush(qyi_my_magazines());
    const size_t dirty = qyi_region_dirty();
    (void)qy_trim();
    require(page_bytes > QYI_GRANULE_BYTES ? qyi_region_dirty() < dirty / 4 : qyi_region_dirty() == 0);
    unit_check_runs();
    for (unsigned i = 0; i < PIECES; i += KEPT_EVERY)
        qyi_free(piece[i]);
    (void)qy_trim();
    require(qyi_region_dirty() == 0);
}
END_TEST

START_TEST(test_an_arena_takes_nothing_along)
{
    for (unsigned flags = 0; flags <= QY_ARENA_HUGE; flags += QY_ARENA_HUGE) {
        qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = (2 << 20) + QYI_GRANULE_BYTES, .flags = flags});
        require(arena != NULL);
        for (unsigned i = 0; i < 100; i++) /* some of them right behind */
            take(i, 30000);
        qy_arena_destroy(arena);
        for (unsigned i = 0; i < 100; i++) {
            check(i, 30000);
            qyi_free(block[i]);
        }
    }
}
END_TEST

START_TEST(test_large_blocks_grow_and_shrink)
{
    static const size_t BYTES[] = {100000, 1500000, 1600000, 9000000, 9100000, 40000000, 3000000, 200000};
    void *in_the_way[sizeof BYTES / sizeof BYTES[0]];
    take(0, BYTES[0]);
    for (unsigned i = 0; i + 1 < sizeof BYTES / sizeof BYTES[0]; i++) {
        in_the_way[i] = qyi_malloc(QYI_SMALL_BYTES + 1);
        require((block[0] = qyi_realloc(block[0], BYTES[i + 1])) != NULL);
        check(0, qyi_min(BYTES[i], BYTES[i + 1]));
        memset(block[0], 1, BYTES[i + 1]);
    }
    qyi_free(block[0]);
    for (unsigned i = 0; i + 1 < sizeof BYTES / sizeof BYTES[0]; i++)
        qyi_free(in_the_way[i]);
    require(unit_used_bytes() == 0);
    unit_check_runs();
}
END_TEST

/* Room for counts grows a step at a time; each must begin where pages do. */
START_TEST(test_counts_for_many_slabs)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        take(i, 30000);
        require(qy_retain(block[i]) == 0);
    }
    qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = 1 << 20});
    require(arena != NULL);
    qy_arena_destroy(arena);
    for (unsigned i = 0; i < BLOCKS; i++) {
        require(qy_release(block[i]) == 0);
        check(i, 30000);
        qyi_free(block[i]);
    }
}
END_TEST

static int run(void)
{
    Suite *suite = suite_create("page_size");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, start, NULL);
    tcase_add_test(tests, test_what_is_given_back_takes_nothing_along);
    tcase_add_test(tests, test_pieces_go_back_as_far_as_they_are_pages);
    tcase_add_test(tests, test_an_arena_takes_nothing_along);
    tcase_add_test(tests, test_large_blocks_grow_and_shrink);
    tcase_add_test(tests, test_counts_for_many_slabs);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

int main(void)
{
    if (getenv(PAGE_VARIABLE) != NULL)
        return run();
    static const char *const PAGE_BYTES[] = {"4096", "16384", "65536"};
    int failed = 0;
    for (size_t i = 0; i < sizeof PAGE_BYTES / sizeof PAGE_BYTES[0]; i++) {
        const pid_t child = fork();
        if (child == 0) {
            setenv(PAGE_VARIABLE, PAGE_BYTES[i], 1);
            execl("/proc/self/exe", "test_page_size", (char *)NULL);
            _exit(127);
        }
        int status = -1;
        require(child > 0 && waitpid(child, &status, 0) == child);
        if (status != 0)
            printf("with pages of %s bytes: status %d\n", PAGE_BYTES[i], status);
        failed |= status != 0;
    }
    return failed;
}
#endif

/*
 * unit_slices.h: what the unit tests of references and slices share: what is there is counted, errors are expected, the
 * system refuses memory, and memory of another origin notes that it was released.
 */
#ifndef QUARRY_TESTS_UNIT_SLICES_H
#define QUARRY_TESTS_UNIT_SLICES_H

#include "unit.h"

#include "quarry/slice.h"

#include "alloc.h"
#include "stats.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const size_t LENGTHS[] = {1, 15, 64, 65, 100, 1000, 1024, 1025, 5000, 40000, 65536, 65537, 200000, 3000000};
enum { LENGTH_COUNT = sizeof LENGTHS / sizeof LENGTHS[0] };

/* Blocks in the program's hands. The report counts a block that was freed by another thread as cached. */
static inline uint64_t live_blocks(void)
{
    static struct qyi_stats stats;
    qyi_stats_collect(&stats);
    uint64_t live = stats.large_count;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        live += stats.classes[class].live;
    return live;
}

/* Blocks that were ever handed out. */
static inline uint64_t allocations(void)
{
    static struct qyi_stats stats;
    qyi_stats_collect(&stats);
    uint64_t calls = stats.large_calls;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += stats.classes[class].calls;
    return calls;
}

static inline bool is_empty(qy_slice slice)
{
    return slice.iov_len == 0;
}

static inline bool is(qy_slice slice, const char *text)
{
    return slice.iov_len == strlen(text) && (slice.iov_len == 0 || memcmp(slice.iov_base, text, slice.iov_len) == 0);
}

static inline qy_slice text(const char *bytes)
{
    const qy_slice slice = qy_slice_copy(bytes, strlen(bytes));
    require(!is_empty(slice));
    return slice;
}

static inline bool same(qy_slice a, qy_slice b)
{
    return a.iov_base == b.iov_base && a.iov_len == b.iov_len;
}

static inline char *byte_at(qy_slice slice, size_t i)
{
    return (char *)slice.iov_base + i;
}

static inline void setup(void)
{
    errno = 0;
}

static inline void nothing_left(void)
{
    require(live_blocks() == 0);
    require(errno == 0);
}

/* The registry has blocks of its own: an index, and a record for every range that there was at once. */
static inline void only_registry_left(unsigned ranges)
{
    require(live_blocks() == 1 + ranges);
    require(errno == 0);
}

/* The call has failed for this reason; the next one begins anew. */
#define failed_with(error) require(errno == (error) && (errno = 0) == 0)

/* ---- the system refuses ---- */

/* The calls by which the core makes memory accessible. ThreadSanitizer needs them for itself. */
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
static inline void use_up(size_t bytes)
{
    no_memory = true;
    while (qyi_malloc(bytes) != NULL)
        ;
    failed_with(ENOMEM);
}

/* ---- memory of another origin ---- */

static struct {
    unsigned calls;
    void *p, *context;
    size_t length;
    pthread_t thread;
} released;

static inline void note_release(void *p, size_t length, void *context)
{
    released.calls++;
    released.p = p;
    released.length = length;
    released.context = context;
    released.thread = pthread_self();
    errno = EIO; /* as somebody who does not care */
}

/* ---- the suite ---- */

static inline TCase *group(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, NULL);
    suite_add_tcase(suite, tests);
    return tests;
}
#endif

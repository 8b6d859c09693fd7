/*
 * test_stats.c: what qyi_stats_collect counts, what the report says, and where it goes at exit.
 *
 * The numbers are compared with a shadow: what the test itself allocated, by size class, on top of what was there before. Reports are
 * written into files in memory.
 */
#define _GNU_SOURCE 1

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "dump.h"
#include "heap.h"
#include "large.h"
#include "options.h"
#include "os.h"
#include "reclaim.h"
#include "report.h"
#include "stats.h"
#include "thread.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool SANITIZED = true; /* with a malloc, memory and stacks of their own */
#else
static const bool SANITIZED = false;
#endif

static struct qyi_stats before;
static struct qyi_stats now;

static void setup(void)
{
    ck_assert(qyi_start());
    qyi_free(qyi_malloc(1)); /* the thread has its heap */
    qyi_stats_collect(&before);
}

static size_t states(const struct qyi_stats *stats)
{
    return stats->live + stats->free_in_slabs + stats->cached + stats->dirty + stats->clean + stats->metadata;
}

static void check_sums(const struct qyi_stats *stats)
{
    ck_assert_uint_eq(states(stats), stats->mapped);
    ck_assert_uint_le(stats->large_live, stats->live);
    ck_assert_uint_le(stats->freed_in_slabs, stats->free_in_slabs);
    size_t slabs_bytes = 0;
    size_t live = stats->large_live;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        live += row->live * qyi_classes[class].bytes;
        slabs_bytes += row->slabs * qyi_classes[class].granule_count * (size_t)QYI_GRANULE_BYTES;
        ck_assert_uint_le(row->freed, row->free);
    }
    ck_assert_uint_le(stats->live, live);
    ck_assert_uint_le(slabs_bytes, stats->mapped);
}

/* In a process that stands still, a class's blocks are exactly accounted for. */
static void check_blocks(const struct qyi_stats *stats)
{
    check_sums(stats);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        ck_assert_uint_eq(row->live + row->cached + row->free, row->slabs * qyi_classes[class].block_count);
    }
}

static void collect(void)
{
    qyi_stats_collect(&now);
    check_blocks(&now);
}

static size_t live_more(unsigned class)
{
    return now.classes[class].live - before.classes[class].live;
}

/* ---- numbers ---- */

START_TEST(test_states_sum_to_mapped_from_the_start)
{
    check_blocks(&before);
    ck_assert_uint_gt(before.mapped, 0);
    ck_assert_uint_gt(before.metadata, 0);
    ck_assert_uint_ge(before.heaps, 2); /* this thread's, and the orphans' */
}
END_TEST

enum { SHADOW_BLOCKS = 2000 };

static unsigned random_below(unsigned n)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

START_TEST(test_live_blocks_are_those_of_the_shadow)
{
    static struct {
        void *p;
        size_t bytes;
    } blocks[SHADOW_BLOCKS];
    size_t live[QYI_CLASS_COUNT] = {0};
    uint64_t calls[QYI_CLASS_COUNT] = {0};
    size_t large = 0;
    size_t large_bytes = 0;
    uint64_t large_calls = 0;
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            const unsigned place = random_below(SHADOW_BLOCKS);
            const size_t bytes = blocks[place].bytes;
            qyi_free(blocks[place].p);
            if (bytes > QYI_SMALL_BYTES) {
                large--;
                large_bytes -= qyi_align_up(bytes, qyi_os_page_bytes);
            } else if (bytes != 0) {
                live[qyi_class_of(bytes)]--;
            }
            /* all sizes, in every order of magnitude; now and then a large one, now and then nothing */
            size_t wanted = random_below(20) == 0 ? 0 : 1 + random_below(1u << (4 + random_below(15)));
            blocks[place].p = wanted == 0 ? NULL : qyi_malloc(wanted);
            if (wanted <= QYI_SMALL_BYTES)
                wanted = qyi_usable_size(blocks[place].p, "test"); /* the first few of a size may be of a larger class */
            blocks[place].bytes = wanted;
            if (wanted > QYI_SMALL_BYTES) {
                large++;
                large_calls++;
                large_bytes += qyi_align_up(wanted, qyi_os_page_bytes);
            } else if (wanted != 0) {
                live[qyi_class_of(wanted)]++;
                calls[qyi_class_of(wanted)]++;
            }
        }
        collect();
        for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
            ck_assert_uint_eq(live_more(class), live[class]);
            ck_assert_uint_eq(now.classes[class].calls - before.classes[class].calls, calls[class]);
        }
        ck_assert_uint_eq(now.large_count - before.large_count, large);
        ck_assert_uint_eq(now.large_live - before.large_live, large_bytes);
        ck_assert_uint_eq(now.large_calls - before.large_calls, large_calls);
    }
    ck_assert_uint_gt(large_calls, 0);
    ck_assert_uint_gt(now.refills, before.refills);
    for (unsigned i = 0; i < SHADOW_BLOCKS; i++)
        qyi_free(blocks[i].p);
    collect();
    ck_assert_uint_eq(now.live, before.live);
}
END_TEST

START_TEST(test_freed_blocks_are_cached_until_the_thread_is_idle)
{
    enum { COUNT = 100 };
    const unsigned class = qyi_class_of(200);
    void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(200);
    for (unsigned i = 0; i < COUNT - 1; i++)
        qyi_free(blocks[i]);
    collect();
    ck_assert_uint_eq(live_more(class), 1);
    ck_assert_uint_gt(now.classes[class].cached, 0);
    ck_assert_uint_gt(now.cached, 0);
    qyi_reclaim_thread();
    collect();
    ck_assert_uint_eq(live_more(class), 1);
    ck_assert_uint_eq(now.cached, 0);
    for (unsigned i = 0; i < QYI_CLASS_COUNT; i++)
        ck_assert_uint_eq(now.classes[i].cached, 0);
    ck_assert_uint_ge(now.classes[class].freed, COUNT - 1);
    ck_assert_uint_ge(now.freed_in_slabs, (COUNT - 1) * qyi_classes[class].bytes);
    qyi_free(blocks[COUNT - 1]);
}
END_TEST

START_TEST(test_flushes_are_counted)
{
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(64);
    for (unsigned i = 0; i < COUNT; i++)
        qyi_free(blocks[i]);
    collect();
    ck_assert_uint_gt(now.flushes, before.flushes);
    ck_assert_uint_eq(live_more(qyi_class_of(64)), 0);
}
END_TEST

START_TEST(test_large_blocks_follow_realloc)
{
    char *p = qyi_malloc(3 * QYI_MIB);
    collect();
    ck_assert_uint_eq(now.large_count - before.large_count, 1);
    ck_assert_uint_eq(now.large_live - before.large_live, 3 * QYI_MIB);
    p = qyi_realloc(p, 9 * QYI_MIB + 1);
    collect();
    ck_assert_uint_eq(now.large_count - before.large_count, 1);
    ck_assert_uint_eq(now.large_live - before.large_live, 9 * QYI_MIB + qyi_os_page_bytes);
    p = qyi_realloc(p, QYI_MIB);
    collect();
    ck_assert_uint_eq(now.large_live - before.large_live, QYI_MIB);
    qyi_free(p);
    collect();
    ck_assert_uint_eq(now.large_count, before.large_count);
    ck_assert_uint_ge(now.dirty, QYI_MIB);
    qyi_reclaim_all();
    collect();
    ck_assert_uint_eq(now.dirty, 0);
    ck_assert_uint_ge(now.purged_bytes, before.purged_bytes + QYI_MIB);
}
END_TEST

/* A thread that frees some of our blocks, and then stays until it is told to go. */
struct helper {
    void **blocks;
    unsigned count;
    pthread_barrier_t freed, seen;
};

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    for (unsigned i = 0; i < helper->count; i++)
        qyi_free(helper->blocks[i]);
    pthread_barrier_wait(&helper->freed);
    pthread_barrier_wait(&helper->seen);
    return NULL;
}

static void free_in_another_thread(unsigned count)
{
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    const unsigned class = qyi_class_of(48);
    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = qyi_malloc(48);
    struct helper helper = {.blocks = blocks, .count = count};
    pthread_barrier_init(&helper.freed, NULL, 2);
    pthread_barrier_init(&helper.seen, NULL, 2);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, helper_main, &helper), 0);
    pthread_barrier_wait(&helper.freed);
    collect(); /* some are in the thread's buffer still */
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_eq(now.remote_frees - before.remote_frees, count);
    pthread_barrier_wait(&helper.seen);
    pthread_join(thread, NULL);
    collect(); /* all are announced; nobody has collected them */
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_ge(now.classes[class].cached, count);
    ck_assert_uint_eq(now.remote_frees - before.remote_frees, count); /* an ended thread's counters are kept */
    qyi_reclaim_all();
    collect();
    ck_assert_uint_eq(live_more(class), COUNT - count);
    ck_assert_uint_eq(now.cached, 0);
    for (unsigned i = count; i < COUNT; i++)
        qyi_free(blocks[i]);
}

START_TEST(test_blocks_freed_by_others_are_not_live)
{
    free_in_another_thread(2900);
}
END_TEST

START_TEST(test_blocks_in_a_remote_buffer_are_not_live)
{
    free_in_another_thread(5);
}
END_TEST

static void *allocate_and_leave(void *blocks)
{
    for (unsigned i = 0; i < 500; i++)
        ((void **)blocks)[i] = qyi_malloc(300);
    return NULL;
}

START_TEST(test_ended_threads_leave_their_calls_and_blocks)
{
    static void *blocks[500];
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_and_leave, blocks), 0);
    pthread_join(thread, NULL);
    const unsigned class = qyi_class_of(300);
    collect();
    ck_assert_uint_eq(live_more(class), 500);
    ck_assert_uint_eq(now.classes[class].calls - before.classes[class].calls, 500);
    ck_assert_uint_gt(now.refills, before.refills);
    for (unsigned i = 0; i < 500; i++)
        qyi_free(blocks[i]);
}
END_TEST

START_TEST(test_a_lock_that_nobody_releases_does_not_stop_the_count)
{
    void *blocks[50];
    for (unsigned i = 0; i < 50; i++)
        blocks[i] = qyi_malloc(100);
    struct qyi_lock *lock = &qyi_my_magazines()->heap->lock;
    qyi_lock(lock); /* as in the child of a process whose thread stood in a slow path */
    collect();
    qyi_unlock(lock);
    ck_assert_uint_eq(live_more(qyi_class_of(100)), 50);
    for (unsigned i = 0; i < 50; i++)
        qyi_free(blocks[i]);
}
END_TEST

static _Atomic bool churn_on;

static void *churn(void *unused)
{
    (void)unused;
    enum { COUNT = 300 };
    void *blocks[COUNT] = {0};
    uint64_t state = (uintptr_t)&blocks;
    while (atomic_load_explicit(&churn_on, memory_order_relaxed)) {
        for (unsigned i = 0; i < COUNT; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            qyi_free(blocks[i]);
            blocks[i] = qyi_malloc((size_t)1 << (4 + (state >> 60)));
        }
    }
    for (unsigned i = 0; i < COUNT; i++)
        qyi_free(blocks[i]);
    return NULL;
}

START_TEST(test_states_sum_to_mapped_while_others_allocate)
{
    pthread_t threads[3];
    atomic_store(&churn_on, true);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (unsigned i = 0; i < 200; i++) {
        qyi_stats_collect(&now);
        check_sums(&now);
        sched_yield();
    }
    atomic_store(&churn_on, false);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    collect();
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        ck_assert_uint_eq(live_more(class), 0);
}
END_TEST

START_TEST(test_resident_memory_is_told_apart)
{
    const size_t bytes = 32 * QYI_MIB;
    errno = EDOM;
    qyi_stats_measure(&before);
    ck_assert_int_eq(errno, EDOM);
    if (before.resident == 0)
        return; /* no /proc here */
    ck_assert_uint_le(before.resident_ours, before.resident);
    ck_assert_uint_le(before.resident, before.resident_peak);
    char *ours = qyi_malloc(bytes);
    char *not_ours = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(not_ours, MAP_FAILED);
    memset(ours, 1, bytes);
    memset(not_ours, 1, 2 * bytes);
    qyi_stats_measure(&now);
    ck_assert_uint_ge(now.resident, before.resident + 3 * bytes - 4 * QYI_MIB);
    ck_assert_uint_ge(now.resident_ours, before.resident_ours + bytes);
    ck_assert_uint_le(now.resident_ours, before.resident_ours + bytes + 4 * QYI_MIB);
    qyi_free(ours);
    munmap(not_ours, 2 * bytes);
    qyi_reclaim_all();
    qyi_stats_measure(&now);
    ck_assert_uint_le(now.resident_ours, before.resident_ours + 4 * QYI_MIB);
    ck_assert_uint_ge(now.resident_peak, now.resident + bytes);
}
END_TEST

/* ---- text ---- */

static char text[64 << 10];

static int new_file(void)
{
    const int fd = memfd_create("report", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* The file's contents, in text; closes it. */
static const char *contents(int fd)
{
    const ssize_t length = pread(fd, text, sizeof text - 1, 0);
    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    close(fd);
    return text;
}

static const char *report_of(const struct qyi_stats *stats)
{
    const int fd = new_file();
    qyi_report_write(stats, fd);
    return contents(fd);
}

static unsigned occurrences(const char *where, const char *what)
{
    unsigned count = 0;
    for (const char *at = where; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* The line that starts with this, or NULL. */
static const char *line_of(const char *where, const char *start)
{
    for (const char *line = where; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, strlen(start)) == 0)
            return line;
    }
    return NULL;
}

static size_t number_after(const char *where, const char *start)
{
    const char *line = line_of(where, start);
    ck_assert_msg(line != NULL, "no line \"%s\" in\n%s", start, where);
    return strtoull(line + strlen(start), NULL, 10);
}

static void check_whole_report(const char *report, pid_t pid)
{
    char head[64];
    snprintf(head, sizeof head, " (pid %d)\n", (int)pid);
    ck_assert_int_eq(strncmp(report, "quarry ", 7), 0);
    ck_assert_ptr_nonnull(strstr(report, head));
    ck_assert_uint_eq(occurrences(report, "quarry 0."), 1);
    ck_assert_uint_eq(occurrences(report, "verdict: "), 1);
    const char *verdict = line_of(report, "verdict: ");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_ptr_eq(strchr(verdict, '\n'), report + strlen(report) - 1); /* it is the last line */
}

START_TEST(test_report_lists_what_was_collected)
{
    void *large = qyi_malloc(5 * QYI_MIB);
    void *small[30];
    for (unsigned i = 0; i < 30; i++)
        small[i] = qyi_malloc(49152);
    collect();
    qyi_stats_measure(&now);
    errno = EDOM;
    const char *report = report_of(&now);
    check_whole_report(report, getpid());
    ck_assert_ptr_nonnull(strstr(report, program_invocation_short_name));
    static const char *const names[] = {"  live ",  "  free in slabs ", "  cached ",
                                        "  dirty ", "  clean ",         "  metadata "};
    size_t sum = 0;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        sum += number_after(report, names[i]);
    ck_assert_uint_eq(sum, number_after(report, "  = mapped "));
    ck_assert_uint_eq(sum, now.mapped);
    if (now.resident != 0) {
        ck_assert_uint_eq(number_after(report, "  resident "), now.resident);
        ck_assert_uint_eq(number_after(report, "    ours ") + number_after(report, "    not ours "), now.resident);
        ck_assert_uint_ge(number_after(report, "  peak resident "), now.resident);
    }
    ck_assert_uint_eq(number_after(report, "    large "), now.large_calls);
    ck_assert_uint_eq(number_after(report, "   large "), now.large_calls);
    /* the row of a class: size, calls, live */
    ck_assert_uint_eq(number_after(report, "   49152"), now.classes[qyi_class_of(49152)].calls);
    char row[64];
    snprintf(row, sizeof row, "   49152%14u%11u     1.4 MiB", (unsigned)now.classes[qyi_class_of(49152)].calls, 30);
    ck_assert_ptr_nonnull(line_of(report, row));
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) { /* one for each class that was used */
        snprintf(row, sizeof row, "%8u ", qyi_classes[class].bytes);
        ck_assert_int_eq(line_of(report, row) != NULL, now.classes[class].calls != 0 || now.classes[class].slabs != 0);
    }
    for (const char *line = report; *line != '\0' && strncmp(line, "verdict", 7) != 0; line = strchr(line, '\n') + 1)
        ck_assert_msg(strcspn(line, "\n") <= 80, "too wide: %.90s", line);
    qyi_free(large);
    for (unsigned i = 0; i < 30; i++)
        qyi_free(small[i]);
}
END_TEST

START_TEST(test_report_keeps_errno)
{
    const int fd = new_file();
    errno = EDOM;
    qyi_stats_print(fd);
    ck_assert_int_eq(errno, EDOM);
    check_whole_report(contents(fd), getpid());
}
END_TEST

static void *print_to(void *fd)
{
    qyi_stats_print(*(int *)fd);
    return NULL;
}

START_TEST(test_report_fits_the_smallest_stack)
{
    if (SANITIZED)
        return;
    int fd = new_file();
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, print_to, &fd), 0);
    pthread_join(thread, NULL);
    check_whole_report(contents(fd), getpid());
}
END_TEST

static void *print_cancelled(void *fd)
{
    pthread_cancel(pthread_self());
    qyi_stats_print(*(int *)fd);
    pthread_testcancel(); /* not before */
    return NULL;
}

START_TEST(test_report_is_no_place_to_be_cancelled)
{
    int fd = new_file();
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, print_cancelled, &fd), 0);
    pthread_join(thread, &result);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    check_whole_report(contents(fd), getpid());
}
END_TEST

START_TEST(test_reader_that_is_gone_costs_nothing)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_DFL);
    sigset_t signals;
    qyi_stats_print(ends[1]);
    pthread_sigmask(SIG_SETMASK, NULL, &signals);
    ck_assert(!sigismember(&signals, SIGPIPE));
    sigpending(&signals);
    ck_assert(!sigismember(&signals, SIGPIPE));

    /* One that was pending before is not ours to take away. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    raise(SIGPIPE);
    qyi_stats_print(ends[1]);
    sigpending(&signals);
    ck_assert(sigismember(&signals, SIGPIPE));
    close(ends[1]);
}
END_TEST

/* A pipe that holds less than the reports that go into it. */
enum { PIPE_BYTES = 4096 };

static struct printer {
    struct qyi_stats stats;
    int ends[2];
} printer;

static void *print_stats(void *unused)
{
    (void)unused;
    qyi_report_write(&printer.stats, printer.ends[1]);
    close(printer.ends[1]);
    return NULL;
}

/* Starts a thread that writes a report on this many MiB, and returns when the pipe is full. */
static pthread_t start_printer(size_t mib, int flags)
{
    pthread_t thread;
    memset(&printer.stats, 0, sizeof printer.stats);
    printer.stats.live = printer.stats.mapped = mib * QYI_MIB;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        printer.stats.classes[class].calls = 1;
    ck_assert_int_eq(pipe2(printer.ends, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(printer.ends[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
    ck_assert_int_eq(fcntl(printer.ends[1], F_SETFL, flags), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, print_stats, NULL), 0);
    for (int held = 0; held < PIPE_BYTES; sched_yield())
        ck_assert_int_eq(ioctl(printer.ends[0], FIONREAD, &held), 0);
    return thread;
}

/* Reads to the end what the printer has written. */
static const char *finish_printer(pthread_t thread)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(printer.ends[0], text + length, 100)) > 0) {
        length += (size_t)got;
        sched_yield();
    }
    ck_assert_int_eq(got, 0);
    text[length] = '\0';
    close(printer.ends[0]);
    pthread_join(thread, NULL);
    return text;
}

START_TEST(test_slow_reader_of_a_pipe_that_does_not_block_gets_all)
{
    const pthread_t thread = start_printer(111, O_NONBLOCK);
    check_whole_report(finish_printer(thread), getpid());
    ck_assert_ptr_nonnull(strstr(text, "the program holds 111.0 MiB"));
}
END_TEST

START_TEST(test_reports_at_the_same_time_do_not_mix)
{
    const pthread_t thread = start_printer(111, 0);
    struct qyi_stats other = printer.stats;
    other.live = other.mapped = 222 * QYI_MIB;
    check_whole_report(report_of(&other), getpid());
    ck_assert_ptr_nonnull(strstr(text, "the program holds 222.0 MiB"));
    check_whole_report(finish_printer(thread), getpid());
    ck_assert_ptr_nonnull(strstr(text, "the program holds 111.0 MiB"));
}
END_TEST

START_TEST(test_report_does_without_proc)
{
    char folder[] = "/tmp/quarry-stats-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const int fd = new_file();
    const pid_t child = fork();
    if (child == 0) {
        if (chroot(folder) != 0 || chdir("/") != 0)
            _exit(77);
        qyi_stats_print(fd);
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    rmdir(folder);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        return; /* not privileged */
    check_whole_report(contents(fd), child);
    ck_assert_ptr_nonnull(strstr(text, "resident: not known"));
}
END_TEST

/* ---- the verdict ---- */

/* A process of 1000 MiB, all of it ours, of which live, freed in slabs, cached and dirty are as given. */
static struct qyi_stats *process(size_t live, size_t freed, size_t cached, size_t dirty)
{
    static struct qyi_stats stats;
    const size_t total = live + freed + cached + dirty;
    const unsigned class = qyi_class_of(64);
    memset(&stats, 0, sizeof stats);
    stats.live = live * QYI_MIB;
    stats.free_in_slabs = stats.freed_in_slabs = freed * QYI_MIB;
    stats.cached = cached * QYI_MIB;
    stats.dirty = dirty * QYI_MIB;
    stats.mapped = stats.resident = stats.resident_ours = stats.resident_peak = total * QYI_MIB;
    stats.classes[class].live = stats.live / 64;
    stats.classes[class].freed = stats.classes[class].free = stats.freed_in_slabs / 64;
    return &stats;
}

static void check_verdict(const struct qyi_stats *stats, const char *expected)
{
    const char *verdict = line_of(report_of(stats), "verdict: ");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_msg(strncmp(verdict + 9, expected, strlen(expected)) == 0, "%sexpected: %s", verdict, expected);
}

START_TEST(test_verdict_live)
{
    check_verdict(
        process(900, 50, 30, 20),
        "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's), most in blocks of 64 bytes\n");
    struct qyi_stats *stats = process(900, 50, 30, 20);
    stats->large_live = 800 * QYI_MIB;
    stats->classes[qyi_class_of(64)].live = 100 * QYI_MIB / 64;
    check_verdict(stats,
                  "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's), most in large blocks\n");
}
END_TEST

START_TEST(test_verdict_fragmentation)
{
    check_verdict(process(500, 400, 50, 50),
                  "fragmentation: 42% of slab memory (400.0 MiB) is free blocks in slabs that other blocks keep in "
                  "place, most in blocks of 64 bytes\n");
}
END_TEST

START_TEST(test_verdict_waiting_to_be_purged)
{
    qyi_options.purge_delay_ms = 500;
    qyi_options.background = true;
    check_verdict(
        process(100, 300, 0, 600),
        "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it goes after 500 ms (QUARRY_OPTIONS=purge:0 "
        "returns it at once)\n");
    qyi_options.background = false; /* then an idle program keeps it */
    check_verdict(
        process(100, 300, 0, 600),
        "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it goes when the program allocates or frees "
        "after 500 ms (QUARRY_OPTIONS=background: while it is idle, too; purge:0: at once)\n");
    qyi_options.purge_delay_ms = UINT32_MAX;
    check_verdict(process(100, 300, 0, 600),
                  "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it is never returned");
    qyi_options.purge_delay_ms = 0;
    check_verdict(process(100, 300, 0, 600), "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's)\n");
}
END_TEST

START_TEST(test_verdict_magazines)
{
    check_verdict(process(500, 100, 300, 100),
                  "free blocks are in the threads' magazines: 300.0 MiB (30% of Quarry's)");
}
END_TEST

START_TEST(test_verdict_of_several_kinds_of_waste_names_the_largest)
{
    check_verdict(process(100, 300, 310, 290), "free blocks are in the threads' magazines: 310.0 MiB");
    check_verdict(process(100, 310, 300, 290), "fragmentation: ");
    check_verdict(process(100, 300, 290, 310), "free memory is waiting to be purged: 310.0 MiB");
}
END_TEST

START_TEST(test_verdict_not_ours)
{
    struct qyi_stats *stats = process(400, 0, 0, 100);
    stats->resident = stats->resident_peak = 2000 * QYI_MIB;
    check_verdict(
        stats,
        "most resident memory is not Quarry's (libraries, stacks, mappings): 1.5 GiB of 2.0 GiB (75%); live blocks are "
        "400.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_peak_gone)
{
    struct qyi_stats *stats = process(80, 10, 10, 0);
    stats->resident_peak = 1000 * QYI_MIB;
    check_verdict(
        stats,
        "most of the peak has gone back to the system: 1000.0 MiB resident at the height, 100.0 MiB now; live blocks "
        "are 80.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_small)
{
    struct qyi_stats *stats = process(0, 0, 0, 0);
    stats->live = 100 * QYI_KIB;
    stats->resident_ours = 300 * QYI_KIB;
    stats->resident = stats->resident_peak = 3 * QYI_MIB;
    check_verdict(
        stats,
        "a small heap: 300.0 KiB of the 3.0 MiB that are resident (10%), the rest is not Quarry's; live blocks are 100.0 KiB\n");
    stats->resident = stats->resident_peak = 0;
    check_verdict(stats, "a small heap: 300.0 KiB; live blocks are 100.0 KiB\n");
}
END_TEST

START_TEST(test_verdict_of_memory_that_is_not_touched)
{
    struct qyi_stats *stats = process(300, 0, 0, 0);
    stats->large_live = stats->live;
    stats->classes[qyi_class_of(64)].live = 0;
    stats->resident = stats->resident_peak = 12 * QYI_MIB;
    stats->resident_ours = 10 * QYI_MIB;
    check_verdict(stats, "most of the memory is live: the program holds 300.0 MiB (100% of Quarry's), most in large blocks; 290.0 MiB "
                         "of Quarry's is not resident: not touched yet, or swapped out\n");
}
END_TEST

START_TEST(test_verdict_records)
{
    struct qyi_stats *stats = process(15, 0, 0, 8);
    stats->metadata = 200 * QYI_MIB;
    stats->resident = stats->resident_peak = stats->resident_ours = 90 * QYI_MIB;
    check_verdict(stats, "much is Quarry's own records, of slabs, threads and a profile's samples: 67.0 MiB (74% of Quarry's); live "
                         "blocks are 15.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_without_knowing_what_is_ours)
{
    struct qyi_stats *stats = process(900, 50, 30, 20);
    stats->resident_ours = 0;
    check_verdict(stats, "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's)");
    ck_assert_ptr_null(strstr(text, "not ours"));
}
END_TEST

START_TEST(test_verdict_of_nothing)
{
    check_verdict(process(0, 0, 0, 0), "no single cause: 0.0 KiB live");
    check_verdict(process(400, 200, 200, 200), "no single cause: 400.0 MiB live");
}
END_TEST

/* ---- at exit ---- */

static void turn_on(void)
{
    qyi_options.stats = true;
    qyi_dump_start();
}

/* Runs in a child whose standard error is a file in memory; returns its contents. */
static const char *run(void (*body)(void), pid_t *pid)
{
    const int fd = new_file();
    *pid = fork();
    if (*pid == 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
        body();
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(*pid, &status, 0), *pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x: %s", status, contents(dup(fd)));
    return contents(fd);
}

static void expect_report(void (*body)(void))
{
    pid_t pid;
    const char *report = run(body, &pid);
    check_whole_report(report, pid);
}

static void expect_nothing(void (*body)(void))
{
    pid_t pid;
    ck_assert_str_eq(run(body, &pid), "");
}

static void finish_twice(void)
{
    turn_on();
    errno = EDOM;
    qyi_dump_finish();
    if (errno != EDOM)
        _exit(1);
    qyi_dump_finish();
}

START_TEST(test_finish_prints_once)
{
    expect_report(finish_twice);
}
END_TEST

static void finish_unasked(void)
{
    qyi_options.stats = false;
    qyi_dump_start();
    qyi_dump_finish();
}

START_TEST(test_finish_prints_nothing_unless_asked)
{
    expect_nothing(finish_unasked);
}
END_TEST

static void finish_without_stderr(void)
{
    turn_on();
    close(STDERR_FILENO);
    qyi_dump_finish();
}

START_TEST(test_finish_survives_a_closed_stderr)
{
    expect_report(finish_without_stderr);
}
END_TEST

/* As programs do that close all they do not know. */
static void close_duplicates(void)
{
    for (int fd = STDERR_FILENO + 1; fd < 300; fd++)
        close(fd);
}

static void finish_without_duplicate(void)
{
    turn_on();
    close_duplicates();
    qyi_dump_finish();
}

START_TEST(test_finish_survives_a_closed_duplicate)
{
    expect_report(finish_without_duplicate);
}
END_TEST

/* The numbers are reused: nothing may be written to what is there now. */
static void finish_reused(void)
{
    turn_on();
    const int other = memfd_create("other", 0);
    for (int fd = STDERR_FILENO; fd < 300; fd++) {
        if (fd != other)
            dup2(other, fd);
    }
    qyi_dump_finish();
    struct stat status;
    if (fstat(other, &status) != 0 || status.st_size != 0)
        _exit(1);
}

START_TEST(test_finish_does_not_write_into_files_of_the_program)
{
    expect_nothing(finish_reused);
}
END_TEST

static void finish_duplicate_reused(void)
{
    turn_on();
    const int other = memfd_create("other", 0);
    for (int fd = STDERR_FILENO + 1; fd < 300; fd++) {
        if (fd != other)
            dup2(other, fd);
    }
    qyi_dump_finish();
    struct stat status;
    if (fstat(other, &status) != 0 || status.st_size != 0)
        _exit(1);
}

START_TEST(test_finish_falls_back_to_stderr)
{
    expect_report(finish_duplicate_reused);
}
END_TEST

static void finish_all_closed(void)
{
    turn_on();
    close(STDERR_FILENO);
    close_duplicates();
    qyi_dump_finish();
}

START_TEST(test_finish_with_nothing_left_is_silent)
{
    expect_nothing(finish_all_closed);
}
END_TEST

static void finish_started_closed(void)
{
    close(STDERR_FILENO);
    turn_on();
    qyi_dump_finish();
}

START_TEST(test_start_without_stderr_is_silent)
{
    expect_nothing(finish_started_closed);
}
END_TEST

static void finish_few_descriptors(void)
{
    close_duplicates();
    const struct rlimit limit = {.rlim_cur = 10, .rlim_max = 10};
    setrlimit(RLIMIT_NOFILE, &limit);
    turn_on();
    close(STDERR_FILENO);
    qyi_dump_finish();
}

START_TEST(test_start_makes_do_with_few_descriptors)
{
    expect_report(finish_few_descriptors);
}
END_TEST

static void finish_no_descriptors(void)
{
    close_duplicates();
    const struct rlimit limit = {.rlim_cur = 3, .rlim_max = 3};
    setrlimit(RLIMIT_NOFILE, &limit);
    turn_on();
    qyi_dump_finish();
}

START_TEST(test_start_makes_do_without_a_duplicate)
{
    expect_report(finish_no_descriptors);
}
END_TEST

static void the_duplicate_is_not_inherited(void)
{
    turn_on();
    for (int fd = STDERR_FILENO + 1; fd < 300; fd++) {
        struct stat mine;
        struct stat standard;
        if (fstat(fd, &mine) == 0 && fstat(STDERR_FILENO, &standard) == 0 && mine.st_ino == standard.st_ino &&
            mine.st_dev == standard.st_dev && (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
            _exit(1);
    }
}

START_TEST(test_the_duplicate_is_closed_on_exec)
{
    expect_nothing(the_duplicate_is_not_inherited);
}
END_TEST

static void finish_in_both(void)
{
    turn_on();
    const pid_t child = fork();
    if (child == 0) {
        qyi_dump_finish();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    qyi_dump_finish();
}

START_TEST(test_a_forked_child_prints_its_own)
{
    pid_t pid;
    const char *both = run(finish_in_both, &pid);
    ck_assert_uint_eq(occurrences(both, "verdict: "), 2);
    char head[64];
    snprintf(head, sizeof head, " (pid %d)\n", (int)pid);
    ck_assert_uint_eq(occurrences(both, " (pid "), 2);
    ck_assert_uint_eq(occurrences(both, head), 1);
    check_whole_report(strstr(strstr(both, "verdict: "), "quarry 0."), pid); /* the parent's comes second */
}
END_TEST

/* The main thread has ended; what is left of it is waited for by the others' end. */
static bool main_has_left(void)
{
    char status[512];
    const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, status, sizeof status - 1);
    close(fd);
    if (length < 0)
        return true; /* cannot be known */
    status[length] = '\0';
    return strstr(status, ") Z ") != NULL;
}

static void *finish_in_thread(void *unused)
{
    (void)unused;
    while (!main_has_left())
        sched_yield();
    qyi_dump_finish();
    _exit(0);
}

static void leave_main_to_a_thread(void)
{
    turn_on();
    pthread_t thread;
    if (pthread_create(&thread, NULL, finish_in_thread, NULL) == 0)
        pthread_exit(NULL);
    _exit(1);
}

START_TEST(test_a_thread_that_outlives_main_prints)
{
    if (SANITIZED)
        return; /* their own end of main gets in the way */
    expect_report(leave_main_to_a_thread);
    ck_assert_ptr_null(strstr(text, "not known")); /* the main thread's status is empty by now */
}
END_TEST

/* ---- */

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return tests;
}

static Suite *stats_suite(void)
{
    Suite *suite = suite_create("stats");
    TCase *tests = new_case(suite, "numbers");
    tcase_add_test(tests, test_states_sum_to_mapped_from_the_start);
    tcase_add_test(tests, test_live_blocks_are_those_of_the_shadow);
    tcase_add_test(tests, test_freed_blocks_are_cached_until_the_thread_is_idle);
    tcase_add_test(tests, test_flushes_are_counted);
    tcase_add_test(tests, test_large_blocks_follow_realloc);
    tcase_add_test(tests, test_blocks_freed_by_others_are_not_live);
    tcase_add_test(tests, test_blocks_in_a_remote_buffer_are_not_live);
    tcase_add_test(tests, test_ended_threads_leave_their_calls_and_blocks);
    tcase_add_test(tests, test_a_lock_that_nobody_releases_does_not_stop_the_count);
    tcase_add_test(tests, test_states_sum_to_mapped_while_others_allocate);
    tcase_add_test(tests, test_resident_memory_is_told_apart);
    tests = new_case(suite, "report");
    tcase_add_test(tests, test_report_lists_what_was_collected);
    tcase_add_test(tests, test_report_keeps_errno);
    tcase_add_test(tests, test_report_fits_the_smallest_stack);
    tcase_add_test(tests, test_report_is_no_place_to_be_cancelled);
    tcase_add_test(tests, test_reader_that_is_gone_costs_nothing);
    tcase_add_test(tests, test_slow_reader_of_a_pipe_that_does_not_block_gets_all);
    tcase_add_test(tests, test_reports_at_the_same_time_do_not_mix);
    tcase_add_test(tests, test_report_does_without_proc);
    tests = new_case(suite, "verdict");
    tcase_add_test(tests, test_verdict_live);
    tcase_add_test(tests, test_verdict_fragmentation);
    tcase_add_test(tests, test_verdict_waiting_to_be_purged);
    tcase_add_test(tests, test_verdict_magazines);
    tcase_add_test(tests, test_verdict_of_several_kinds_of_waste_names_the_largest);
    tcase_add_test(tests, test_verdict_not_ours);
    tcase_add_test(tests, test_verdict_peak_gone);
    tcase_add_test(tests, test_verdict_small);
    tcase_add_test(tests, test_verdict_of_memory_that_is_not_touched);
    tcase_add_test(tests, test_verdict_records);
    tcase_add_test(tests, test_verdict_without_knowing_what_is_ours);
    tcase_add_test(tests, test_verdict_of_nothing);
    tests = new_case(suite, "exit");
    tcase_add_test(tests, test_finish_prints_once);
    tcase_add_test(tests, test_finish_prints_nothing_unless_asked);
    tcase_add_test(tests, test_finish_survives_a_closed_stderr);
    tcase_add_test(tests, test_finish_survives_a_closed_duplicate);
    tcase_add_test(tests, test_finish_does_not_write_into_files_of_the_program);
    tcase_add_test(tests, test_finish_falls_back_to_stderr);
    tcase_add_test(tests, test_finish_with_nothing_left_is_silent);
    tcase_add_test(tests, test_start_without_stderr_is_silent);
    tcase_add_test(tests, test_start_makes_do_with_few_descriptors);
    tcase_add_test(tests, test_start_makes_do_without_a_duplicate);
    tcase_add_test(tests, test_the_duplicate_is_closed_on_exec);
    tcase_add_test(tests, test_a_forked_child_prints_its_own);
    tcase_add_test(tests, test_a_thread_that_outlives_main_prints);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(stats_suite());
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

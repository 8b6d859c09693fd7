/*
 * test_report.c: what a report says, and whoever reads it.
 */
#include "unit_report.h"

#include "alloc.h"

#include "quarry/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static void setup(void)
{
    ck_assert(qyi_start());
}

START_TEST(test_report_lists_what_was_collected)
{
    void *large = qyi_malloc(5 * QYI_MIB);
    void *small[30];
    for (unsigned i = 0; i < 30; i++)
        small[i] = qyi_malloc(49152);
    static struct qyi_stats now;
    qyi_stats_collect(&now);
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

START_TEST(test_report_has_pools_if_there_are_any)
{
    static struct qyi_stats now;
    qyi_stats_collect(&now);
    ck_assert_ptr_null(line_of(report_of(&now), "pools "));
    qy_pool *pool = qy_pool_new(&(struct qy_pool_attr){.object_bytes = 100});
    void *objects[3];
    for (unsigned i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(objects[i] = qy_pool_acquire(pool));
    qy_pool_release(pool, objects[2]);
    qyi_stats_collect(&now);
    const char *report = report_of(&now);
    ck_assert_ptr_nonnull(line_of(report, "pools "));
    ck_assert_uint_eq(number_after(report, "  pools "), 1);
    ck_assert_uint_ge(number_after(report, "  objects "), 3);
    ck_assert_uint_eq(number_after(report, "    in use "), 2);
    ck_assert_uint_eq(number_after(report, "    high water "), 3);
    ck_assert_uint_ge(number_after(report, "  misses "), 3);
    ck_assert_uint_eq(number_after(report, "  waits "), 0);
    qy_pool_release_bulk(pool, objects, 2);
    qy_pool_destroy(pool);
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
    if (UNIT_SANITIZED)
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

/* ---- */

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tests = tcase_create("report");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_report_lists_what_was_collected);
    tcase_add_test(tests, test_report_has_pools_if_there_are_any);
    tcase_add_test(tests, test_report_keeps_errno);
    tcase_add_test(tests, test_report_fits_the_smallest_stack);
    tcase_add_test(tests, test_report_is_no_place_to_be_cancelled);
    tcase_add_test(tests, test_reader_that_is_gone_costs_nothing);
    tcase_add_test(tests, test_slow_reader_of_a_pipe_that_does_not_block_gets_all);
    tcase_add_test(tests, test_reports_at_the_same_time_do_not_mix);
    tcase_add_test(tests, test_report_does_without_proc);
    return unit_run(suite);
}

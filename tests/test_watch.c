/*
 * test_watch.c: dumps at the end, while the process runs, and from several threads at once.
 *
 * Every test has a folder of its own, and every case runs in a child, since options are read and threads started once per process.
 */
#define _GNU_SOURCE 1

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "dump.h"
#include "options.h"
#include "reclaim.h"
#include "unit.h"
#include "watch.h"

static char folder[] = "/tmp/test_watch.XXXXXX";

static void enter_folder(void)
{
    strcpy(folder, "/tmp/test_watch.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void leave_folder(void)
{
    char command[64];
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

/* Time is not asserted: a minute is for machines that are busy beyond reason. */
static void await(const char *name)
{
    for (unsigned i = 0; i < 6000 && !exists(name); i++)
        usleep(10000);
    require(exists(name));
}

static const char *contents(const char *name)
{
    static char text[1 << 16];
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    require(length >= 0);
    text[length] = '\0';
    return text;
}

static void require_whole(const char *name, const char *reason)
{
    char word[64];
    const char *text = contents(name);
    snprintf(word, sizeof word, "\"reason\":\"%s\"", reason);
    require(strncmp(text, "{\"schema\":\"quarry.stats\"", 24) == 0);
    require(strcmp(text + strlen(text) - 2, "}\n") == 0);
    require(strstr(text, word) != NULL);
}

static int status_of(void (*body)(void))
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void start(const char *path)
{
    qyi_options.stats = QYI_STATS_JSON;
    qyi_options.stats_path = path;
    require(qyi_start());
    qyi_dump_start();
    qyi_watch_start();
}

/* ---- one at a time ---- */

static void dump_and_finish(void)
{
    struct qyi_output_key key;
    start("%n.%r");
    require(qyi_dump("http", &key));
    require(key.number == 1 && key.pid == getpid() && strcmp(key.reason, "http") == 0);
    require_whole("1.http", "http");
    qyi_dump_finish();
    require_whole("2.exit", "exit");
    qyi_dump_finish();
    require(!qyi_dump("http", NULL)); /* the last one has been */
    require(!exists("3.http") && !exists("3.exit"));
}

START_TEST(test_the_report_at_exit_is_the_last_and_the_only_one)
{
    ck_assert_int_eq(status_of(dump_and_finish), 0);
}
END_TEST

static void dump_unasked(void)
{
    qyi_options.stats = QYI_STATS_OFF;
    require(qyi_start());
    qyi_dump_start();
    qyi_watch_start();
    require(!qyi_dump("http", NULL));
    qyi_dump_finish();
}

START_TEST(test_nothing_is_written_unless_asked)
{
    ck_assert_int_eq(status_of(dump_unasked), 0);
}
END_TEST

enum { DUMPERS = 4, DUMPS = 10 };

static void *dump_often(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < DUMPS; i++) {
        require(qyi_dump("http", NULL));
        qyi_free(qyi_malloc(1000 + i));
    }
    return NULL;
}

static void dump_together(void)
{
    pthread_t threads[DUMPERS];
    char name[32];
    start("d.%n");
    for (unsigned i = 0; i < DUMPERS; i++)
        require(pthread_create(&threads[i], NULL, dump_often, NULL) == 0);
    for (unsigned i = 0; i < DUMPERS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 1; i <= DUMPERS * DUMPS; i++) {
        snprintf(name, sizeof name, "d.%u", i);
        require_whole(name, "http");
    }
}

START_TEST(test_dumps_of_several_threads_are_whole)
{
    ck_assert_int_eq(status_of(dump_together), 0);
}
END_TEST

/* A fork in the middle of others' dumps leaves a lock behind that nobody would release. */
static void fork_meanwhile(void)
{
    pthread_t thread;
    start("f.%p.%n");
    require(pthread_create(&thread, NULL, dump_often, NULL) == 0);
    for (unsigned i = 0; i < 5; i++) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            require(qyi_dump("http", NULL));
            char name[32];
            snprintf(name, sizeof name, "f.%d.1", (int)getpid());
            require_whole(name, "http");
            _exit(0);
        }
        int status;
        require(waitpid(child, &status, 0) == child && status == 0);
    }
    pthread_join(thread, NULL);
}

START_TEST(test_a_child_forked_in_the_middle_of_a_dump_dumps)
{
    if (UNIT_TSAN)
        return; /* it does not let a process with threads fork and go on */
    ck_assert_int_eq(status_of(fork_meanwhile), 0);
}
END_TEST

/* ---- the thread ---- */

static void tick_twice(void)
{
    qyi_options.stats_interval_s = 1;
    start("t.%n.%r");
    await("t.2.interval");
    require_whole("t.1.interval", "interval");
    require_whole("t.2.interval", "interval");
}

START_TEST(test_intervals)
{
    ck_assert_int_eq(status_of(tick_twice), 0);
}
END_TEST

static void be_signalled(void)
{
    char name[32];
    qyi_options.stats_signal = SIGUSR2;
    start("s.%n.%r");
    for (unsigned i = 1; i <= 3; i++) {
        raise(SIGUSR2);
        snprintf(name, sizeof name, "s.%u.signal", i);
        await(name);
        require_whole(name, "signal");
    }
}

START_TEST(test_a_signal_makes_a_dump_each_time)
{
    ck_assert_int_eq(status_of(be_signalled), 0);
}
END_TEST

static void be_ended(void)
{
    qyi_options.stats_signal = SIGHUP; /* number 1 */
    start("e");
    raise(SIGHUP);
    for (;;)
        pause();
}

START_TEST(test_a_signal_that_ends_a_process_does_so_after_the_dump)
{
    const int status = status_of(be_ended);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
    require_whole("e", "signal");
}
END_TEST

static void be_ended_in_a_child(void)
{
    signal(SIGTERM, SIG_DFL); /* libcheck has a handler */
    qyi_options.stats_signal = SIGTERM;
    start("e");
    const pid_t child = fork(); /* without a thread */
    if (child == 0) {
        raise(SIGTERM);
        _exit(0);
    }
    int status;
    require(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

START_TEST(test_a_child_without_a_thread_ends_at_once)
{
    if (UNIT_TSAN)
        return; /* as above */
    ck_assert_int_eq(status_of(be_ended_in_a_child), 0);
}
END_TEST

static void ignore_the_signal(void)
{
    signal(SIGUSR2, SIG_IGN);
    qyi_options.stats_signal = SIGUSR2;
    dup2(open("message", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), STDERR_FILENO);
    start("i");
    struct sigaction action;
    require(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    require(strstr(contents("message"), "stats_signal: the signal is ignored or handled already") != NULL);
}

START_TEST(test_a_signal_that_is_ignored_stays_so)
{
    ck_assert_int_eq(status_of(ignore_the_signal), 0);
}
END_TEST

/* More by steps, of which each is a peak; then less, and the same again, which are none. */
static void climb(void)
{
    enum { STEPS = 6 };
    void *blocks[STEPS];
    char name[32];
    qyi_options.stats_peak = true;
    qyi_options.stats_files = 2;
    start("p.%n");
    for (unsigned i = 0; i < STEPS; i++) {
        blocks[i] = qyi_malloc(6 * QYI_MIB);
        snprintf(name, sizeof name, "p.%u", i + 1);
        await(name);
        require_whole(name, "peak");
    }
    for (unsigned i = 0; i < STEPS; i++)
        qyi_free(blocks[i]);
    qyi_reclaim_all();
    for (unsigned i = 0; i < STEPS; i++)
        blocks[i] = qyi_malloc(6 * QYI_MIB);
    usleep(500000);
    require(!exists("p.7"));
    for (unsigned i = 0; i < STEPS; i++) {
        snprintf(name, sizeof name, "p.%u", i + 1);
        require(exists(name) == (i >= STEPS - 2)); /* the latest stay */
        qyi_free(blocks[i]);
    }
}

START_TEST(test_peaks_are_dumped_once_and_the_latest_stay)
{
    ck_assert_int_eq(status_of(climb), 0);
}
END_TEST

static Suite *watch_suite(void)
{
    Suite *suite = suite_create("watch");
    TCase *tests = tcase_create("watch");
    tcase_add_checked_fixture(tests, enter_folder, leave_folder);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_the_report_at_exit_is_the_last_and_the_only_one);
    tcase_add_test(tests, test_nothing_is_written_unless_asked);
    tcase_add_test(tests, test_dumps_of_several_threads_are_whole);
    tcase_add_test(tests, test_a_child_forked_in_the_middle_of_a_dump_dumps);
    tcase_add_test(tests, test_intervals);
    tcase_add_test(tests, test_a_signal_makes_a_dump_each_time);
    tcase_add_test(tests, test_a_signal_that_ends_a_process_does_so_after_the_dump);
    tcase_add_test(tests, test_a_child_without_a_thread_ends_at_once);
    tcase_add_test(tests, test_a_signal_that_is_ignored_stays_so);
    tcase_add_test(tests, test_peaks_are_dumped_once_and_the_latest_stay);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    return unit_run(watch_suite());
}

/*
 * test_dump.c: the report at the end of a process, whatever has become of its descriptors, threads and children.
 */
#include "unit_report.h"

#include "dump.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void setup(void)
{
    ck_assert(qyi_start());
}

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
    if (UNIT_SANITIZED)
        return; /* their own end of main gets in the way */
    expect_report(leave_main_to_a_thread);
    ck_assert_ptr_null(strstr(text, "not known")); /* the main thread's status is empty by now */
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("dump");
    TCase *tests = tcase_create("exit");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
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
    return unit_run(suite);
}

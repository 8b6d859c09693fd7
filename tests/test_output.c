/*
 * test_output.c: how outputs are named, made and put in place; strings in JSON; the limit of a control group.
 *
 * Every test has a folder of its own, which is the working directory.
 */
#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "json.h"
#include "output.h"
#include "text.h"
#include "unit.h"

static char folder[] = "/tmp/test_output.XXXXXX";
static char program[] = "program";

static void enter_folder(void)
{
    strcpy(folder, "/tmp/test_output.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    program_invocation_short_name = program;
    ck_assert(qyi_start());
}

/* Without help of a shell: all that tests put there is one level deep. */
static void leave_folder(void)
{
    char command[64];
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static const char *contents(const char *name)
{
    static char text[8192];
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    if (length < 0)
        return NULL;
    text[length] = '\0';
    return text;
}

/* One output with this text. */
static bool put_out(const char *pattern, const char *reason, const char *text)
{
    struct qyi_output output;
    errno = EDOM;
    if (!qyi_output_open(&output, pattern, reason)) {
        ck_assert_int_eq(errno, EDOM);
        return false;
    }
    const bool whole = write(output.fd, text, strlen(text)) == (ssize_t)strlen(text);
    output.error = whole ? 0 : errno;
    errno = EDOM;
    const bool there = qyi_output_commit(&output, whole);
    ck_assert_int_eq(errno, EDOM);
    return there;
}

/* What body says on standard error, in a child. */
static const char *said(void (*body)(void))
{
    static char text[16384];
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    text[length] = '\0';
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x: %s", status, text);
    return text;
}

/* ---- names ---- */

static const char *name_of(const char *pattern)
{
    static char name[PATH_MAX];
    const struct qyi_output_key key = {.reason = "exit", .number = 7, .time_s = 1234567890, .pid = getpid()};
    return qyi_output_name(name, sizeof name, pattern, &key) != 0 ? name : NULL;
}

START_TEST(test_every_letter_of_a_pattern)
{
    char wanted[PATH_MAX];
    struct utsname machine;
    uname(&machine);
    qyi_output_start();
    snprintf(wanted, sizeof wanted, "/x/program.%d.7.%s.1234567890.exit.%%.end", (int)getpid(), machine.nodename);
    ck_assert_str_eq(name_of("/x/%e.%p.%n.%h.%t.%r.%%.end"), wanted);
    ck_assert_str_eq(name_of("plain"), "plain");
    ck_assert_str_eq(name_of("%n%n"), "77");
    ck_assert_str_eq(name_of("%"), "%"); /* the options refuse it */
}
END_TEST

START_TEST(test_names_from_outside_stay_in_their_folder)
{
    static const char *const names[][2] = {{"..", "_."},
                                           {"../../etc/passwd", "_./../etc/passwd"},
                                           {"a\n\x1b[31m/b", "a__[31m_b"},
                                           {".hidden", "_hidden"},
                                           {"%p%n", "%p%n"},
                                           {"", ""}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char evil[64];
        char wanted[64];
        strcpy(evil, names[i][0]);
        strcpy(wanted, names[i][1]);
        for (char *c = wanted; *c != '\0'; c++)
            *c = *c == '/' ? '_' : *c;
        program_invocation_short_name = evil; /* not remembered yet, so it counts as it is */
        ck_assert_str_eq(name_of("%e.x") == NULL ? "" : name_of("%e.x"), strcat(wanted, ".x"));
    }
}
END_TEST

START_TEST(test_the_program_is_called_what_it_was_called_at_start)
{
    char name[] = "before";
    program_invocation_short_name = name;
    qyi_output_start();
    memcpy(name, "behind", sizeof name); /* as programs do that change what ps shows */
    ck_assert_str_eq(qyi_output_program(), "before");
    ck_assert_str_eq(name_of("%e"), "before");
}
END_TEST

START_TEST(test_names_that_are_too_long_are_refused)
{
    char pattern[PATH_MAX + 100];
    memset(pattern, 'a', sizeof pattern);
    pattern[PATH_MAX - 1] = '\0';
    ck_assert_ptr_nonnull(name_of(pattern));
    pattern[PATH_MAX - 1] = 'a';
    pattern[PATH_MAX] = '\0';
    ck_assert_ptr_null(name_of(pattern));
    strcpy(pattern + PATH_MAX - 3, "%r");
    ck_assert_ptr_null(name_of(pattern));
    qyi_output_start();
    ck_assert(!put_out(pattern, "exit", "x"));
    pattern[PATH_MAX] = '\0';
    ck_assert_ptr_null(qyi_output_keep(pattern));
}
END_TEST

START_TEST(test_a_kept_pattern_is_absolute_and_a_copy)
{
    char pattern[] = "%e.json";
    char wanted[PATH_MAX];
    ck_assert_int_eq(mkdir("100%p", 0700), 0);
    ck_assert_int_eq(chdir("100%p"), 0);
    qyi_output_start();
    const char *kept = qyi_output_keep(pattern);
    const char *absolute = qyi_output_keep("/x/%p");
    memset(pattern, 'x', sizeof pattern - 1);
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(wanted, sizeof wanted, "%s/100%%p/program.json", folder); /* the folder's own % stands for itself */
    ck_assert_str_eq(name_of(kept), wanted);
    ck_assert_str_eq(absolute, "/x/%p");
    ck_assert(put_out(kept, "exit", "text"));
    ck_assert_str_eq(contents(wanted), "text");
}
END_TEST

static void name_in_child(void)
{
    char name[PATH_MAX];
    char wanted[PATH_MAX];
    const struct qyi_output_key key = {.reason = "exit", .number = 1, .pid = getpid()};
    require(qyi_output_name(name, sizeof name, "a.%n", &key) != 0);
    snprintf(wanted, sizeof wanted, "a.1.%d", (int)getpid());
    require(strcmp(name, wanted) == 0);
    require(qyi_output_name(name, sizeof name, "a.%p", &key) != 0);
    snprintf(wanted, sizeof wanted, "a.%d", (int)getpid());
    require(strcmp(name, wanted) == 0);
}

START_TEST(test_a_forked_child_has_names_of_its_own)
{
    qyi_output_start();
    ck_assert_str_eq(said(name_in_child), "");
    ck_assert_str_eq(name_of("a.%n"), "a.7");
}
END_TEST

static void put_out_in_child(void)
{
    require(put_out("same", "exit", "child"));
    require(put_out("n.%p.%n", "exit", "child"));
}

START_TEST(test_a_forked_child_does_not_overwrite_its_parents_file)
{
    qyi_output_start();
    ck_assert(put_out("same", "exit", "parent"));
    ck_assert(put_out("n.%p.%n", "exit", "parent"));
    ck_assert_str_eq(said(put_out_in_child), "");
    ck_assert_str_eq(contents("same"), "parent");
    ck_assert(put_out("n.%p.%n", "exit", "parent"));
    ck_assert_str_eq(contents(name_of("n.%p.2") /* the child's count is its own */), "parent");
}
END_TEST

START_TEST(test_outputs_are_counted_by_pattern)
{
    char name[64];
    qyi_output_start();
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert(put_out("a.%n", "exit", "a"));
        ck_assert(put_out("b.%n", "exit", "b"));
        snprintf(name, sizeof name, "a.%u", i);
        ck_assert_str_eq(contents(name), "a");
        snprintf(name, sizeof name, "b.%u", i);
        ck_assert_str_eq(contents(name), "b");
    }
}
END_TEST

/* ---- files ---- */

START_TEST(test_a_file_is_for_its_owner_alone_and_appears_whole)
{
    struct qyi_output output;
    struct stat status;
    umask(0);
    qyi_output_start();
    write_file("out", "old");
    ck_assert(qyi_output_open(&output, "out", "exit"));
    ck_assert_int_ge(output.fd, 100); /* out of the program's way */
    ck_assert_int_eq(fcntl(output.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(write(output.fd, "new", 3), 3);
    ck_assert_str_eq(contents("out"), "old");
    ck_assert(qyi_output_commit(&output, true));
    ck_assert_str_eq(contents("out"), "new");
    ck_assert_int_eq(stat("out", &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(fcntl(output.fd, F_GETFD), -1);
}
END_TEST

START_TEST(test_a_file_that_is_not_whole_goes_away)
{
    struct qyi_output output;
    qyi_output_start();
    write_file("out", "old");
    ck_assert(qyi_output_open(&output, "out", "exit"));
    ck_assert(!qyi_output_commit(&output, false));
    ck_assert_str_eq(contents("out"), "old");
    ck_assert_int_eq(unlink("out"), 0);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else is left */
    ck_assert_int_eq(mkdir(folder, 0700), 0);
}
END_TEST

START_TEST(test_links_are_replaced_and_not_followed)
{
    struct stat status;
    qyi_output_start();
    write_file("victim", "precious");
    ck_assert_int_eq(symlink("victim", "out"), 0);
    ck_assert(put_out("out", "exit", "report"));
    ck_assert_str_eq(contents("victim"), "precious");
    ck_assert_int_eq(lstat("out", &status), 0);
    ck_assert(S_ISREG(status.st_mode));
    ck_assert_str_eq(contents("out"), "report");
}
END_TEST

START_TEST(test_a_trap_under_the_temporary_name_is_not_touched)
{
    char name[64];
    qyi_output_start();
    write_file("victim", "precious");
    snprintf(name, sizeof name, "out.tmp-%d", (int)getpid());
    ck_assert_int_eq(symlink("victim", name), 0);
    ck_assert(put_out("out", "exit", "report"));
    ck_assert_str_eq(contents("victim"), "precious");
    ck_assert_str_eq(contents("out"), "report");
    ck_assert_str_eq(contents(name), "precious");
}
END_TEST

static void try_names(void)
{
    char name[64];
    qyi_output_start();
    require(mkdir("folder", 0700) == 0 && mkfifo("pipe", 0600) == 0);
    require(!put_out("folder", "exit", "x"));
    require(!put_out("pipe", "exit", "x"));
    require(!put_out("/dev/null", "exit", "x"));
    require(!put_out("nowhere/out", "exit", "x"));
    write_file("file", "");
    require(!put_out("file/out", "exit", "x"));
    snprintf(name, sizeof name, "taken.tmp-%d", (int)getpid());
    write_file(name, "");
    for (unsigned i = 1; i < 8; i++) {
        snprintf(name, sizeof name, "taken.tmp-%d-%u", (int)getpid(), i);
        write_file(name, "");
    }
    require(!put_out("taken", "exit", "x"));
    require(put_out("fine", "exit", "x"));
}

START_TEST(test_failures_are_told_in_a_line_that_names_the_path)
{
    struct stat status;
    ck_assert_str_eq(said(try_names),
                     "quarry: cannot write folder: it is a directory\n"
                     "quarry: cannot write pipe: it is not an ordinary file\n"
                     /* /dev/null is refused for the same reason: once is enough */
                     "quarry: cannot write nowhere/out: there is no such directory\n"
                     "quarry: cannot write file/out: part of the path is not a directory\n"
                     "quarry: cannot write taken: the names for the time of writing (.tmp-PID) are all taken\n");
    ck_assert_int_eq(stat("/dev/null", &status), 0);
    ck_assert(S_ISCHR(status.st_mode));
}
END_TEST

static void exceed_the_limit(void)
{
    const struct rlimit limit = {.rlim_cur = 2, .rlim_max = 2};
    struct qyi_text_guard guard;
    char letters[10] = "";
    struct qyi_output output;
    qyi_output_start();
    write_file("out", "ol");
    setrlimit(RLIMIT_FSIZE, &limit);
    require(qyi_output_open(&output, "out", "exit"));
    struct qyi_text text = {.start = letters, .capacity = sizeof letters, .fd = output.fd};
    qyi_text_guard(&guard);
    qyi_put(&text, "many letters, more than two");
    qyi_text_flush(&text);
    qyi_text_unguard(&guard, &text);
    require(text.failed && text.error == EFBIG);
    output.error = text.error;
    require(!qyi_output_commit(&output, !text.failed));
    require(strcmp(contents("out"), "ol") == 0);
}

START_TEST(test_what_does_not_fit_leaves_the_old_file)
{
    ck_assert_str_eq(said(exceed_the_limit), "quarry: cannot write out: it would be larger than the limit for files\n");
}
END_TEST

static void have_hostile_path(void)
{
    qyi_output_start();
    require(!put_out("no\n\x1b[2J/out", "exit", "x"));
}

START_TEST(test_control_characters_stay_out_of_messages)
{
    ck_assert_str_eq(said(have_hostile_path), "quarry: cannot write no??[2J/out: there is no such directory\n");
}
END_TEST

START_TEST(test_outputs_at_the_same_time_have_files_of_their_own)
{
    struct qyi_output first;
    struct qyi_output second;
    qyi_output_start();
    ck_assert(qyi_output_open(&first, "out", "exit"));
    ck_assert(qyi_output_open(&second, "out", "exit"));
    ck_assert_int_eq(write(first.fd, "first", 5), 5);
    ck_assert_int_eq(write(second.fd, "second", 6), 6);
    ck_assert(qyi_output_commit(&second, true));
    ck_assert_str_eq(contents("out"), "second");
    ck_assert(qyi_output_commit(&first, true));
    ck_assert_str_eq(contents("out"), "first");
}
END_TEST

static struct qyi_output half_done;

static void end_the_parents(void)
{
    require(!qyi_output_commit(&half_done, true));
}

START_TEST(test_a_forked_child_leaves_what_its_parent_has_begun)
{
    qyi_output_start();
    ck_assert(qyi_output_open(&half_done, "out", "exit"));
    ck_assert_str_eq(said(end_the_parents), "");
    ck_assert_ptr_null(contents("out"));
    ck_assert_int_eq(write(half_done.fd, "parent", 6), 6);
    ck_assert(qyi_output_commit(&half_done, true));
    ck_assert_str_eq(contents("out"), "parent");
}
END_TEST

START_TEST(test_removing_takes_the_file_of_that_key)
{
    struct qyi_output output;
    qyi_output_start();
    ck_assert(qyi_output_open(&output, "%r.%n", "peak"));
    ck_assert(qyi_output_commit(&output, true));
    ck_assert(put_out("%r.%n", "peak", "second"));
    ck_assert_str_eq(contents("peak.1"), "");
    qyi_output_remove("%r.%n", &output.key);
    ck_assert_ptr_null(contents("peak.1"));
    ck_assert_str_eq(contents("peak.2"), "second");
}
END_TEST

/* ---- strings in JSON ---- */

static const char *json_of(const char *string)
{
    static char buffer[256];
    struct qyi_text text = {.start = buffer, .capacity = sizeof buffer - 1, .fd = -1};
    qyi_json_put_string(&text, string);
    require(!text.failed);
    buffer[text.length] = '\0';
    return buffer;
}

START_TEST(test_strings_in_json_are_utf8_whatever_comes_in)
{
    static const char *const cases[][2] = {
        {"relay", "\"relay\""},
        {"", "\"\""},
        {"a\"b\\c\n\x1b\x7f", "\"a\\u0022b\\u005cc\\u000a\\u001b\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\""},
        {"\xff\xfe", "\"\\ufffd\\ufffd\""},
        {"\xc3", "\"\\ufffd\""},                                  /* cut off */
        {"\xc3(", "\"\\ufffd(\""},                                /* not what follows */
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},                       /* longer than needed */
        {"\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\""},            /* the same */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},            /* half of a pair */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* beyond the last */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(json_of(cases[i][0]), cases[i][1]);
}
END_TEST

/* ---- control groups ---- */

static void limit_group(const char *group, const char *max, const char *current)
{
    char name[PATH_MAX];
    mkdir(group, 0700);
    snprintf(name, sizeof name, "%s/memory.max", group);
    write_file(name, max);
    snprintf(name, sizeof name, "%s/memory.current", group);
    write_file(name, current);
}

START_TEST(test_the_tightest_limit_of_a_group_and_those_above_counts)
{
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0); /* nothing there */
    write_file("membership", "1:name=systemd:/elsewhere\n0::/a/b\n");
    mkdir("mount", 0700);
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
    limit_group("mount/a", "max\n", "5000\n");
    limit_group("mount/a/b", "max\n", "700\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
    limit_group("mount/a/b", "1000\n", "700\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 70);
    limit_group("mount/a", "6000\n", "5000\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 83);
    limit_group("mount", "5100\n", "5000\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 98);
    write_file("membership", "0::/\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 98);
    limit_group("mount", "18446744073709551614\n", "5000\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
    limit_group("mount", "0\n", "5000\n");
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
}
END_TEST

START_TEST(test_memberships_that_make_no_sense_are_no_limit)
{
    char path[PATH_MAX + 8] = "0::/";
    static const char *const texts[] = {"", "\n", "0::", "0::/a", "1:memory:/a\n", "garbage", "0::a\n"};
    limit_group("mount", "1000\n", "999\n");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file("membership", texts[i]);
        ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
    }
    memset(path + 4, 'a', PATH_MAX - 20);
    strcpy(path + PATH_MAX - 16, "\n");
    write_file("membership", path);
    ck_assert_uint_eq(qyi_cgroup_percent("membership", "mount"), 0);
}
END_TEST

static TCase *new_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, enter_folder, leave_folder);
    suite_add_tcase(suite, tests);
    return tests;
}

static Suite *output_suite(void)
{
    Suite *suite = suite_create("output");
    TCase *tests = new_case(suite, "names");
    tcase_add_test(tests, test_every_letter_of_a_pattern);
    tcase_add_test(tests, test_names_from_outside_stay_in_their_folder);
    tcase_add_test(tests, test_the_program_is_called_what_it_was_called_at_start);
    tcase_add_test(tests, test_names_that_are_too_long_are_refused);
    tcase_add_test(tests, test_a_kept_pattern_is_absolute_and_a_copy);
    tcase_add_test(tests, test_a_forked_child_has_names_of_its_own);
    tcase_add_test(tests, test_a_forked_child_does_not_overwrite_its_parents_file);
    tcase_add_test(tests, test_outputs_are_counted_by_pattern);
    tests = new_case(suite, "files");
    tcase_add_test(tests, test_a_file_is_for_its_owner_alone_and_appears_whole);
    tcase_add_test(tests, test_a_file_that_is_not_whole_goes_away);
    tcase_add_test(tests, test_links_are_replaced_and_not_followed);
    tcase_add_test(tests, test_a_trap_under_the_temporary_name_is_not_touched);
    tcase_add_test(tests, test_failures_are_told_in_a_line_that_names_the_path);
    tcase_add_test(tests, test_what_does_not_fit_leaves_the_old_file);
    tcase_add_test(tests, test_control_characters_stay_out_of_messages);
    tcase_add_test(tests, test_outputs_at_the_same_time_have_files_of_their_own);
    tcase_add_test(tests, test_a_forked_child_leaves_what_its_parent_has_begun);
    tcase_add_test(tests, test_removing_takes_the_file_of_that_key);
    tests = new_case(suite, "json");
    tcase_add_test(tests, test_strings_in_json_are_utf8_whatever_comes_in);
    tests = new_case(suite, "cgroup");
    tcase_add_test(tests, test_the_tightest_limit_of_a_group_and_those_above_counts);
    tcase_add_test(tests, test_memberships_that_make_no_sense_are_no_limit);
    return suite;
}

int main(void)
{
    return unit_run(output_suite());
}

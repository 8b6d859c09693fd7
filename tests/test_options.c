/*
 * test_options.c: what QUARRY_STATS, QUARRY_ONLY and QUARRY_OPTIONS do to the options, and what is said about mistakes.
 *
 * Every case reads the environment in a child of its own, which hands back the options through shared memory and its
 * standard error through a pipe. A malloc of the child's that is called meanwhile ends it: reading must not allocate.
 */
#define _GNU_SOURCE 1

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"

static const uint32_t NEVER = UINT32_MAX;

enum { EXIT_ALLOCATED = 99, EXIT_NOT_SECURE = 77 };

/* Sanitizers bring a malloc of their own, which must be the only one. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t size);

static volatile sig_atomic_t allocation_ends_process;

void *malloc(size_t size)
{
    if (allocation_ends_process)
        _exit(EXIT_ALLOCATED);
    return __libc_malloc(size);
}
#else
static volatile sig_atomic_t allocation_ends_process;
#endif

static struct qyi_options *child_options; /* shared with the children */
static char child_errors[16384];

static void map_child_options(void)
{
    child_options = mmap(NULL, sizeof *child_options, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(child_options, MAP_FAILED);
}

static void unmap_child_options(void)
{
    munmap(child_options, sizeof *child_options);
}

static void set_or_unset(const char *name, const char *value)
{
    if (value != NULL)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static _Noreturn void be_child(int errors)
{
    dup2(errors, STDERR_FILENO);
    errno = EXDEV;
    allocation_ends_process = 1;
    qyi_options_read();
    allocation_ends_process = 0;
    *child_options = qyi_options;
    _exit(errno == EXDEV ? EXIT_SUCCESS : EXIT_FAILURE);
}

static char child_name[] = "program";

/* Read the options in a child of that name; NULL is an unset variable. Leaves child_options and child_errors. */
static void read_in_child(const char *only, const char *stats, const char *list)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    set_or_unset("QUARRY_ONLY", only);
    set_or_unset("QUARRY_STATS", stats);
    set_or_unset("QUARRY_OPTIONS", list);
    program_invocation_short_name = child_name;

    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        be_child(ends[1]);
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(ends[0], child_errors + length, sizeof child_errors - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    child_errors[length] = '\0';

    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the child ended by a signal");
    ck_assert_msg(WEXITSTATUS(status) != EXIT_ALLOCATED, "reading the options called malloc");
    ck_assert_msg(WEXITSTATUS(status) == EXIT_SUCCESS, "reading the options changed errno");
}

static void read_list(const char *list)
{
    read_in_child(NULL, NULL, list);
}

static void assert_silent(void)
{
    ck_assert_str_eq(child_errors, "");
}

static bool are_defaults(const struct qyi_options *options)
{
    return !options->stats && !options->background && options->deepbind_drop && !options->verbose &&
           options->thp == QYI_THP_DEFAULT && options->purge_delay_ms == 500 && options->stats_interval_s == 0 &&
           !options->stats_peak && options->stats_files == 16 && options->stats_cgroup == 0 &&
           options->stats_signal == 0;
}

START_TEST(test_defaults_hold_before_reading)
{
    ck_assert(are_defaults(&qyi_options));
}
END_TEST

START_TEST(test_defaults_hold_without_variables)
{
    read_in_child(NULL, NULL, NULL);
    ck_assert(are_defaults(child_options));
    assert_silent();
}
END_TEST

START_TEST(test_empty_variables_are_unset_ones)
{
    read_in_child("", "", "");
    ck_assert(are_defaults(child_options));
    assert_silent();
    read_in_child("", "1", ",,");
    ck_assert(child_options->stats);
    assert_silent();
}
END_TEST

/* QUARRY_STATS */

START_TEST(test_stats_values)
{
    static const struct {
        const char *value;
        bool on;
    } cases[] = {{"1", true}, {"text", true}, {"0", false}, {"", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_in_child(NULL, cases[i].value, NULL);
        ck_assert_msg(child_options->stats == cases[i].on, "QUARRY_STATS=%s", cases[i].value);
        assert_silent();
    }
}
END_TEST

START_TEST(test_stats_bad_value_is_named_once)
{
    read_in_child(NULL, "loud", "verbose");
    ck_assert_str_eq(child_errors,
                     "quarry: QUARRY_STATS: bad value 'loud' (0, 1, text, json or prom, and :PATH for a file)\n");
    ck_assert(!child_options->stats);
    ck_assert(child_options->verbose);
}
END_TEST

START_TEST(test_stats_formats_and_paths)
{
    static const struct {
        const char *value;
        enum qyi_stats_format format;
        const char *path;
    } cases[] = {{"1:a", QYI_STATS_TEXT, "a"},
                 {"text", QYI_STATS_TEXT, NULL},
                 {"text:/tmp/%e.%p", QYI_STATS_TEXT, "/tmp/%e.%p"},
                 {"json", QYI_STATS_JSON, NULL},
                 {"json:a:b", QYI_STATS_JSON, "a:b"},
                 {"prom", QYI_STATS_PROM, NULL},
                 {"prom:%p%e%h%t%n%r%%", QYI_STATS_PROM, "%p%e%h%t%n%r%%"},
                 {"0:a", QYI_STATS_OFF, "a"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_in_child(NULL, cases[i].value, NULL);
        assert_silent();
        ck_assert_msg(child_options->stats == cases[i].format, "QUARRY_STATS=%s", cases[i].value);
        ck_assert_int_eq(child_options->stats_path != NULL, cases[i].path != NULL);
        if (cases[i].path != NULL) /* the child's environment is where the parent's is */
            ck_assert_str_eq(child_options->stats_path, cases[i].path);
    }
}
END_TEST

START_TEST(test_stats_bad_paths)
{
    static const char *const cases[][2] = {
        {"json:", "quarry: QUARRY_STATS: bad value 'json:' (there is no path after the colon)\n"},
        {"json:a%q", "quarry: QUARRY_STATS: bad value 'json:a%q' (after a % comes p, e, h, t, n, r or %)\n"},
        {"text:a%", "quarry: QUARRY_STATS: bad value 'text:a%' (after a % comes p, e, h, t, n, r or %)\n"},
        {":a", "quarry: QUARRY_STATS: bad value ':a' (0, 1, text, json or prom, and :PATH for a file)\n"},
        {"jsn:a", "quarry: QUARRY_STATS: bad value 'jsn:a' (0, 1, text, json or prom, and :PATH for a file)\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_in_child(NULL, cases[i][0], NULL);
        ck_assert_str_eq(child_errors, cases[i][1]);
        ck_assert(child_options->stats == QYI_STATS_OFF && child_options->stats_path == NULL);
    }
}
END_TEST

/* QUARRY_OPTIONS */

START_TEST(test_dump_keys)
{
    read_list("stats_interval:60,stats_peak,stats_files:3,stats_cgroup:90,stats_signal:USR1");
    assert_silent();
    ck_assert_uint_eq(child_options->stats_interval_s, 60);
    ck_assert(child_options->stats_peak);
    ck_assert_uint_eq(child_options->stats_files, 3);
    ck_assert_uint_eq(child_options->stats_cgroup, 90);
    ck_assert_uint_eq(child_options->stats_signal, SIGUSR1);
    ck_assert(child_options->stats == QYI_STATS_OFF);
}
END_TEST

START_TEST(test_signal_spellings)
{
    static const struct {
        const char *list;
        int number;
    } cases[] = {{"stats_signal:SIGTERM", SIGTERM}, {"stats_signal:TERM", SIGTERM}, {"stats_signal:15", SIGTERM},
                 {"stats_signal:SIGUSR2", SIGUSR2}, {"stats_signal:RTMIN", 34},     {"stats_signal:SIGRTMIN+5", 39},
                 {"stats_signal:40", 40},           {"stats_signal:64", 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_list(cases[i].list);
        assert_silent();
        ck_assert_msg((int)child_options->stats_signal == cases[i].number, "%s", cases[i].list);
    }
}
END_TEST

START_TEST(test_dump_keys_refuse_what_makes_no_sense)
{
    static const char *const lists[] = {
        "stats_interval:0",     "stats_interval:1s",     "stats_interval:-1", "stats_interval:100000001",
        "stats_interval:",      "stats_interval",        "stats_files:0",     "stats_files:1001",
        "stats_cgroup:0",       "stats_cgroup:101",      "stats_cgroup:90%",  "stats_signal:KILL",
        "stats_signal:SEGV",    "stats_signal:9",        "stats_signal:0",    "stats_signal:32",
        "stats_signal:65",      "stats_signal:RTMIN+31", "stats_signal:SIG",  "stats_signal:usr1",
        "stats_signal:RTMIN+x", "stats_signal:SIGSIGINT"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        read_list(lists[i]);
        ck_assert_msg(strncmp(child_errors, "quarry: QUARRY_OPTIONS: bad value '", 35) == 0, "%s: %s", lists[i],
                      child_errors);
        ck_assert(are_defaults(child_options));
    }
}
END_TEST

START_TEST(test_all_keys_take_effect)
{
    read_list("purge:1500,background:1,thp:always,deepbind:keep,verbose:1");
    assert_silent();
    ck_assert_uint_eq(child_options->purge_delay_ms, 1500);
    ck_assert(child_options->background);
    ck_assert_int_eq(child_options->thp, QYI_THP_ALWAYS);
    ck_assert(!child_options->deepbind_drop);
    ck_assert(child_options->verbose);
    ck_assert(!child_options->stats);
}
END_TEST

START_TEST(test_equals_sign_serves_as_colon)
{
    read_list("purge=7,thp=never,deepbind=drop");
    assert_silent();
    ck_assert_uint_eq(child_options->purge_delay_ms, 7);
    ck_assert_int_eq(child_options->thp, QYI_THP_NEVER);
    ck_assert(child_options->deepbind_drop);
}
END_TEST

START_TEST(test_boolean_spellings)
{
    static const char *const spellings[] = {"0", "1", "off", "on", "no", "yes", "false", "true"};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        char list[64] = "verbose:1,verbose:";
        strcat(list, spellings[i]);
        read_list(list);
        assert_silent();
        ck_assert_msg(child_options->verbose == (i % 2 != 0), "%s", list);
    }
}
END_TEST

START_TEST(test_boolean_key_alone_is_on)
{
    read_list("verbose,background");
    assert_silent();
    ck_assert(child_options->verbose);
    ck_assert(child_options->background);
}
END_TEST

START_TEST(test_other_key_alone_is_a_bad_value)
{
    read_list("thp,purge");
    ck_assert_str_eq(child_errors, "quarry: QUARRY_OPTIONS: bad value '' for 'thp' (default, always or never)\n"
                                   "quarry: QUARRY_OPTIONS: bad value '' for 'purge' (milliseconds, -1 or never)\n");
    ck_assert(are_defaults(child_options));
}
END_TEST

START_TEST(test_last_of_equal_keys_wins)
{
    read_list("purge:1,purge:2,thp:never,thp:default");
    assert_silent();
    ck_assert_uint_eq(child_options->purge_delay_ms, 2);
    ck_assert_int_eq(child_options->thp, QYI_THP_DEFAULT);
}
END_TEST

START_TEST(test_purge_values)
{
    static const struct {
        const char *list;
        uint32_t delay;
    } cases[] = {{"purge:0", 0},
                 {"purge:00020", 20},
                 {"purge:-1", NEVER},
                 {"purge:never", NEVER},
                 {"purge:4294967294", NEVER - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        read_list(cases[i].list);
        assert_silent();
        ck_assert_msg(child_options->purge_delay_ms == cases[i].delay, "%s", cases[i].list);
    }
}
END_TEST

START_TEST(test_purge_bad_values)
{
    static const char *const values[] = {"-2",
                                         "+5",
                                         "1s",
                                         "1 ",
                                         "0x10",
                                         "1.5",
                                         "1:2",
                                         "4294967295",
                                         "18446744073709551616",
                                         "",
                                         "never!",
                                         "milliseconds",
                                         "99999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char list[128] = "purge:9,purge:";
        strcat(list, values[i]);
        read_list(list);
        char expected[256] = "quarry: QUARRY_OPTIONS: bad value '";
        strcat(strcat(expected, values[i]), "' for 'purge' (milliseconds, -1 or never)\n");
        ck_assert_str_eq(child_errors, expected);
        ck_assert_uint_eq(child_options->purge_delay_ms, 9);
    }
}
END_TEST

START_TEST(test_bad_value_leaves_the_other_keys)
{
    read_list("verbose:1,thp:x,purge:3");
    ck_assert_str_eq(child_errors, "quarry: QUARRY_OPTIONS: bad value 'x' for 'thp' (default, always or never)\n");
    ck_assert(child_options->verbose);
    ck_assert_int_eq(child_options->thp, QYI_THP_DEFAULT);
    ck_assert_uint_eq(child_options->purge_delay_ms, 3);
}
END_TEST

START_TEST(test_bad_booleans)
{
    read_list("verbose:2,background:ON,deepbind:1");
    ck_assert_str_eq(child_errors, "quarry: QUARRY_OPTIONS: bad value '2' for 'verbose' (0 or 1)\n"
                                   "quarry: QUARRY_OPTIONS: bad value 'ON' for 'background' (0 or 1)\n"
                                   "quarry: QUARRY_OPTIONS: bad value '1' for 'deepbind' (keep or drop)\n");
    ck_assert(are_defaults(child_options));
}
END_TEST

START_TEST(test_unknown_key_gets_the_nearest_name)
{
    static const struct {
        const char *key;
        const char *nearest;
    } cases[] = {{"purgee", "purge"}, {"Purge", "purge"},           {"prueg", "purge"},        {"tph", "thp"},
                 {"verb", "verbose"}, {"backgruond", "background"}, {"deep_bind", "deepbind"}, {"hepl", "help"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char list[64] = "";
        strcat(strcat(list, cases[i].key), ":1,verbose");
        read_list(list);
        char expected[128] = "quarry: QUARRY_OPTIONS: unknown key '";
        strcat(strcat(expected, cases[i].key), "' (did you mean '");
        strcat(strcat(expected, cases[i].nearest), "'?)\n");
        ck_assert_str_eq(child_errors, expected);
        ck_assert(child_options->verbose);
    }
}
END_TEST

START_TEST(test_unknown_key_like_no_other_points_to_help)
{
    read_list("zzzzzz,:1,purge:4");
    ck_assert_str_eq(child_errors, "quarry: QUARRY_OPTIONS: unknown key 'zzzzzz' ('help' lists them)\n"
                                   "quarry: QUARRY_OPTIONS: unknown key '' ('help' lists them)\n");
    ck_assert_uint_eq(child_options->purge_delay_ms, 4);
}
END_TEST

START_TEST(test_long_input_is_cut_in_messages)
{
    static char list[200000];
    memset(list, 'k', sizeof list - 1);
    memcpy(list + 60000, ",thp:", 5);
    memcpy(list + 120000, ",purge:6,", 9);
    read_in_child(NULL, list + sizeof list - 1000, list);

    const char k48[] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
    char expected[1024] = "quarry: QUARRY_STATS: bad value '";
    strcat(strcat(expected, k48),
           "...' (0, 1, text, json or prom, and :PATH for a file)\nquarry: QUARRY_OPTIONS: unknown key '");
    strcat(strcat(expected, k48), "...' ('help' lists them)\nquarry: QUARRY_OPTIONS: bad value '");
    strcat(strcat(expected, k48), "...' for 'thp' (default, always or never)\nquarry: QUARRY_OPTIONS: unknown key '");
    strcat(strcat(expected, k48), "...' ('help' lists them)\n");
    ck_assert_str_eq(child_errors, expected);
    ck_assert_uint_eq(child_options->purge_delay_ms, 6);
}
END_TEST

START_TEST(test_keys_of_every_length_are_safe)
{
    char list[80];
    for (size_t length = 1; length < sizeof list; length++) {
        memset(list, 'x', length);
        list[length] = '\0';
        read_list(list);
        ck_assert_ptr_nonnull(strstr(child_errors, "unknown key 'x"));
        ck_assert(are_defaults(child_options));
    }
}
END_TEST

START_TEST(test_control_characters_stay_out_of_messages)
{
    read_list("a\n\x1b[31mb\x7f");
    ck_assert_str_eq(child_errors, "quarry: QUARRY_OPTIONS: unknown key 'a??[31mb?' ('help' lists them)\n");
}
END_TEST

START_TEST(test_help_lists_every_key_with_its_default)
{
    static const char *const rows[][3] = {
        {"\n  purge ", " milliseconds, -1 or never ", " 500 "},
        {"\n  background ", " 0 or 1 ", " 0 "},
        {"\n  thp ", " default, always or never ", " default "},
        {"\n  deepbind ", " keep or drop ", " drop "},
        {"\n  verbose ", " 0 or 1 ", " 0 "},
        {"\n  stats_interval ", " seconds ", " off "},
        {"\n  stats_peak ", " 0 or 1 ", " 0 "},
        {"\n  stats_files ", " number ", " 16 "},
        {"\n  stats_cgroup ", " percent ", " off "},
        {"\n  stats_signal ", " name or number ", " off "},
        {"\n  help ", "", ""},
    };
    read_list("purge:1,thp:never,help,verbose"); /* the defaults, not what came before */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *row = strstr(child_errors, rows[i][0]);
        ck_assert_msg(row != NULL, "no row%s", rows[i][0]);
        char line[256] = "";
        strncat(line, row + 1, strcspn(row + 1, "\n"));
        ck_assert_msg(strstr(line, rows[i][1]) != NULL && strstr(line, rows[i][2]) != NULL, "row: %s", line);
    }
    ck_assert_int_eq(strncmp(child_errors, "quarry: ", 8), 0);
    ck_assert_uint_eq(child_options->purge_delay_ms, 1);
    ck_assert_int_eq(child_options->thp, QYI_THP_NEVER);
    ck_assert(child_options->verbose);
}
END_TEST

/* QUARRY_ONLY; the child's name is "program" */

START_TEST(test_only_matches)
{
    static const char *const globs[] = {
        "program",        "*",          "**",         "p*",         "*m",       "*gra*",  "*r*r*",
        "p*o*m*",         "???????",    "?rogram",    "program*",   "*program", "p?*",    "[p]rogram",
        "[a-z]*",         "[!q]rogram", "[^q]*",      "*[m]",       "[xyp]*",   "p[]r]*", "p[!]]*",
        "[o-q]rogr[!b]m", "*[k-p]",     "[-p]rogram", "[p-]rogram",
    };
    for (size_t i = 0; i < sizeof globs / sizeof globs[0]; i++) {
        read_in_child(globs[i], "1", "purge:8");
        assert_silent();
        ck_assert_msg(child_options->stats && child_options->purge_delay_ms == 8, "QUARRY_ONLY=%s", globs[i]);
    }
}
END_TEST

START_TEST(test_only_that_does_not_match_silences_everything)
{
    static const char *const globs[] = {
        "progra",     "programm", "rogram",     "Program",      "?",   "??????",   "????????", "*x*",      "p*x",
        "[!p]rogram", "[^p]*",    "[a-c]*",     "[p",           "[",   "[]",       "[!]",      "[]rogram", "p[z-a]*",
        "program[",   "*r*r*r*",  "*?????????", "/bin/program", "[p]", "program?",
    };
    for (size_t i = 0; i < sizeof globs / sizeof globs[0]; i++) {
        read_in_child(globs[i], "loud", "help,purge:8,purgee,thp:x");
        assert_silent();
        ck_assert(!child_options->stats);
        ck_assert_msg(child_options->purge_delay_ms == 500, "QUARRY_ONLY=%s", globs[i]);
    }
}
END_TEST

START_TEST(test_only_takes_an_unclosed_bracket_as_it_stands)
{
    memcpy(child_name, "[rogram", sizeof child_name);
    read_in_child("[rog*", "1", NULL);
    ck_assert(child_options->stats);
    read_in_child("[!rog*", "1", NULL);
    ck_assert(!child_options->stats);
    memcpy(child_name, "program", sizeof child_name); /* for CK_FORK=no */
}
END_TEST

START_TEST(test_only_with_many_stars_ends)
{
    static char glob[4001];
    for (size_t i = 0; i < sizeof glob - 1; i += 2)
        memcpy(glob + i, "*m", 2);
    read_in_child(glob, "1", NULL);
    ck_assert(!child_options->stats);
}
END_TEST

/* Privileged programs */

enum { STRANGER = 65534 }; /* a user whom root's children do not run as */

/* A copy of this program, owned by somebody else and set-user-ID. False when that cannot be made here. */
static bool make_privileged_copy(char *path)
{
    const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int to = mkostemp(path, O_CLOEXEC);
    if (to < 0) {
        close(from);
        return false;
    }
    static char buffer[65536];
    ssize_t got;
    bool made = from >= 0;
    while (made && (got = read(from, buffer, sizeof buffer)) > 0)
        made = write(to, buffer, (size_t)got) == got;
    made = made && fchown(to, STRANGER, STRANGER) == 0 && fchmod(to, 04755) == 0;
    close(from);
    close(to);
    if (!made)
        unlink(path);
    return made;
}

static const char SECURE_MODE[] = "--read-privileged";

/* What the copy does. */
static int read_privileged(void)
{
    if (!getauxval(AT_SECURE))
        return EXIT_NOT_SECURE;
    qyi_options_read();
    return are_defaults(&qyi_options) ? EXIT_SUCCESS : EXIT_FAILURE;
}

START_TEST(test_privileged_program_ignores_the_environment)
{
    char path[] = "/tmp/test_options.XXXXXX";
    if (getuid() != 0 || !make_privileged_copy(path))
        return; /* only root can */
    setenv("QUARRY_STATS", "1", 1);
    setenv("QUARRY_OPTIONS", "purge:8,help,nonsense", 1);
    const pid_t child = fork();
    if (child == 0) {
        execl(path, path, SECURE_MODE, (char *)NULL);
        _exit(EXIT_NOT_SECURE);
    }
    int status = -1;
    waitpid(child, &status, 0);
    unlink(path);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) != EXIT_NOT_SECURE) /* a file system mounted nosuid, or no_new_privs */
        ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
}
END_TEST

static Suite *options_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tests = tcase_create("options");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, map_child_options, unmap_child_options);
    tcase_add_test(tests, test_defaults_hold_before_reading);
    tcase_add_test(tests, test_defaults_hold_without_variables);
    tcase_add_test(tests, test_empty_variables_are_unset_ones);
    tcase_add_test(tests, test_stats_values);
    tcase_add_test(tests, test_stats_bad_value_is_named_once);
    tcase_add_test(tests, test_stats_formats_and_paths);
    tcase_add_test(tests, test_stats_bad_paths);
    tcase_add_test(tests, test_dump_keys);
    tcase_add_test(tests, test_signal_spellings);
    tcase_add_test(tests, test_dump_keys_refuse_what_makes_no_sense);
    tcase_add_test(tests, test_all_keys_take_effect);
    tcase_add_test(tests, test_equals_sign_serves_as_colon);
    tcase_add_test(tests, test_boolean_spellings);
    tcase_add_test(tests, test_boolean_key_alone_is_on);
    tcase_add_test(tests, test_other_key_alone_is_a_bad_value);
    tcase_add_test(tests, test_last_of_equal_keys_wins);
    tcase_add_test(tests, test_purge_values);
    tcase_add_test(tests, test_purge_bad_values);
    tcase_add_test(tests, test_bad_value_leaves_the_other_keys);
    tcase_add_test(tests, test_bad_booleans);
    tcase_add_test(tests, test_unknown_key_gets_the_nearest_name);
    tcase_add_test(tests, test_unknown_key_like_no_other_points_to_help);
    tcase_add_test(tests, test_long_input_is_cut_in_messages);
    tcase_add_test(tests, test_keys_of_every_length_are_safe);
    tcase_add_test(tests, test_control_characters_stay_out_of_messages);
    tcase_add_test(tests, test_help_lists_every_key_with_its_default);
    tcase_add_test(tests, test_only_matches);
    tcase_add_test(tests, test_only_that_does_not_match_silences_everything);
    tcase_add_test(tests, test_only_takes_an_unclosed_bracket_as_it_stands);
    tcase_add_test(tests, test_only_with_many_stars_ends);
    tcase_add_test(tests, test_privileged_program_ignores_the_environment);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], SECURE_MODE) == 0)
        _exit(read_privileged()); /* LeakSanitizer, which works at exit, cannot in such a program */
    SRunner *runner = srunner_create(options_suite());
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * test_page.c: the live page, as other processes see it.
 */
#define _GNU_SOURCE 1

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "alloc.h"
#include "history.h"
#include "options.h"
#include "os.h"
#include "page.h"

static struct qyi_page copy;

static void setup(void)
{
    (void)unit_attach();
    qyi_options.live = QYI_LIVE_PAGE;
    qyi_page_start();
}

/* The process's file, opened through /proc as others do it; -1. *fd, unless NULL: its number there. */
static int open_page(pid_t pid, int mode, int *number)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    require(directory != NULL);
    int opened = -1;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL && opened < 0;) {
        char target[64] = "";
        if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) > 0 &&
            strncmp(target, "/memfd:" QYI_PAGE_NAME, strlen("/memfd:" QYI_PAGE_NAME)) == 0) {
            opened = openat(dirfd(directory), entry->d_name, mode | O_CLOEXEC);
            if (number != NULL)
                *number = atoi(entry->d_name);
        }
    }
    closedir(directory);
    return opened;
}

static const struct qyi_page *map_page(pid_t pid)
{
    const int fd = open_page(pid, O_RDONLY, NULL);
    require(fd >= 0);
    struct stat status;
    require(fstat(fd, &status) == 0 && status.st_size == sizeof(struct qyi_page));
    void *shared = mmap(NULL, sizeof(struct qyi_page), PROT_READ, MAP_SHARED, fd, 0);
    require(shared != MAP_FAILED);
    close(fd);
    return shared;
}

static void expect_success(pid_t child)
{
    int status;
    require(waitpid(child, &status, 0) == child);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check_copy(void)
{
    const struct qyi_stats *stats = &copy.stats;
    require(stats->live + stats->free_in_slabs + stats->cached + stats->dirty + stats->clean + stats->metadata ==
            stats->mapped);
    require(stats->mapped > 0 && copy.now_ms >= copy.started_ms && copy.history_count <= QYI_HISTORY_POINTS);
}

START_TEST(test_the_page_is_there_from_the_start)
{
    require(qyi_page_read(map_page(getpid()), sizeof copy, &copy) == QYI_PAGE_READ);
    check_copy();
    require(copy.pid == getpid() && strncmp(copy.program, program_invocation_short_name, 15) == 0);
    require(copy.stats.resident > 0 && copy.stats.resident_ours > 0);
}
END_TEST

START_TEST(test_the_page_says_what_the_process_would)
{
    struct qyi_stats stats;
    void *block = qyi_malloc(1000000);
    qyi_page_update();
    require(qyi_page_read(map_page(getpid()), sizeof copy, &copy) == QYI_PAGE_READ);
    qyi_stats_collect(&stats);
    require(copy.stats.live == stats.live && copy.stats.mapped == stats.mapped &&
            copy.stats.large_count == stats.large_count);
    require(memcmp(copy.stats.classes, stats.classes, sizeof stats.classes) == 0);
    qyi_free(block);
}
END_TEST

/* Whatever the writer does meanwhile, a copy is of one moment. */
static int read_for_a_while(pid_t pid)
{
    const struct qyi_page *shared = map_page(pid);
    uint64_t last = 0;
    unsigned changes = 0;
    for (unsigned i = 0; changes < 100 && i < 1000000; i++) {
        const enum qyi_page_fit fit = qyi_page_read(shared, sizeof copy, &copy);
        if (fit == QYI_PAGE_BUSY)
            continue; /* the writer stood in the middle, without a processor */
        require(fit == QYI_PAGE_READ);
        check_copy();
        require(copy.updates >= last);
        changes += copy.updates != last;
        last = copy.updates;
    }
    return changes >= 10 ? 0 : 1;
}

START_TEST(test_another_process_reads_consistent_numbers)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0)
        _exit(read_for_a_while(parent));
    uint64_t state = 1;
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        void *blocks[20];
        for (unsigned i = 0; i < 20; i++)
            blocks[i] = qyi_malloc(1 + unit_below(&state, 100000));
        qyi_page_update();
        for (unsigned i = 0; i < 20; i++)
            qyi_free(blocks[i]);
    }
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(test_the_tick_keeps_the_page_up_to_date)
{
    const struct qyi_page *shared = map_page(getpid());
    require(qyi_page_read(shared, sizeof copy, &copy) == QYI_PAGE_READ);
    const uint64_t first = copy.updates;
    const uint64_t start = qyi_os_now_ms();
    while (qyi_os_now_ms() < start + 400)
        qyi_free(qyi_malloc(100000));
    require(qyi_page_read(shared, sizeof copy, &copy) == QYI_PAGE_READ);
    require(copy.updates > first && copy.updates <= first + 5); /* every 100 ms at most */
}
END_TEST

START_TEST(test_nobody_else_can_change_the_page)
{
    const int fd = open_page(getpid(), O_RDWR, NULL);
    if (fd < 0)
        return;
    require(ftruncate(fd, 0) != 0 && ftruncate(fd, 1 << 20) != 0);
    require(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0);
    if ((fcntl(fd, F_GET_SEALS) & 0x0010) != 0) { /* F_SEAL_FUTURE_WRITE: the kernel knows it */
        require(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        require(pwrite(fd, "x", 1, 0) < 0);
    }
    close(fd);
}
END_TEST

START_TEST(test_the_page_does_not_outlive_exec)
{
    int number = -1;
    close(open_page(getpid(), O_RDONLY, &number));
    require(number >= 100);
    require((fcntl(number, F_GETFD) & FD_CLOEXEC) != 0);
}
END_TEST

START_TEST(test_a_forked_child_has_a_page_of_its_own)
{
    const pid_t parent = getpid();
    void *block = qyi_malloc(12345678);
    qyi_page_update();
    const struct qyi_page *parents = map_page(parent);
    require(qyi_page_read(parents, sizeof copy, &copy) == QYI_PAGE_READ);
    const uint64_t updates = copy.updates;
    const pid_t child = fork();
    if (child == 0) {
        qyi_free(block);
        qyi_page_update();
        if (qyi_page_read(map_page(getpid()), sizeof copy, &copy) != QYI_PAGE_READ || copy.pid != getpid())
            _exit(1);
        const size_t live = copy.stats.live;
        if (qyi_page_read(parents, sizeof copy, &copy) != QYI_PAGE_READ || copy.pid != parent ||
            copy.updates != updates)
            _exit(2);
        _exit(copy.stats.live >= live + 12345678 ? 0 : 3);
    }
    expect_success(child);
    require(qyi_page_read(parents, sizeof copy, &copy) == QYI_PAGE_READ && copy.updates == updates);
}
END_TEST

static _Atomic bool updating_ends;

static struct qyi_page copy_of_mine(void)
{
    const struct qyi_page *shared = map_page(getpid());
    while (qyi_page_read(shared, sizeof copy, &copy) != QYI_PAGE_READ)
        sched_yield();
    munmap((void *)(uintptr_t)shared, sizeof *shared);
    return copy;
}

static void *update_always(void *unused)
{
    (void)unused;
    qyi_free(qyi_malloc(1)); /* whoever ticks is known to the fork handler */
    while (!updating_ends)
        qyi_page_update();
    return NULL;
}

START_TEST(test_the_child_of_a_fork_in_the_middle_of_an_update_goes_on)
{
    if (UNIT_TSAN)
        return; /* does not follow threads that a fork leaves behind */
    pthread_t thread;
    require(pthread_create(&thread, NULL, update_always, NULL) == 0);
    const uint64_t updates = copy_of_mine().updates;
    while (copy_of_mine().updates < updates + 2)
        sched_yield();
    for (unsigned i = 0; i < unit_rounds(100); i++) {
        const pid_t child = fork();
        if (child == 0) {
            qyi_page_update();
            _exit(qyi_page_read(map_page(getpid()), sizeof copy, &copy) == QYI_PAGE_READ && copy.pid == getpid() ? 0
                                                                                                                 : 1);
        }
        expect_success(child);
    }
    updating_ends = true;
    require(pthread_join(thread, NULL) == 0);
    require(copy_of_mine().pid == getpid());
}
END_TEST

START_TEST(test_a_page_that_the_program_closed_is_replaced)
{
    int number = -1;
    close(open_page(getpid(), O_RDONLY, &number));
    close(number);
    require(open_page(getpid(), O_RDONLY, NULL) < 0);
    qyi_page_update();
    require(qyi_page_read(map_page(getpid()), sizeof copy, &copy) == QYI_PAGE_READ);
}
END_TEST

START_TEST(test_a_file_of_the_program_under_the_same_number_is_left_alone)
{
    int number = -1;
    close(open_page(getpid(), O_RDONLY, &number));
    const int theirs = open("/dev/null", O_RDONLY);
    require(dup2(theirs, number) == number);
    qyi_page_update();
    struct stat a;
    struct stat b;
    require(fstat(theirs, &a) == 0 && fstat(number, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    require(qyi_page_read(map_page(getpid()), sizeof copy, &copy) == QYI_PAGE_READ);
}
END_TEST

START_TEST(test_an_update_keeps_errno)
{
    errno = 4711;
    qyi_page_update();
    require(errno == 4711);
}
END_TEST

START_TEST(test_no_page_unless_asked)
{
    int number = -1;
    close(open_page(getpid(), O_RDONLY, &number));
    close(number);
    qyi_options.live = QYI_LIVE_OFF;
    qyi_page_update();
    qyi_page_start();
    require(open_page(getpid(), O_RDONLY, NULL) < 0);
}
END_TEST

START_TEST(test_other_pages_are_refused)
{
    static struct qyi_page other;
    memcpy(&other, map_page(getpid()), sizeof other);
    require(qyi_page_read(&other, sizeof other, &copy) == QYI_PAGE_READ);
    require(qyi_page_read(&other, sizeof other - 1, &copy) == QYI_PAGE_OTHER_VERSION);
    require(qyi_page_read(&other, 8, &copy) == QYI_PAGE_NONE);
    atomic_fetch_add(&other.sequence, 1);
    require(qyi_page_read(&other, sizeof other, &copy) == QYI_PAGE_BUSY);
    other.library_version++;
    require(qyi_page_read(&other, sizeof other, &copy) == QYI_PAGE_OTHER_VERSION);
    other.magic[2] = 'X';
    require(qyi_page_read(&other, sizeof other, &copy) == QYI_PAGE_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *tests = tcase_create("page");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_the_page_is_there_from_the_start);
    tcase_add_test(tests, test_the_page_says_what_the_process_would);
    tcase_add_test(tests, test_another_process_reads_consistent_numbers);
    tcase_add_test(tests, test_the_tick_keeps_the_page_up_to_date);
    tcase_add_test(tests, test_nobody_else_can_change_the_page);
    tcase_add_test(tests, test_the_page_does_not_outlive_exec);
    tcase_add_test(tests, test_a_forked_child_has_a_page_of_its_own);
    tcase_add_test(tests, test_the_child_of_a_fork_in_the_middle_of_an_update_goes_on);
    tcase_add_test(tests, test_a_page_that_the_program_closed_is_replaced);
    tcase_add_test(tests, test_a_file_of_the_program_under_the_same_number_is_left_alone);
    tcase_add_test(tests, test_an_update_keeps_errno);
    tcase_add_test(tests, test_no_page_unless_asked);
    tcase_add_test(tests, test_other_pages_are_refused);
    return unit_run(suite);
}

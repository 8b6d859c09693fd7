/*
 * The program that options_live.sh runs: it looks for its own live page, as a stranger would, in ways that its argument says. What it
 * knows of Quarry is the layout of the page.
 */
#include "children.h"

#include "page.h"

#include <dirent.h>
#include <pthread.h>

/* The process's page, or -1. */
static int find_page(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int found = -1;
    for (const struct dirent *entry; found < 0 && (entry = readdir(directory)) != NULL;) {
        char target[64] = "";
        if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) > 0 &&
            strncmp(target, "/memfd:" QYI_PAGE_NAME, strlen("/memfd:" QYI_PAGE_NAME)) == 0)
            found = openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
    }
    closedir(directory);
    return found;
}

static struct qyi_page page;

/* Read it until it is of one moment, and look whether it makes sense. */
static void read_page(pid_t pid)
{
    int fd = find_page(pid);
    CHECK(fd >= 0, "no page of %d", (int)pid);
    uint64_t before, after;
    do {
        CHECK(pread(fd, &before, sizeof before, offsetof(struct qyi_page, sequence)) == sizeof before);
        CHECK(pread(fd, &page, sizeof page, 0) == sizeof page);
        CHECK(pread(fd, &after, sizeof after, offsetof(struct qyi_page, sequence)) == sizeof after);
    } while (before % 2 != 0 || before != after);
    close(fd);
    const struct qyi_stats *stats = &page.stats;
    CHECK(memcmp(page.magic, QYI_PAGE_MAGIC, sizeof page.magic) == 0 && page.page_bytes == sizeof page);
    CHECK(stats->mapped ==
          stats->live + stats->free_in_slabs + stats->cached + stats->dirty + stats->clean + stats->metadata);
}

/* Work for so many updates, some of it slow. */
static void work_for(unsigned updates)
{
    read_page(getpid());
    const uint64_t first = page.updates;
    while (page.updates < first + updates) {
        fork_turnover(1, 2000);
        free(bb_hide(malloc(200000)));
        read_page(getpid());
    }
    CHECK(page.pid == getpid());
}

static void in_child(void)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        while (page.pid != getpid()) {
            free(bb_hide(malloc(200000)));
            read_page(getpid());
        }
        work_for(2);
        read_page(parent);
        CHECK(page.pid == parent);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    work_for(2);
}

static _Atomic bool stop;

static void *churn(void *unused)
{
    (void)unused;
    while (!stop)
        fork_turnover(3, 2000);
    return NULL;
}

static void read_from_outside(void)
{
    pthread_t threads[2] = {bb_start(churn, NULL), bb_start(churn, NULL)};
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        for (unsigned i = 0; i < 2000; i++) {
            read_page(parent);
            CHECK(page.pid == parent);
        }
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    stop = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "work";
    if (strcmp(way, "none") == 0) {
        CHECK(find_page(getpid()) < 0, "a page that nobody asked for");
    } else if (strcmp(way, "exec") == 0) {
        CHECK(find_page(getpid()) >= 0);
        unsetenv("QUARRY_OPTIONS");
        execl(argv[0], argv[0], "none", (char *)NULL);
        CHECK(false, "exec");
    } else if (strcmp(way, "close") == 0) {
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        while (find_page(getpid()) < 0)
            free(bb_hide(malloc(200000)));
        work_for(2);
    } else if (strcmp(way, "fork") == 0) {
        in_child();
    } else if (strcmp(way, "threads") == 0) {
        read_from_outside();
    } else {
        work_for(3);
    }
    bb_note("done");
    return 0;
}

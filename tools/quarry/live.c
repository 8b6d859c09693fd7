/*
 * live.c: the live page of a process (src/page.h): what is known of one whose memory may not be read. It takes the right to read the
 * process's list of files, which the kernel gives more freely than the right to trace it.
 */
#include "live.h"

#include "page.h"
#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 64 };

static const char LINK[] = "/memfd:" QYI_PAGE_NAME;

/* The process's number where it lives itself, which is what it writes into its page. */
static pid_t inner_pid(pid_t pid)
{
    char path[PATH_BYTES];
    char line[256];
    pid_t inner = pid;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *last = strrchr(line, '\t');
        if (strncmp(line, "NSpid:", 6) == 0 && last != NULL)
            inner = (pid_t)strtol(last, NULL, 10);
    }
    if (file != NULL)
        fclose(file);
    return inner;
}

static int open_page(DIR *folder)
{
    char link[PATH_BYTES];
    int fd = -1;
    for (const struct dirent *entry; fd < 0 && (entry = readdir(folder)) != NULL;) {
        const ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (strncmp(link, LINK, strlen(LINK)) == 0)
            fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    return fd;
}

/* Anybody can call a file so, and cut it off while it is read; not if it is sealed, as the library's is. */
static enum qyi_page_fit read_page(int fd, struct qyi_page *page)
{
    struct stat status;
    const int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &status) != 0 || status.st_size <= 0)
        return QYI_PAGE_NONE;
    const size_t bytes = qyi_min((size_t)status.st_size, sizeof *page);
    const struct qyi_page *shared = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        return QYI_PAGE_NONE;
    const enum qyi_page_fit fit = qyi_page_read(shared, bytes, page);
    munmap((void *)shared, bytes);
    return fit;
}

const char *live_read(pid_t pid, struct qyi_page *page)
{
    static const char none[] = "has no live page: start it with QUARRY_OPTIONS=live:page (see quarry(7))";
    static char closed[256];
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    if (folder == NULL && errno == ENOENT)
        return "has ended";
    if (folder == NULL) {
        snprintf(closed, sizeof closed, "has files that cannot be listed: %s", process_refusal(pid));
        return closed;
    }
    const int fd = open_page(folder);
    closedir(folder);
    if (fd < 0)
        return none;
    const enum qyi_page_fit fit = read_page(fd, page);
    close(fd);
    switch (fit) {
    case QYI_PAGE_READ: break;
    case QYI_PAGE_OTHER_VERSION: return "has a live page of another version of Quarry: use the command of that version";
    case QYI_PAGE_BUSY: return "has a live page that is always being written: the process was stopped in the middle";
    case QYI_PAGE_NONE: return none;
    }
    return page->pid == inner_pid(pid) ? NULL
                                       : "has only its parent's live page: it has not used memory since its fork";
}

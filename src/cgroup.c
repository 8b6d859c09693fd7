/*
 * cgroup.c: how near a process is to the memory limit of its control group. Layer 6.
 *
 *     0::/system.slice/relay.service      ->  MOUNT/system.slice/relay.service/memory.max, memory.current
 *                                             MOUNT/system.slice/memory.max, ...
 *                                             MOUNT/memory.max                 (in a container, its limit)
 *
 * Version 2 of control groups only: there is one hierarchy, and its files mean the same at every level.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { NAME_ROOM = sizeof "/memory.current" };

/* As much of a file as fits, with a 0 at the end. Its length, or 0. */
static size_t read_file(const char *path, char *text, size_t room)
{
    size_t length = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length < room - 1) {
        const ssize_t got = read(fd, text + length, room - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    text[length] = '\0';
    return length;
}

/* Puts the path of the group after the mount. False: there is none. */
static bool find_group(char path[PATH_MAX], const char *membership, const char *mount)
{
    const size_t start = strlen(mount);
    if (start + NAME_ROOM >= PATH_MAX)
        return false;
    if (read_file(membership, path, PATH_MAX) == 0)
        return false;
    char *line = path;
    while (line != NULL && strncmp(line, "0::/", 4) != 0) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    const char *end = line != NULL ? strchr(line, '\n') : NULL;
    if (end == NULL)
        return false;
    size_t length = (size_t)(end - (line + 3));
    if (start + length + NAME_ROOM >= PATH_MAX)
        return false;
    memmove(path + start, line + 3, length);
    memcpy(path, mount, start);
    while (length > 0 && path[start + length - 1] == '/')
        length--;
    path[start + length] = '\0';
    return true;
}

/* What a file of the group says; UINT64_MAX: no number, which in memory.max means that there is no limit. */
static uint64_t read_number(char path[PATH_MAX], const char *name)
{
    char digits[24];
    const size_t length = strlen(path);
    memcpy(path + length, name, strlen(name) + 1); /* there is NAME_ROOM */
    const size_t count = read_file(path, digits, sizeof digits);
    path[length] = '\0';
    uint64_t number = 0;
    for (size_t i = 0; i < count && digits[i] != '\n'; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return UINT64_MAX;
        number = number * 10 + (uint64_t)(digits[i] - '0');
    }
    return count == 0 ? UINT64_MAX : number;
}

unsigned qyi_cgroup_percent(const char *membership, const char *mount)
{
    const int saved_errno = errno;
    char path[PATH_MAX];
    unsigned percent = 0;
    bool found = find_group(path, membership, mount);
    while (found) {
        const uint64_t limit = read_number(path, "/memory.max");
        const uint64_t used = limit == UINT64_MAX ? UINT64_MAX : read_number(path, "/memory.current");
        if (limit != 0 && used != UINT64_MAX)
            percent = (unsigned)qyi_max(percent, qyi_min((size_t)((double)used * 100 / (double)limit), 1000));
        char *up = strrchr(path, '/');
        found = strlen(path) > strlen(mount);
        if (found)
            *up = '\0';
    }
    errno = saved_errno;
    return percent;
}

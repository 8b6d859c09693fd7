/*
 * trim.c: quarry trim: ask a process to give its free memory back to the system.
 *
 * Giving memory back is the work of a thread of the process; nothing outside can do it, and nothing is injected. So the process must
 * have said, at its start, that it takes such a wish: by the socket of QUARRY_OPTIONS=http:unix:/path, which is its owner's alone. The
 * kernel says where that is: it is what a thread called quarry-http has open.
 */
#include "command.h"
#include "target.h"

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADDRESS_BYTES = 512, ANSWER_BYTES = 2048, PATIENCE_S = 15 };

static const char UNIX[] = "unix:";

/* ---- where ---- */

/* The thread of the process that listens; 0: none. */
static pid_t find_listener(const struct target *target)
{
    char folder_path[PATH_MAX];
    char path[PATH_MAX];
    char name[32];
    pid_t thread = 0;
    snprintf(folder_path, sizeof folder_path, "/proc/%d/task", target->pid);
    DIR *folder = opendir(folder_path);
    for (const struct dirent *entry; thread == 0 && folder != NULL && (entry = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", target->pid, entry->d_name);
        FILE *file = fopen(path, "re");
        if (file != NULL && fgets(name, sizeof name, file) != NULL && strcmp(name, "quarry-http\n") == 0)
            thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (file != NULL)
            fclose(file);
    }
    if (folder != NULL)
        closedir(folder);
    return thread;
}

/* The path of the socket with this inode; false: it has none. */
static bool find_path(const struct target *target, unsigned long inode, char *path, size_t room)
{
    char list[PATH_MAX];
    char line[ADDRESS_BYTES];
    bool found = false;
    snprintf(list, sizeof list, "/proc/%d/net/unix", target->pid);
    FILE *file = fopen(list, "re");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long number = 0;
        int path_at = 0;
        if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %n", &number, &path_at) == 1 && number == inode && path_at != 0 &&
            line[path_at] == '/') {
            snprintf(path, room, "%.*s", (int)strcspn(line + path_at, "\n"), line + path_at);
            found = true;
        }
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* This inode is a socket with a port. */
static bool has_port(const struct target *target, unsigned long inode)
{
    static const char *const lists[] = {"tcp", "tcp6"};
    char list[PATH_MAX];
    char line[ADDRESS_BYTES];
    bool found = false;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && !found; i++) {
        snprintf(list, sizeof list, "/proc/%d/net/%s", target->pid, lists[i]);
        FILE *file = fopen(list, "re");
        unsigned long number = 0;
        while (!found && file != NULL && fgets(line, sizeof line, file) != NULL)
            found = sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %lu", &number) == 1 && number == inode;
        if (file != NULL)
            fclose(file);
    }
    return found;
}

/* Its descriptors are its own, and few. */
static void find_socket(const struct target *target, char *path, size_t room)
{
    char folder_path[PATH_MAX];
    char link[PATH_MAX];
    bool found = false;
    bool port = false;
    const pid_t thread = find_listener(target);
    if (thread == 0)
        fail("%s has not opted in, and cannot be asked: start it with QUARRY_OPTIONS=http:unix:/path (see quarry(7))",
             target->name);
    snprintf(folder_path, sizeof folder_path, "/proc/%d/task/%d/fd", target->pid, thread);
    DIR *folder = opendir(folder_path);
    if (folder == NULL)
        fail("%s cannot be looked into: %s", target->name, process_refusal(target->pid));
    for (const struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
        unsigned long inode = 0;
        const ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (sscanf(link, "socket:[%lu]", &inode) == 1) {
            found = find_path(target, inode, path, room);
            port = port || has_port(target, inode);
        }
    }
    closedir(folder);
    if (!found && !port)
        fail("%s: the path of its socket cannot be found: say quarry trim unix:PATH", target->name);
    if (!found)
        fail(
            "%s listens on a port, where it answers questions and takes no orders: start it with QUARRY_OPTIONS=http:unix:/path",
            target->name);
}

/* ---- asking ---- */

static int connect_to(const char *path, const char *who)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path)
        fail("the socket's path is too long: %s", path);
    strcpy(address.sun_path, path);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        fail("%s does not answer on %s: %s", who, path, strerror(errno));
    return fd;
}

/* The answer's body; false: it is no success, and the body says why. */
static bool ask(int fd, const char *path, char *answer, char **body)
{
    static const char request[] = "POST /trim HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    size_t length = 0;
    ssize_t got = send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
    while (got > 0 && length < ANSWER_BYTES - 1) {
        got = recv(fd, answer + length, ANSWER_BYTES - 1 - length, 0);
        length += got > 0 ? (size_t)got : 0;
    }
    answer[length] = '\0';
    *body = strstr(answer, "\r\n\r\n");
    if (*body == NULL || strncmp(answer, "HTTP/1.1 ", 9) != 0)
        fail("%s: no answer%s%s", path, got < 0 ? ": " : "",
             got >= 0          ? ""
             : errno == EAGAIN ? "it is stopped, or has no time"
                               : strerror(errno));
    *body += 4;
    (*body)[strcspn(*body, "\r\n")] = '\0';
    return strncmp(answer + 9, "200", 3) == 0;
}

static void print_help(void)
{
    puts("usage: quarry trim PID|unix:PATH\n\n"
         "Asks a process to give its free memory back to the system. The process must have been started with\n"
         "QUARRY_OPTIONS=http:unix:/path; nothing is injected into one that was not.");
}

int trim_command(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    char path[ADDRESS_BYTES];
    char answer[ANSWER_BYTES];
    char *body;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option != 'h')
            return STATUS_USAGE;
        print_help();
        return EXIT_SUCCESS;
    }
    if (argc - optind != 1)
        fail_usage("trim ", "trim takes one process");
    const char *whom = argv[optind];
    if (strncmp(whom, UNIX, strlen(UNIX)) == 0) {
        snprintf(path, sizeof path, "%s", whom + strlen(UNIX));
    } else {
        const struct target *target = target_open_process("trim", whom);
        find_socket(target, path, sizeof path);
        whom = target->name;
    }
    const int fd = connect_to(path, whom);
    if (!ask(fd, path, answer, &body))
        fail("%s refuses: %s", whom, body);
    close(fd);
    printf("%s: %s given back to the system (%s bytes)\n", whom, qyi_bytes_word(strtoull(body, NULL, 10)).text, body);
    return EXIT_SUCCESS;
}

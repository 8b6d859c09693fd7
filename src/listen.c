/*
 * listen.c: a listening socket that only this machine, or this user, can reach. Layer 6.
 *
 * There is no password: whoever can connect can read. So a socket in the file system is its owner's alone, and one with a port
 * listens to this machine, unless the word `any` asks for more.
 *
 * A path may be left over from a process that was killed. It is taken over if it is a socket and nobody listens on it;
 * whatever else stands there stays. Two processes that find the same one at once would each remove the other's new socket, so
 * the folder is locked meanwhile; who cannot lock it goes on without, since somebody's lock may be there to stay.
 */
#include "listen.h"

#include "text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 16,
    LOCK_TRY_COUNT = 50, /* of a folder: half a second together */
    LOCK_WAIT_NS = 10000000,
    HOST_BYTES = INET6_ADDRSTRLEN,
};

const char qyi_listen_forms[] = "unix:/path, 127.0.0.1:port, [::1]:port or any:port";

/* ---- addresses ---- */

static bool take_prefix(const char **text, size_t *length, const char *prefix)
{
    const size_t prefix_length = strlen(prefix);
    if (*length < prefix_length || memcmp(*text, prefix, prefix_length) != 0)
        return false;
    *text += prefix_length;
    *length -= prefix_length;
    return true;
}

static const char *parse_port(const char *text, size_t length, in_port_t *port)
{
    unsigned number = 0;
    if (length == 0 || length > 5)
        return "no port";
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return "no port";
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (number > UINT16_MAX)
        return "no port";
    *port = htons((uint16_t)number);
    return NULL;
}

/* %p is the process id, so that several processes can be told the same. */
static const char *parse_path(struct qyi_listener *listener, const char *text, size_t length)
{
    struct sockaddr_un *path = &listener->address.path;
    struct qyi_text out = {.start = path->sun_path, .capacity = sizeof path->sun_path - 1, .fd = -1};
    if (length == 0 || text[0] != '/')
        return "the path must be absolute";
    for (size_t i = 0; i < length; i++) {
        const bool reference = text[i] == '%' && i + 1 < length && (text[i + 1] == 'p' || text[i + 1] == '%');
        if (reference && text[i + 1] == 'p')
            qyi_put_number(&out, (uint64_t)getpid());
        else
            qyi_put_part(&out, &text[i], 1);
        i += reference;
    }
    if (out.failed)
        return "the path is too long";
    path->sun_family = AF_UNIX;
    path->sun_path[out.length] = '\0';
    listener->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + out.length + 1);
    return NULL;
}

static const char *parse_host(struct qyi_listener *listener, const char *text, size_t length, in_port_t port)
{
    char host[HOST_BYTES];
    const bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= sizeof host)
        return "no address";
    memcpy(host, text, length);
    host[length] = '\0';
    if (bracketed) {
        struct sockaddr_in6 *six = &listener->address.six;
        *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        listener->address_bytes = sizeof *six;
        if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1)
            return "no address";
        return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ? NULL : "not on this machine alone";
    }
    struct sockaddr_in *four = &listener->address.four;
    *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    listener->address_bytes = sizeof *four;
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) != 1)
        return "no address";
    return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ? NULL : "not on this machine alone";
}

const char *qyi_listen_parse(struct qyi_listener *listener, const char *text, size_t length)
{
    *listener = (struct qyi_listener){.fd = -1};
    if (take_prefix(&text, &length, "unix:"))
        return parse_path(listener, text, length);
    const char *colon = memrchr(text, ':', length);
    if (colon == NULL)
        return "no port";
    const size_t host_length = (size_t)(colon - text);
    in_port_t port;
    const char *wrong = parse_port(colon + 1, length - host_length - 1, &port);
    if (wrong != NULL)
        return wrong;
    listener->picked = port == 0;
    if (host_length == strlen("any") && memcmp(text, "any", host_length) == 0) {
        listener->everywhere = true;
        listener->address.six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        listener->address_bytes = sizeof listener->address.six;
        return NULL;
    }
    return parse_host(listener, text, host_length, port);
}

void qyi_listen_put(struct qyi_line *line, const struct qyi_listener *listener)
{
    char host[HOST_BYTES] = "";
    switch (listener->address.any.sa_family) {
    case AF_UNIX:
        qyi_line_text(line, "unix:");
        qyi_line_text(line, listener->address.path.sun_path);
        return;
    case AF_INET:
        inet_ntop(AF_INET, &listener->address.four.sin_addr, host, sizeof host);
        qyi_line_text(line, host);
        break;
    default:
        inet_ntop(AF_INET6, &listener->address.six.sin6_addr, host, sizeof host);
        qyi_line_text(line, "[");
        qyi_line_text(line, host);
        qyi_line_text(line, "]");
        break;
    }
    qyi_line_text(line, ":");
    qyi_line_number(line, ntohs(listener->address.four.sin_port)); /* at the same place in both */
}

static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "read as one");

/* ---- paths ---- */

/* The folder of the path, locked if it can be; -1: not even opened. */
static int lock_folder(const char *path)
{
    char folder[sizeof(struct sockaddr_un)];
    const size_t length = (size_t)(strrchr(path, '/') - path);
    memcpy(folder, path, length);
    memcpy(folder + length, length == 0 ? "/" : "", length == 0 ? 2 : 1);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; fd >= 0 && i < LOCK_TRY_COUNT && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
        const struct timespec pause = {.tv_nsec = LOCK_WAIT_NS};
        if (errno != EWOULDBLOCK)
            break;
        nanosleep(&pause, NULL);
    }
    return fd;
}

/* A socket stands at the path, and nobody listens on it; or it has just gone. Else errno says what is there. */
static bool is_left_over(const struct qyi_listener *listener)
{
    struct stat status;
    if (lstat(listener->address.path.sun_path, &status) != 0)
        return errno == ENOENT;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    const bool refused = connect(fd, &listener->address.any, listener->address_bytes) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!refused)
        errno = EADDRINUSE;
    return refused;
}

/* NULL, or what failed. */
static const char *take_path(const struct qyi_listener *listener)
{
    enum { TRY_COUNT = 3 }; /* others come and go */
    for (unsigned i = 0; bind(listener->fd, &listener->address.any, listener->address_bytes) != 0; i++) {
        if (errno != EADDRINUSE || i + 1 == TRY_COUNT || !is_left_over(listener))
            return "bind";
        if (unlink(listener->address.path.sun_path) != 0 && errno != ENOENT)
            return "unlink";
    }
    return NULL;
}

/*
 * The path appears with the socket's mode: nobody else can connect in between. The folder stays locked until somebody listens,
 * or it would be taken for left over.
 */
static const char *bind_path(struct qyi_listener *listener)
{
    struct stat status;
    const int folder = lock_folder(listener->address.path.sun_path);
    const char *failed = fchmod(listener->fd, S_IRUSR | S_IWUSR) != 0 ? "fchmod" : take_path(listener);
    if (failed == NULL && lstat(listener->address.path.sun_path, &status) == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    if (failed == NULL && listen(listener->fd, BACKLOG) != 0)
        failed = "listen";
    const int saved_errno = errno;
    if (folder >= 0)
        close(folder);
    errno = saved_errno;
    return failed;
}

void qyi_listen_remove(const struct qyi_listener *listener)
{
    const int saved_errno = errno;
    struct stat status;
    const char *path = listener->address.path.sun_path;
    if (listener->address.any.sa_family == AF_UNIX && listener->inode != 0 && lstat(path, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        unlink(path);
    errno = saved_errno;
}

/* ---- ports ---- */

static const char *bind_port(struct qyi_listener *listener)
{
    const int yes = 1;
    const int no = 0;
    /* for connections of a process before us that are still in TIME_WAIT */
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener->everywhere && listener->address.any.sa_family == AF_INET6)
        setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(listener->fd, &listener->address.any, listener->address_bytes) != 0)
        return "bind";
    if (listen(listener->fd, BACKLOG) != 0)
        return "listen";
    socklen_t bytes = sizeof listener->address;
    return getsockname(listener->fd, &listener->address.any, &bytes) == 0 ? NULL : "getsockname";
}

static const char *open_socket(struct qyi_listener *listener)
{
    const int family = listener->address.any.sa_family;
    listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return "socket";
    const char *failed = family == AF_UNIX ? bind_path(listener) : bind_port(listener);
    if (failed != NULL) {
        const int saved_errno = errno;
        close(listener->fd);
        listener->fd = -1;
        errno = saved_errno;
    }
    return failed;
}

const char *qyi_listen_open(struct qyi_listener *listener)
{
    const char *failed = open_socket(listener);
    if (failed != NULL && listener->everywhere &&
        (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) { /* no IPv6 here */
        const in_port_t port = listener->address.six.sin6_port;
        listener->address.four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        listener->address_bytes = sizeof listener->address.four;
        failed = open_socket(listener);
    }
    return failed;
}

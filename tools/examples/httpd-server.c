/*
 * httpd-server.c: see httpd-server.h. One thread, one epoll set, edge-triggered.
 *
 *     client --> input --> request --> reply: head, part of a file --> client
 *                              \--> upstream (/proxy/PORT/path) ---> reply --> client
 *
 * Requests may follow each other without waiting for replies (pipelining). They are answered in order: while a reply comes from
 * another server, or too much waits to be sent, the next request stays in the input.
 *
 * Paths are opened with openat2(RESOLVE_BENEATH): the kernel refuses whatever leads out of the root, links included.
 */
#define _GNU_SOURCE
#include "httpd-server.h"

#include "http-request.h"
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { INPUT_BYTES = 2 * REQUEST_HEAD_MAX, WAITING_MOST = 256 << 10, TURNS_MOST = 16 };

enum kind { KIND_SIGNALS, KIND_LISTENER, KIND_CLIENT, KIND_UPSTREAM };

/* What epoll knows. A connection has two: the client's socket, and the other server's while it is being asked. */
struct source {
    enum kind kind;
    int fd;
    struct connection *connection;
};

struct connection {
    struct source client, upstream;
    struct connection *next, **link; /* of all; link is what points here */
    struct reply *reply;
    double last;    /* when something came or went */
    char *question; /* for the other server, not sent yet; or NULL */
    bool readable, writable, upstream_ready;
    bool input_ended; /* the client says nothing more */
    enum method upstream_method;
    bool closing; /* no more requests; the connection ends when the reply is sent */
    bool ended;
    size_t filled; /* bytes of input */
    char input[INPUT_BYTES];
};

static struct {
    int epoll, root;
    struct source signals, listener;
    struct connection *connections;
    struct connection *ended;
    bool ending;
    uint64_t requests, bytes_out;
} server;

static struct {
    const char *address;
    uint16_t port;
    unsigned idle_seconds;
    bool stats, proxy;
} options = {.address = "127.0.0.1", .idle_seconds = 60};

/* ---- connections ---- */

static bool watch(struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(server.epoll, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

/* The connection is freed at the end of the turn, since events of the same turn may still name it. */
static void end(struct connection *connection)
{
    if (connection->ended)
        return;
    connection->ended = true;
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
    connection->next = server.ended;
    server.ended = connection;
}

static void close_upstream(struct connection *connection)
{
    if (connection->upstream.fd >= 0)
        close(connection->upstream.fd);
    connection->upstream.fd = -1;
    free(connection->question);
    connection->question = NULL;
}

static void sweep(void)
{
    while (server.ended != NULL) {
        struct connection *connection = server.ended;
        server.ended = connection->next;
        close_upstream(connection);
        close(connection->client.fd);
        reply_free(connection->reply);
        free(connection);
    }
}

static void begin(int fd)
{
    const int yes = 1;
    struct connection *connection = need(malloc(sizeof *connection));
    memset(connection, 0, offsetof(struct connection, input));
    connection->client = (struct source){.kind = KIND_CLIENT, .fd = fd, .connection = connection};
    connection->upstream = (struct source){.kind = KIND_UPSTREAM, .fd = -1, .connection = connection};
    connection->reply = need(reply_new());
    connection->last = seconds_now();
    connection->next = server.connections;
    connection->link = &server.connections;
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    server.connections = connection;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (!watch(&connection->client, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
        end(connection);
}

/* ---- replies ---- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 416: return "Range Not Satisfiable";
    case 431: return "Request Header Fields Too Large";
    case 502: return "Bad Gateway";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".css", "text/css"},
        {".js", "text/javascript"},
        {".json", "application/json"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".svg", "image/svg+xml"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

static void http_date(time_t when, char *text, size_t room)
{
    struct tm tm;
    strftime(text, room, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
}

/* "Date: …", made once a second. */
static const char *date_line(void)
{
    static time_t made;
    static char line[64];
    const time_t now = time(NULL);
    if (now != made) {
        char date[48];
        http_date(now, date, sizeof date);
        snprintf(line, sizeof line, "Date: %s\r\n", date);
        made = now;
    }
    return line;
}

/* The head of a reply; format and what follows are further lines, each with its end. */
__attribute__((format(printf, 3, 4))) static void reply_head(struct connection *connection, int status,
                                                             const char *format, ...)
{
    char head[1024];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\n%s%s", status, reason_of(status), date_line(),
                          connection->closing ? "Connection: close\r\n" : "");
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(head + length, sizeof head - (size_t)length, format, arguments);
    va_end(arguments);
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    if (reply_text(connection->reply, head, (size_t)length) != 0)
        end(connection);
}

/* A reply that is its status only. */
static void reply_status(struct connection *connection, int status, bool with_body, const char *field)
{
    char body[128];
    const int length = snprintf(body, sizeof body, "%d %s\n", status, reason_of(status));
    reply_head(connection, status, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n%s", length,
               field);
    if (with_body && !connection->ended && reply_text(connection->reply, body, (size_t)length) != 0)
        end(connection);
}

/* The file, or -1 with errno. Never waits for a FIFO's other end. */
static int open_beneath(const char *path, struct stat *about)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    while (*path == '/')
        path++;
    const int file = (int)syscall(SYS_openat2, server.root, *path != '\0' ? path : ".", &how, sizeof how);
    if (file >= 0 && fstat(file, about) != 0) {
        close(file);
        return -1;
    }
    return file;
}

static int open_file(const char *path, struct stat *about, const char **type)
{
    int file = open_beneath(path, about);
    *type = type_of(path);
    if (file >= 0 && S_ISDIR(about->st_mode)) {
        char index[REQUEST_HEAD_MAX + 16];
        close(file);
        snprintf(index, sizeof index, "%s/index.html", path);
        file = open_beneath(index, about);
        *type = type_of(index);
    }
    if (file >= 0 && !S_ISREG(about->st_mode)) {
        close(file);
        errno = EACCES;
        return -1;
    }
    return file;
}

static void serve_file(struct connection *connection, const struct request *request)
{
    struct stat about;
    char modified[48];
    char field[128];
    const bool with_body = request->method == METHOD_GET;
    const char *type;
    const int file = open_file(request->path, &about, &type);
    if (file < 0) {
        reply_status(connection, errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? 404 : 403, with_body,
                     "");
        return;
    }
    const uint64_t size = (uint64_t)about.st_size;
    uint64_t first = 0, length = size;
    http_date(about.st_mtime, modified, sizeof modified);
    if (request->modified_since != 0 && about.st_mtime <= request->modified_since) {
        close(file);
        reply_head(connection, 304, "Last-Modified: %s\r\n", modified);
        return;
    }
    field[0] = '\0';
    if (request->has_range) {
        if (!request_range(request, size, &first, &length)) {
            close(file);
            snprintf(field, sizeof field, "Content-Range: bytes */%ju\r\n", (uintmax_t)size);
            reply_status(connection, 416, with_body, field);
            return;
        }
        snprintf(field, sizeof field, "Content-Range: bytes %ju-%ju/%ju\r\n", (uintmax_t)first,
                 (uintmax_t)(first + length - 1), (uintmax_t)size);
    }
    reply_head(connection, request->has_range ? 206 : 200,
               "Content-Type: %s\r\nContent-Length: %ju\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n%s", type,
               (uintmax_t)length, modified, field);
    if (!with_body || length == 0 || connection->ended)
        close(file);
    else if (reply_file(connection->reply, file, first, length) != 0)
        end(connection);
}

/* ---- another server's replies ---- */

static void no_upstream(struct connection *connection)
{
    close_upstream(connection);
    reply_status(connection, 502, connection->upstream_method == METHOD_GET, "");
}

/* "/proxy/PORT/path": the port, and what follows it; 0 if that is not it. */
static uint16_t proxy_port(const char *target, const char **rest)
{
    char *stop;
    if (!options.proxy || strncmp(target, "/proxy/", 7) != 0 || target[7] < '0' || target[7] > '9')
        return 0;
    const unsigned long port = strtoul(target + 7, &stop, 10);
    if (port == 0 || port > UINT16_MAX || *stop != '/')
        return 0;
    *rest = stop;
    return (uint16_t)port;
}

/* The other server closes its connection at the end of its reply, and so do we: that is where the reply ends. */
static void ask_upstream(struct connection *connection, const struct request *request, uint16_t port, const char *path)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    connection->closing = true;
    connection->upstream_method = request->method;
    connection->upstream.fd = fd;
    if (asprintf(&connection->question, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
                 request->method == METHOD_GET ? "GET" : "HEAD", path, port) < 0)
        connection->question = NULL;
    if (connection->question == NULL || fd < 0 ||
        (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) ||
        !watch(&connection->upstream, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
        no_upstream(connection);
}

/* As soon as the connection is there. False: not yet, or never. */
static bool send_question(struct connection *connection)
{
    const size_t length = strlen(connection->question); /* which fits the buffer of a fresh socket */
    const ssize_t sent = send(connection->upstream.fd, connection->question, length, 0);
    if (sent == (ssize_t)length) {
        free(connection->question);
        connection->question = NULL;
        return true;
    }
    if (sent < 0 && errno == EAGAIN)
        connection->upstream_ready = false;
    else
        no_upstream(connection);
    return false;
}

/* Fetch what the other server has sent, while little waits for the client. True: something has happened. */
static bool pull_upstream(struct connection *connection)
{
    bool pulled = false;
    if (connection->question != NULL && connection->upstream_ready && !send_question(connection))
        return false;
    while (connection->upstream.fd >= 0 && connection->upstream_ready &&
           reply_bytes(connection->reply) < WAITING_MOST) {
        const ssize_t got = reply_from(connection->reply, connection->upstream.fd);
        if (got < 0 && errno == EINTR)
            continue;
        if (got > 0 || errno != EAGAIN || got == 0)
            pulled = true;
        if (got < 0 && errno == EAGAIN)
            connection->upstream_ready = false;
        else if (got == 0)
            close_upstream(connection);
        else if (got < 0)
            end(connection); /* the client must notice that something is missing */
        if (connection->ended)
            break;
    }
    return pulled;
}

/* ---- a connection's turn ---- */

static void answer(struct connection *connection, const struct request *request)
{
    const char *rest;
    server.requests++;
    connection->closing = connection->closing || !request->keep_alive || server.ending;
    const uint16_t port = proxy_port(request->target, &rest);
    if (port != 0)
        ask_upstream(connection, request, port, rest);
    else
        serve_file(connection, request);
}

/* Answer what has been asked, as far as it makes sense now. */
static void answer_waiting(struct connection *connection)
{
    static struct request request;
    size_t used = 0;
    while (!connection->closing && !connection->ended && reply_bytes(connection->reply) < WAITING_MOST / 4) {
        const int bytes = request_parse(connection->input + used, connection->filled - used, &request);
        if (bytes == 0) {
            connection->closing = connection->input_ended;
            break;
        }
        if (bytes < 0) {
            connection->closing = true;
            reply_status(connection, -bytes, true, bytes == -405 ? "Allow: GET, HEAD\r\n" : "");
            break;
        }
        used += (size_t)bytes;
        answer(connection, &request);
    }
    memmove(connection->input, connection->input + used, connection->filled - used);
    connection->filled -= used;
}

/* False: nothing more to read for now. */
static bool read_input(struct connection *connection)
{
    if (!connection->readable || connection->input_ended || connection->closing ||
        connection->filled == sizeof connection->input)
        return false;
    const ssize_t got = read(connection->client.fd, connection->input + connection->filled,
                             sizeof connection->input - connection->filled);
    if (got > 0) {
        connection->filled += (size_t)got;
        return true;
    }
    if (got == 0)
        connection->input_ended = true; /* what was asked before is still answered */
    else if (errno == EAGAIN)
        connection->readable = false;
    else if (errno != EINTR)
        end(connection);
    return false;
}

static bool send_reply(struct connection *connection)
{
    if (!connection->writable || reply_bytes(connection->reply) == 0)
        return false;
    const ssize_t sent = reply_send(connection->reply, connection->client.fd);
    if (sent >= 0) {
        server.bytes_out += (uint64_t)sent;
        return true;
    }
    if (errno == EAGAIN)
        connection->writable = false;
    else if (errno != EINTR)
        end(connection);
    return false;
}

/* Everything that can be done without waiting. */
static void advance(struct connection *connection)
{
    bool active = true;
    while (active && !connection->ended) {
        active = read_input(connection);
        answer_waiting(connection);
        active = pull_upstream(connection) || active;
        for (int i = 0; i < TURNS_MOST && !connection->ended && send_reply(connection); i++)
            active = true;
    }
    if (!connection->ended && connection->closing && connection->upstream.fd < 0 &&
        reply_bytes(connection->reply) == 0) {
        /* Unread input would turn the end into a reset, and the client might lose the reply's last bytes. */
        (void)shutdown(connection->client.fd, SHUT_WR);
        while (recv(connection->client.fd, connection->input, sizeof connection->input, MSG_DONTWAIT) > 0)
            ;
        end(connection);
    }
}

static void handle(struct source *source, uint32_t events)
{
    struct connection *connection = source->connection;
    switch (source->kind) {
    case KIND_SIGNALS: server.ending = true; return;
    case KIND_LISTENER:
        for (int fd; (fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
            begin(fd);
        return;
    case KIND_CLIENT:
        if ((events & (EPOLLERR | EPOLLHUP)) != 0 && !connection->ended)
            end(connection);
        connection->readable = connection->readable || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
        connection->writable = connection->writable || (events & EPOLLOUT) != 0;
        break;
    case KIND_UPSTREAM: connection->upstream_ready = true;
    }
    if (connection->ended)
        return;
    connection->last = seconds_now();
    advance(connection);
}

/* Connections on which nothing has happened for a while; all that wait for a request, when the server ends. */
static void end_idle(double now)
{
    for (struct connection *connection = server.connections, *next; connection != NULL; connection = next) {
        const bool waits = reply_bytes(connection->reply) == 0 && connection->upstream.fd < 0;
        next = connection->next;
        if (now - connection->last > options.idle_seconds || (server.ending && waits))
            end(connection);
    }
}

static void turn(void)
{
    static double checked;
    struct epoll_event events[256];
    const int count = epoll_wait(server.epoll, events, 256, server.ending ? 50 : 1000);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        handle(events[i].data.ptr, events[i].events);
    const double now = seconds_now();
    if (now - checked > 1 || server.ending) {
        end_idle(now);
        checked = now;
    }
    sweep();
}

/* ---- start ---- */

static const char help[] =
    "usage: %s [OPTION…] DIRECTORY\n"
    "%s\n"
    "\n"
    "GET and HEAD, connections that are kept, requests in a row, Range, If-Modified-Since. The port is printed when it is\n"
    "open.\n"
    "\n"
    "  --address=A   IPv4 address to listen at (127.0.0.1)\n"
    "  --port=PORT   (any)\n"
    "  --proxy       answer /proxy/PORT/PATH with what the server at that port of this machine has to say\n"
    "  --idle=N      seconds until a connection without activity is closed (60)\n"
    "  --stats       one line about work and cost at the end, on standard error\n"
    "  --help        print this text\n"
    "\n"
    "SIGTERM and SIGINT end it: replies under way are finished, for up to five seconds.\n";

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"address", required_argument, NULL, 'a'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"proxy", no_argument, NULL, 'x'},
                                          {"idle", required_argument, NULL, 'i'},
                                          {"stats", no_argument, NULL, 'S'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'a': options.address = optarg; break;
        case 'p': options.port = (uint16_t)number_of("port", optarg, 0, UINT16_MAX); break;
        case 'x': options.proxy = true; break;
        case 'i': options.idle_seconds = (unsigned)number_of("idle", optarg, 1, 86400); break;
        case 'S': options.stats = true; break;
        case 'h': printf(help, program_invocation_short_name, httpd_about); exit(0);
        default: die_option();
        }
    }
    if (optind + 1 != argc)
        die_usage("which DIRECTORY?");
    server.root = open(argv[optind], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (server.root < 0)
        die("%s: %s", argv[optind], strerror(errno));
}

int main(int argc, char **argv)
{
    program_name(argv[0]);
    read_options(argc, argv);
    raise_descriptor_limit();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.signals = (struct source){.kind = KIND_SIGNALS, .fd = signals_to_descriptor()};
    server.listener = (struct source){.kind = KIND_LISTENER, .fd = listen_at(options.address, options.port)};
    if (!watch(&server.signals, EPOLLIN) || !watch(&server.listener, EPOLLIN))
        die("epoll_ctl: %s", strerror(errno));
    printf("http://%s:%u/\n", options.address, port_of(server.listener.fd));
    fflush(stdout);

    while (!server.ending)
        turn();
    const double deadline = seconds_now() + 5;
    close(server.signals.fd);
    close(server.listener.fd);
    while (server.connections != NULL && seconds_now() < deadline)
        turn();
    while (server.connections != NULL)
        end(server.connections);
    sweep();
    if (options.stats) {
        const struct cpu_seconds cpu = cpu_seconds();
        complain("requests %ju bytes_out %ju cpu_user %.3f cpu_system %.3f peak_kib %zu", (uintmax_t)server.requests,
                 (uintmax_t)server.bytes_out, cpu.user, cpu.system, memory_kib("VmHWM"));
    }
    return 0;
}

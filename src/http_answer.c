/*
 * http_answer.c: one request and its answer. Layer 6.
 *
 *     GET TARGET HTTP/1.x, headers        read into a small buffer, for a few seconds
 *     route -> document                   composed into a file in memory, at the speed of memory: locks that this takes
 *                                         are not held while a client reads slowly, and the length is known
 *     head, then the file                 as fast as the client reads; who stands still for long is let go
 *
 * Whoever connects may send anything, or nothing. Everything is bounded: bytes that are read, time between bytes, time in all.
 * A request that is not understood gets a status and a sentence; nothing of it is repeated in the answer.
 *
 * A browser lets any page ask this machine's ports, and a page whose name is made to lead here could read the answers. It would
 * call us by its own name; so on loopback no names count but `localhost` and addresses.
 */
#include "http_answer.h"

#include "json.h"
#include "os.h"
#include "profile.h"
#include "prom.h"
#include "quarry/quarry.h"
#include "reclaim.h"
#include "stats.h"
#include "text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 8 << 10,
    REQUEST_MS = 5000, /* for all of it */
    STALL_MS = 5000,   /* without a byte that the client takes */
    ANSWER_MS = 60000, /* for all of it */
    GOODBYE_MS = 1000, /* for what the client sends after that */
    GOODBYE_BYTES = 64 << 10,
    LOOK_MS = 1000, /* how often to look whether this thread is to end */
    COMPOSE_BYTES = 4 << 10,
    HEAD_BYTES = 512,
};

static_assert(sizeof(struct qyi_stats) <= 64 << 10, "it lies on the thread's stack");

/* ---- waiting ---- */

/* False: not before the deadline, or the thread is to end. */
static bool wait_for(const struct qyi_http_client *client, short events, uint64_t deadline_ms)
{
    while (!atomic_load_explicit(client->ended, memory_order_relaxed)) {
        const uint64_t now_ms = qyi_os_now_ms();
        if (now_ms >= deadline_ms)
            return false;
        struct pollfd wait = {.fd = client->fd, .events = events};
        if (poll(&wait, 1, (int)qyi_min(deadline_ms - now_ms, LOOK_MS)) > 0)
            return true;
    }
    return false;
}

static bool may_come_later(ssize_t result)
{
    return result < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool send_all(const struct qyi_http_client *client, const char *next, size_t left, bool more)
{
    const uint64_t deadline_ms = qyi_os_now_ms() + STALL_MS;
    while (left > 0) {
        const ssize_t sent = send(client->fd, next, left, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (sent > 0) {
            next += sent;
            left -= (size_t)sent;
        } else if (!may_come_later(sent) || !wait_for(client, POLLOUT, deadline_ms)) {
            return false;
        }
    }
    return true;
}

static void send_file(const struct qyi_http_client *client, int file, size_t left)
{
    const uint64_t deadline_ms = qyi_os_now_ms() + ANSWER_MS;
    off_t offset = 0;
    while (left > 0) {
        const ssize_t sent = sendfile(client->fd, file, &offset, left);
        if (sent > 0)
            left -= (size_t)sent;
        else if (!may_come_later(sent) || !wait_for(client, POLLOUT, qyi_min(deadline_ms, qyi_os_now_ms() + STALL_MS)))
            return;
    }
}

/* A socket that is closed with bytes unread takes back what the client has not read yet. */
static void say_goodbye(const struct qyi_http_client *client)
{
    const uint64_t deadline_ms = qyi_os_now_ms() + GOODBYE_MS;
    char unwanted[1024];
    size_t seen = 0;
    if (shutdown(client->fd, SHUT_WR) != 0)
        return;
    while (seen < GOODBYE_BYTES && wait_for(client, POLLIN, deadline_ms)) {
        const ssize_t got = recv(client->fd, unwanted, sizeof unwanted, 0);
        if (got == 0 || (got < 0 && !may_come_later(got)))
            return;
        seen += got > 0 ? (size_t)got : 0;
    }
}

/* ---- answers ---- */

static void put_version(struct qyi_text *text)
{
    qyi_put_number(text, QY_VERSION_MAJOR);
    qyi_put(text, ".");
    qyi_put_number(text, QY_VERSION_MINOR);
    qyi_put(text, ".");
    qyi_put_number(text, QY_VERSION_PATCH);
}

/* False: the client has gone. */
static bool send_head(const struct qyi_http_client *client, const char *status, const char *type, size_t length)
{
    char head[HEAD_BYTES];
    struct qyi_text text = {.start = head, .capacity = sizeof head, .fd = -1};
    qyi_put(&text, "HTTP/1.1 ");
    qyi_put(&text, status);
    qyi_put(&text, "\r\nServer: quarry/");
    put_version(&text);
    qyi_put(&text, "\r\nContent-Type: ");
    qyi_put(&text, type);
    qyi_put(&text, "\r\nContent-Length: ");
    qyi_put_number(&text, length);
    qyi_put(&text, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
    return send_all(client, head, text.length, !client->head_only);
}

static const char PLAIN[] = "text/plain; charset=utf-8";

/* status, and a sentence for who reads it. */
static void refuse(const struct qyi_http_client *client, const char *status, const char *sentence)
{
    char body[HEAD_BYTES];
    struct qyi_text text = {.start = body, .capacity = sizeof body, .fd = -1};
    qyi_put(&text, sentence);
    qyi_put(&text, "\n");
    if (send_head(client, status, PLAIN, text.length) && !client->head_only)
        send_all(client, body, text.length, false);
}

static void put_index(struct qyi_text *text)
{
    qyi_put(text, "quarry ");
    put_version(text);
    qyi_put(text, ", ");
    qyi_put_printable(text, program_invocation_short_name);
    qyi_put(text, " (pid ");
    qyi_put_number(text, (uint64_t)getpid());
    qyi_put(text, "): /metrics /stats.json /debug/pprof/heap /debug/pprof/heap?debug=1\n");
}

static void put_metrics(struct qyi_text *text)
{
    struct qyi_stats stats;
    qyi_stats_collect(&stats);
    qyi_stats_measure(&stats);
    qyi_prom_put(text, &stats);
}

static void put_numbers(struct qyi_text *text)
{
    struct qyi_stats stats;
    qyi_stats_collect(&stats);
    qyi_stats_measure(&stats);
    qyi_json_put(text, &stats, "http");
}

static const struct document {
    const char *path;
    bool profile;    /* there only if the program is profiled */
    bool text_query; /* for "?debug=1" */
    const char *type;
    void (*put)(struct qyi_text *text);
} documents[] = {
    {"/", false, false, PLAIN, put_index},
    {"/metrics", false, false, "text/plain; version=0.0.4; charset=utf-8", put_metrics},
    {"/stats.json", false, false, "application/json", put_numbers},
    {"/debug/pprof/heap", true, false, "application/octet-stream", qyi_profile_put_pprof},
    {"/debug/pprof/heap", true, true, PLAIN, qyi_profile_put_legacy},
};

static void send_document(const struct qyi_http_client *client, const struct document *document)
{
    char buffer[COMPOSE_BYTES];
    const int file = qyi_os_memory_file("quarry-http");
    struct qyi_text text = {.start = buffer, .capacity = sizeof buffer, .fd = file};
    document->put(&text);
    qyi_text_flush(&text);
    const off_t length = text.failed ? -1 : lseek(file, 0, SEEK_CUR);
    if (length < 0)
        refuse(client, "503 Service Unavailable", "There is no memory for the answer.");
    else if (send_head(client, "200 OK", document->type, (size_t)length) && !client->head_only)
        send_file(client, file, (size_t)length);
    if (file >= 0)
        close(file);
}

/* ---- requests ---- */

struct piece {
    const char *text;
    size_t length;
};

static bool is(struct piece piece, const char *text)
{
    return piece.length == strlen(text) && memcmp(piece.text, text, piece.length) == 0;
}

static bool starts_with(struct piece piece, const char *text)
{
    return piece.length >= strlen(text) && memcmp(piece.text, text, strlen(text)) == 0;
}

/* Cuts off and returns the part before the first separator, which goes too; all of it when there is none. */
static struct piece take_part(struct piece *rest, char separator)
{
    const char *end = rest->length == 0 ? NULL : memchr(rest->text, separator, rest->length);
    const struct piece part = {rest->text, end == NULL ? rest->length : (size_t)(end - rest->text)};
    const size_t taken = qyi_min(part.length + 1, rest->length);
    *rest = (struct piece){rest->text + taken, rest->length - taken};
    return part;
}

/* Lines end in CR LF, those of careless clients in LF. */
static struct piece take_line(struct piece *rest)
{
    struct piece line = take_part(rest, '\n');
    if (line.length > 0 && line.text[line.length - 1] == '\r')
        line.length--;
    return line;
}

static bool is_complete(struct piece request)
{
    struct piece rest = request;
    while (rest.length > 0) {
        const struct piece line = take_line(&rest);
        if (line.length == 0 && line.text != request.text && rest.text[-1] == '\n')
            return true;
    }
    return false;
}

/* The value of a header; length 0: there is none. */
static struct piece find_header(struct piece headers, const char *name)
{
    const size_t name_length = strlen(name);
    while (headers.length > 0) {
        struct piece line = take_line(&headers);
        if (line.length <= name_length || line.text[name_length] != ':' ||
            strncasecmp(line.text, name, name_length) != 0)
            continue;
        take_part(&line, ':');
        while (line.length > 0 && (line.text[0] == ' ' || line.text[0] == '\t'))
            line = (struct piece){line.text + 1, line.length - 1};
        while (line.length > 0 && (line.text[line.length - 1] == ' ' || line.text[line.length - 1] == '\t'))
            line.length--;
        return line;
    }
    return (struct piece){0};
}

/* "localhost", or an address, with or without a port. */
static bool is_this_machine(struct piece host)
{
    if (host.length == 0 || host.text[0] == '[')
        return true;
    const struct piece name = take_part(&host, ':');
    if (name.length == strlen("localhost") && strncasecmp(name.text, "localhost", name.length) == 0)
        return true;
    for (size_t i = 0; i < name.length; i++) {
        if (name.text[i] != '.' && (name.text[i] < '0' || name.text[i] > '9'))
            return false;
    }
    return true;
}

/* The value of a parameter, if it is there and neither empty nor "0". */
static bool is_set(struct piece query, const char *name)
{
    while (query.length > 0) {
        struct piece value = take_part(&query, '&');
        if (is(take_part(&value, '='), name))
            return value.length != 0 && !is(value, "0");
    }
    return false;
}

static void answer_target(const struct qyi_http_client *client, struct piece target)
{
    if (starts_with(target, "http://")) { /* as proxies are asked */
        target.text += strlen("http://");
        target.length -= strlen("http://");
        const char *path = memchr(target.text, '/', target.length);
        target =
            path == NULL ? (struct piece){"/", 1} : (struct piece){path, target.length - (size_t)(path - target.text)};
    }
    const struct piece path = take_part(&target, '?'); /* what is left is the query */
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        const struct document *document = &documents[i];
        if (!is(path, document->path) || (document->profile && document->text_query != is_set(target, "debug")))
            continue;
        if (document->profile && !qyi_profile_is_on())
            refuse(client, "404 Not Found", "There is no profile: start the program with QUARRY_PROF=1.");
        else if (document->profile && is_set(target, "seconds"))
            refuse(client, "400 Bad Request", "This profile is of the present; take two, and compare them.");
        else
            send_document(client, document);
        return;
    }
    refuse(client, "404 Not Found", "There are /metrics, /stats.json and /debug/pprof/heap.");
}

/*
 * The one thing that is not reading. A port of this machine is everybody's, other users' and web pages' too; a socket in the file system
 * is its owner's, who could as well attach a debugger.
 */
static void trim(const struct qyi_http_client *client)
{
    char body[HEAD_BYTES];
    struct qyi_text text = {.start = body, .capacity = sizeof body, .fd = -1};
    if (!client->by_owner) {
        refuse(client, "403 Forbidden", "Only by a socket in the file system: http:unix:/path.");
        return;
    }
    qyi_put_number(&text, qyi_reclaim_all());
    qyi_put(&text, "\n");
    if (send_head(client, "200 OK", PLAIN, text.length))
        send_all(client, body, text.length, false);
}

static void answer_request(struct qyi_http_client *client, struct piece request)
{
    struct piece line = take_line(&request);
    const struct piece method = take_part(&line, ' ');
    const struct piece target = take_part(&line, ' ');
    client->head_only = is(method, "HEAD");
    if (method.length == 0 || target.length == 0 || !starts_with(line, "HTTP/") ||
        (target.text[0] != '/' && !starts_with(target, "http://")))
        refuse(client, "400 Bad Request", "This is not understood.");
    else if (!starts_with(line, "HTTP/1."))
        refuse(client, "505 HTTP Version Not Supported", "The version is 1.1 here.");
    else if (is(method, "POST") && is(target, "/trim"))
        trim(client);
    else if (!is(method, "GET") && !client->head_only)
        refuse(client, "405 Method Not Allowed\r\nAllow: GET, HEAD", "There is nothing here but to read.");
    else if (!client->by_name && !is_this_machine(find_header(request, "Host")))
        refuse(client, "421 Misdirected Request", "Ask by address, or by the name of localhost.");
    else
        answer_target(client, target);
}

/* Every request begins with a letter: what does not, TLS say, need not be waited for. */
static bool can_be_request(const char *start)
{
    return *start >= 'A' && *start <= 'Z';
}

void qyi_http_answer(struct qyi_http_client *client)
{
    const uint64_t deadline_ms = qyi_os_now_ms() + REQUEST_MS;
    char buffer[REQUEST_BYTES];
    struct piece request = {buffer, 0};
    while (!is_complete(request)) {
        if (request.length == sizeof buffer) {
            refuse(client, "431 Request Header Fields Too Large", "A request of this size is not read.");
            break;
        }
        const ssize_t got = recv(client->fd, buffer + request.length, sizeof buffer - request.length, 0);
        if (got > 0) {
            request.length += (size_t)got;
        } else if (!may_come_later(got)) {
            return; /* hung up */
        } else if (!wait_for(client, POLLIN, deadline_ms)) {
            refuse(client, "408 Request Timeout", "The request did not come in time.");
            return;
        }
        if (request.length > 0 && !can_be_request(buffer)) {
            refuse(client, "400 Bad Request", "This is not HTTP.");
            break;
        }
    }
    if (is_complete(request) && can_be_request(buffer))
        answer_request(client, request);
    say_goodbye(client);
}

/*
 * httpd-copy.c: the twin of httpd.c that copies: everything passes through the connection's buffer, files by read() and write().
 */
#define _GNU_SOURCE
#include "httpd-server.h"

#include "program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char httpd_about[] =
    "An HTTP/1.1 server of static files that reads contents into a buffer and writes them from there.";

enum { FILE_PIECE = 128 << 10, UPSTREAM_PIECE = 64 << 10, FILE_WEIGHT = 4 << 10 };

struct part {
    int file;
    off_t offset;
    uint64_t length;
    size_t before; /* bytes of text that come before it, after the part before */
};

struct reply {
    char *bytes;
    size_t first, end, room;
    struct part *parts;
    size_t parts_first, parts_end, parts_room;
    size_t text_after; /* bytes in the buffer that come after the last part */
};

struct reply *reply_new(void)
{
    return calloc(1, sizeof(struct reply));
}

void reply_free(struct reply *reply)
{
    for (size_t i = reply->parts_first; i < reply->parts_end; i++)
        close(reply->parts[i].file);
    free(reply->parts);
    free(reply->bytes);
    free(reply);
}

/* A file counts at least as FILE_WEIGHT, so that nobody makes us hold thousands open. */
size_t reply_bytes(const struct reply *reply)
{
    uint64_t bytes = reply->end - reply->first;
    for (size_t i = reply->parts_first; i < reply->parts_end; i++)
        bytes += reply->parts[i].length + FILE_WEIGHT;
    return bytes;
}

/* Room for that many bytes at the end. */
static int make_room(struct reply *reply, size_t bytes)
{
    if (reply->room - reply->end >= bytes)
        return 0;
    const size_t used = reply->end - reply->first;
    if (reply->room - used < bytes) {
        size_t room = reply->room != 0 ? reply->room : 4 * KIB;
        while (room - used < bytes)
            room *= 2;
        char *larger = realloc(reply->bytes, room);
        if (larger == NULL)
            return -1;
        reply->bytes = larger;
        reply->room = room;
    }
    memmove(reply->bytes, reply->bytes + reply->first, used);
    reply->first = 0;
    reply->end = used;
    return 0;
}

int reply_text(struct reply *reply, const char *text, size_t length)
{
    if (make_room(reply, length) != 0)
        return -1;
    memcpy(reply->bytes + reply->end, text, length);
    reply->end += length;
    reply->text_after += length;
    return 0;
}

int reply_file(struct reply *reply, int file, uint64_t offset, uint64_t length)
{
    if (reply->parts_end == reply->parts_room) {
        const size_t room = reply->parts_room != 0 ? 2 * reply->parts_room : 8;
        struct part *parts = realloc(reply->parts, room * sizeof *parts);
        if (parts == NULL) {
            close(file);
            return -1;
        }
        reply->parts = parts;
        reply->parts_room = room;
    }
    reply->parts[reply->parts_end++] =
        (struct part){.file = file, .offset = (off_t)offset, .length = length, .before = reply->text_after};
    reply->text_after = 0;
    return 0;
}

ssize_t reply_from(struct reply *reply, int socket)
{
    if (make_room(reply, UPSTREAM_PIECE) != 0)
        return -1;
    const ssize_t got = read(socket, reply->bytes + reply->end, UPSTREAM_PIECE);
    if (got > 0) {
        reply->end += (size_t)got;
        reply->text_after += (size_t)got;
    }
    return got;
}

/* A piece of the file whose turn it is, by way of a buffer that all connections use: what the socket does not take is read again. */
static ssize_t send_file(struct reply *reply, int socket)
{
    static char buffer[FILE_PIECE];
    struct part *part = &reply->parts[reply->parts_first];
    const size_t most = part->length < sizeof buffer ? (size_t)part->length : sizeof buffer;
    const ssize_t got = pread(part->file, buffer, most, part->offset);
    if (got <= 0) {
        if (got == 0)
            errno = EIO;
        return -1;
    }
    const ssize_t sent = write(socket, buffer, (size_t)got);
    if (sent <= 0)
        return sent;
    part->offset += sent;
    part->length -= (uint64_t)sent;
    if (part->length == 0) {
        close(part->file);
        reply->parts_first++;
        if (reply->parts_first == reply->parts_end)
            reply->parts_first = reply->parts_end = 0;
    }
    return sent;
}

ssize_t reply_send(struct reply *reply, int socket)
{
    struct part *part = reply->parts_first != reply->parts_end ? &reply->parts[reply->parts_first] : NULL;
    size_t *text = part != NULL ? &part->before : &reply->text_after;
    if (*text == 0)
        return send_file(reply, socket);
    const ssize_t sent = send(socket, reply->bytes + reply->first, *text, part != NULL ? MSG_MORE : 0);
    if (sent > 0) {
        *text -= (size_t)sent;
        reply->first += (size_t)sent;
        if (reply->first == reply->end)
            reply->first = reply->end = 0;
    }
    return sent;
}

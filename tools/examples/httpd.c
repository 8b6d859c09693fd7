/*
 * httpd.c: an HTTP server that copies no content.
 *
 *     reply:  [head][file 3, bytes 0 to 5 M][head, head][slice of what another server sends]...
 *               |            |                                |
 *            writev()   sendfile()                        writev()
 *
 * Small files are read in behind their heads. Heads are written into a block of which each is a slice; several that follow each other are one. Bytes of another server are
 * read into blocks and go out from there. What stands in the queue owns a reference or a file descriptor, so a client may be as
 * slow as it likes.
 */
#define _GNU_SOURCE
#include "httpd-server.h"

#include "program.h"

#include <quarry/slice.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

const char httpd_about[] = "An HTTP/1.1 server of static files: sendfile for contents, slices for everything else.";

/* Up to SMALL_FILE bytes, reading a file is cheaper than sendfile(). */
enum { TEXT_BLOCK = 16 << 10, SMALL_FILE = 16 << 10, UPSTREAM_BLOCK = 64 << 10, PIECES_AT_ONCE = 64 };

/* Bytes, or a part of a file. */
struct piece {
    qy_slice bytes; /* length 0: a file */
    int file;
    off_t offset;
    uint64_t length; /* of the file's part */
};

struct reply {
    struct piece *pieces;
    size_t first, end, room;
    size_t waiting;      /* bytes in memory, and the weight of files */
    qy_slice text;       /* free rest of the block that heads are written to */
    qy_slice from_other; /* free rest of the block that another server's bytes are read to */
};

struct reply *reply_new(void)
{
    return calloc(1, sizeof(struct reply));
}

static void piece_drop(struct piece *piece)
{
    if (piece->bytes.iov_len != 0)
        qy_slice_drop(&piece->bytes);
    else
        close(piece->file);
}

void reply_free(struct reply *reply)
{
    for (size_t i = reply->first; i < reply->end; i++)
        piece_drop(&reply->pieces[i]);
    qy_slice_drop(&reply->text);
    qy_slice_drop(&reply->from_other);
    free(reply->pieces);
    free(reply);
}

bool reply_waits(const struct reply *reply)
{
    return reply->first != reply->end;
}

size_t reply_bytes(const struct reply *reply)
{
    return reply->waiting;
}

/* Takes the piece. */
static int append(struct reply *reply, struct piece piece)
{
    if (reply->end == reply->room) {
        const size_t room = reply->room != 0 ? 2 * reply->room : 8;
        struct piece *pieces = realloc(reply->pieces, room * sizeof *pieces);
        if (pieces == NULL) {
            piece_drop(&piece);
            return -1;
        }
        reply->pieces = pieces;
        reply->room = room;
    }
    reply->pieces[reply->end++] = piece;
    return 0;
}

/* Takes the bytes; those that follow the last piece in its block make it longer. */
static int append_bytes(struct reply *reply, qy_slice bytes)
{
    struct piece *last = reply_waits(reply) ? &reply->pieces[reply->end - 1] : NULL;
    const size_t length = bytes.iov_len;
    if ((last == NULL || last->bytes.iov_len == 0 || qy_slice_unsplit(&last->bytes, &bytes) != 0) &&
        append(reply, (struct piece){.bytes = bytes, .file = -1}) != 0)
        return -1;
    reply->waiting += length;
    return 0;
}

/* At least `least` bytes to write to. */
static bool have_room(qy_slice *rest, size_t least, size_t block)
{
    if (rest->iov_len >= least)
        return true;
    qy_slice fresh = qy_slice_new(block > least ? block : least);
    if (fresh.iov_len == 0)
        return false;
    qy_slice_drop(rest);
    *rest = fresh;
    return true;
}

int reply_text(struct reply *reply, const char *text, size_t length)
{
    if (!have_room(&reply->text, length, TEXT_BLOCK))
        return -1;
    memcpy(reply->text.iov_base, text, length);
    const qy_slice front = qy_slice_split_to(&reply->text, length);
    return front.iov_len == 0 ? -1 : append_bytes(reply, front);
}

/* All of it, right behind the head, in whose block it often still fits: one system call sends both. */
static int append_small_file(struct reply *reply, int file, uint64_t offset, size_t length)
{
    if (!have_room(&reply->text, length, TEXT_BLOCK)) {
        close(file);
        return -1;
    }
    const ssize_t got = pread(file, reply->text.iov_base, length, (off_t)offset);
    close(file);
    if (got != (ssize_t)length)
        return -1;
    const qy_slice front = qy_slice_split_to(&reply->text, length);
    return front.iov_len == 0 ? -1 : append_bytes(reply, front);
}

int reply_file(struct reply *reply, int file, uint64_t offset, uint64_t length)
{
    if (length <= SMALL_FILE)
        return append_small_file(reply, file, offset, (size_t)length);
    reply->waiting += FILE_WEIGHT;
    return append(reply, (struct piece){.file = file, .offset = (off_t)offset, .length = length});
}

ssize_t reply_from(struct reply *reply, int socket)
{
    if (!have_room(&reply->from_other, UPSTREAM_BLOCK / 4, UPSTREAM_BLOCK))
        return -1;
    const ssize_t got = read(socket, reply->from_other.iov_base, reply->from_other.iov_len);
    if (got <= 0)
        return got;
    const qy_slice front = qy_slice_split_to(&reply->from_other, (size_t)got);
    if (front.iov_len == 0 || append_bytes(reply, front) != 0)
        return -1;
    return got;
}

/* The first piece is done with. */
static void advance(struct reply *reply)
{
    piece_drop(&reply->pieces[reply->first++]);
    if (reply->first == reply->end)
        reply->first = reply->end = 0;
}

static ssize_t send_file(struct reply *reply, int socket)
{
    struct piece *piece = &reply->pieces[reply->first];
    const size_t most = piece->length < MIB ? (size_t)piece->length : MIB;
    const ssize_t sent = sendfile(socket, piece->file, &piece->offset, most);
    if (sent == 0) {
        errno = EIO; /* shorter than it was: the client must notice */
        return -1;
    }
    if (sent > 0) {
        piece->length -= (uint64_t)sent;
        if (piece->length == 0) {
            reply->waiting -= FILE_WEIGHT;
            advance(reply);
        }
    }
    return sent;
}

ssize_t reply_send(struct reply *reply, int socket)
{
    struct iovec pieces[PIECES_AT_ONCE];
    size_t count = 0;
    if (reply->pieces[reply->first].bytes.iov_len == 0)
        return send_file(reply, socket);
    for (size_t i = reply->first; i < reply->end && count < PIECES_AT_ONCE && reply->pieces[i].bytes.iov_len != 0; i++)
        pieces[count++] = reply->pieces[i].bytes;
    /* A head goes out together with the beginning of the file that follows. */
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    const ssize_t sent = sendmsg(socket, &message, reply->first + count < reply->end ? MSG_MORE : 0);
    if (sent < 0)
        return sent;
    reply->waiting -= (size_t)sent;
    for (size_t left = (size_t)sent; left != 0;) {
        qy_slice *bytes = &reply->pieces[reply->first].bytes;
        if (left < bytes->iov_len) {
            (void)qy_slice_advance(bytes, left);
            break;
        }
        left -= bytes->iov_len;
        advance(reply);
    }
    return sent;
}

/*
 * httpd.c: an HTTP server that copies no content.
 *
 *     reply:  [head][part of a file][head, small file, head][what another server sends]...
 *
 * Everything that waits is a slice of a chain, and all of it goes to qy_chain_send(), which writes bytes from memory and hands
 * parts of files to sendfile(). Heads and small files are written into a block that they share. A file is opened and registered
 * once, and each reply has a reference to its part. Bytes of another server are read into blocks and go out from there. A
 * client may be as slow as it likes: a slice keeps what it needs, memory or file.
 */
#define _GNU_SOURCE
#include "httpd-server.h"

#include <quarry/io.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

const char httpd_about[] = "An HTTP/1.1 server of static files: sendfile for contents, slices for everything.";

/* Up to SMALL_FILE bytes, reading a file is cheaper than sendfile(). */
enum { TEXT_BLOCK = 16 << 10, SMALL_FILE = 16 << 10, UPSTREAM_BLOCK = 64 << 10 };

struct reply {
    qy_chain waiting;
    qy_slice text;       /* free rest of the block that heads are written to */
    qy_slice from_other; /* free rest of the block that another server's bytes are read to */
};

struct reply *reply_new(void)
{
    struct reply *reply = calloc(1, sizeof *reply);
    if (reply != NULL)
        qy_chain_init(&reply->waiting);
    return reply;
}

void reply_free(struct reply *reply)
{
    qy_chain_clear(&reply->waiting);
    qy_slice_drop(&reply->text);
    qy_slice_drop(&reply->from_other);
    free(reply);
}

size_t reply_bytes(const struct reply *reply)
{
    return qy_chain_bytes(&reply->waiting);
}

/* Takes the slice. */
static int append(struct reply *reply, qy_slice slice)
{
    if (slice.iov_len == 0) /* what could not be made */
        return -1;
    if (qy_chain_push(&reply->waiting, slice) != 0) {
        qy_slice_drop(&slice);
        return -1;
    }
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
    return append(reply, qy_slice_split_to(&reply->text, length));
}

/* Right behind the head, in whose block it often still fits: one system call sends both. */
static int append_small_file(struct reply *reply, int file, uint64_t offset, size_t length)
{
    if (!have_room(&reply->text, length, TEXT_BLOCK) ||
        pread(file, reply->text.iov_base, length, (off_t)offset) != (ssize_t)length)
        return -1;
    return append(reply, qy_slice_split_to(&reply->text, length));
}

/* Files that were asked for lately, whole, shared by all replies. A file that has changed is another one. */
static struct known_file {
    struct stat about;
    qy_slice all;
} known_files[64];

static struct known_file *known_file(int file)
{
    struct stat about;
    if (fstat(file, &about) != 0)
        return NULL;
    struct known_file *known = &known_files[about.st_ino % (sizeof known_files / sizeof known_files[0])];
    if (known->all.iov_len != 0 && known->about.st_ino == about.st_ino && known->about.st_dev == about.st_dev &&
        known->about.st_size == about.st_size && known->about.st_mtim.tv_sec == about.st_mtim.tv_sec &&
        known->about.st_mtim.tv_nsec == about.st_mtim.tv_nsec)
        return known;
    qy_slice_drop(&known->all); /* replies that are under way keep it */
    known->all = qy_slice_file(file, 0, 0);
    known->about = about;
    return known;
}

static int append_file(struct reply *reply, int file, uint64_t offset, size_t length)
{
    const struct known_file *known = known_file(file);
    return known != NULL ? append(reply, qy_slice_sub(known->all, offset, length)) : -1;
}

int reply_file(struct reply *reply, int file, uint64_t offset, uint64_t length)
{
    const int result = length <= SMALL_FILE ? append_small_file(reply, file, offset, (size_t)length)
                                            : append_file(reply, file, offset, (size_t)length);
    close(file);
    return result;
}

ssize_t reply_from(struct reply *reply, int socket)
{
    if (!have_room(&reply->from_other, UPSTREAM_BLOCK / 4, UPSTREAM_BLOCK))
        return -1;
    const ssize_t got = read(socket, reply->from_other.iov_base, reply->from_other.iov_len);
    if (got <= 0)
        return got;
    return append(reply, qy_slice_split_to(&reply->from_other, (size_t)got)) == 0 ? got : -1;
}

ssize_t reply_send(struct reply *reply, int socket)
{
    return qy_chain_send(socket, &reply->waiting, 0);
}

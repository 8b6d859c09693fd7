/*
 * httpd-server.h: an HTTP/1.1 server of static files, without the part in which httpd.c and httpd-copy.c differ: how bytes get
 * from a file or from another server to the client's socket.
 */
#ifndef EXAMPLES_HTTPD_SERVER_H
#define EXAMPLES_HTTPD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* For --help. */
extern const char httpd_about[];

/* What waits for a client's socket, in order. */
struct reply;

struct reply *reply_new(void);
void reply_free(struct reply *reply);

/* Text, copied. -1 without memory. */
int reply_text(struct reply *reply, const char *text, size_t length);

/* length bytes of a file from offset on; takes the descriptor, also on failure. */
int reply_file(struct reply *reply, int file, uint64_t offset, uint64_t length);

/* Read from another server's socket and append what comes. The bytes; 0 at the end; -1 with errno. */
ssize_t reply_from(struct reply *reply, int socket);

/* Bytes that wait. */
size_t reply_bytes(const struct reply *reply);

/* Send some of it. The bytes sent; -1 with errno: EAGAIN; EIO for a file that has become shorter, or another one. */
ssize_t reply_send(struct reply *reply, int socket);

#endif

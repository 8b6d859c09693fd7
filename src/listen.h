/*
 * listen.h: a listening socket that only this machine, or this user, can reach. Layer 6.
 */
#ifndef QYI_LISTEN_H
#define QYI_LISTEN_H

#include "base.h"
#include "fatal.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct qyi_listener {
    int fd;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_un path;
    } address;
    socklen_t address_bytes;
    bool everywhere; /* not on loopback alone: it has been asked for by name */
    bool picked;     /* the port, by the system */
    dev_t device;    /* of the socket that was made at the path, */
    ino_t inode;     /* so that nobody else's is removed */
};

/* What can be written: for messages. */
extern QYI_HIDDEN const char qyi_listen_forms[];

/*
 * Take an address apart: "unix:/path" ("%p" in it is the process id), "127.0.0.1:PORT", "localhost:PORT", "[::1]:PORT", or
 * "any:PORT". NULL, or what is wrong with it.
 */
const char *qyi_listen_parse(struct qyi_listener *listener, const char *text, size_t length);

/* Make the socket. NULL, or what failed; errno then says why, EADDRINUSE that another process listens there. */
const char *qyi_listen_open(struct qyi_listener *listener);

/* The address as it can be used, with the port that was picked. */
void qyi_listen_put(struct qyi_line *line, const struct qyi_listener *listener);

/* Remove the socket's path, if it is still the one that was made. */
void qyi_listen_remove(const struct qyi_listener *listener);

#endif

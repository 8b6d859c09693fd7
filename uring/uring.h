/*
 * uring.h: what the files of the io_uring library share.
 */
#ifndef QYI_URING_H
#define QYI_URING_H

#include "quarry/uring.h"

#include <liburing.h>
#include <pthread.h>

/* A request in flight; its address plus one is its user_data. */
struct qyi_request {
    enum qy_uring_kind kind;
    int socket;
    void *context;
    struct qyi_request *next, *prev; /* of the ring's */
    bool reported;                   /* a send's event has been handed out; what is missing is the notification */
    bool copying;                    /* a send that is to be, or has been, made anew by copying */
    int flags;
    struct msghdr message;
    size_t count;
    qy_slice slices[];
};

/* Buffers that the kernel receives into. Lives until the last of them has come back after the ring's end. */
struct qyi_provided {
    /* constant */
    unsigned count;
    size_t bytes;
    char *start;
    qy_arena *arena;
    /* under the lock: buffers come back in any thread */
    pthread_mutex_t lock;
    struct io_uring_buf_ring *ring; /* NULL: closed */
    unsigned returned;              /* blocks that are the arena's again, once closed */
    bool out[];                     /* by number: somebody has a slice of it */
};

struct qy_uring {
    struct io_uring ring;
    bool can_send_zc;
    size_t send_bytes, slice_bytes, registered_bytes;
    qy_arena *arena; /* registered */
    struct qyi_provided *provided;
    struct qyi_request *requests;
    size_t pending;
};

enum { QYI_URING_GROUP = 0x5159 };

/* NULL and errno. */
struct qyi_provided *qyi_provided_new(struct io_uring *ring, unsigned count, size_t bytes);

/* The buffer of this number, which the kernel has filled. */
qy_slice qyi_provided_take(struct qyi_provided *provided, unsigned number, size_t length);

/* The kernel does not use them any more. */
void qyi_provided_close(struct qyi_provided *provided);

#endif

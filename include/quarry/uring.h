/*
 * uring.h: slices and io_uring. In a library of its own, -lquarry-uring, which needs liburing.
 *
 *     send       takes slices and lets go of them when the kernel has done with their bytes
 *     receive    one request, many events: each brings a slice that the kernel has filled; its last release, anywhere,
 *                gives the buffer back to the kernel
 *     arena      (arena.h) registered once: its slices are sent by the number of their buffer, without pinning a page
 *
 * A qy_uring owns a ring; other requests can be made on it beside its own: qy_uring_ring().
 *
 * Threads    one at a time per qy_uring. The slices may be used and released by any.
 * fork       a child must neither use a qy_uring nor release slices that it received: what is in flight is the
 *            parent's.
 * Errors     a kernel without io_uring is ENOSYS, a sandbox that forbids it EPERM (or whatever it says), from
 *            qy_uring_new(): nothing else fails for that reason. Kernels before 6.1 copy what they send.
 */
#ifndef QUARRY_URING_H
#define QUARRY_URING_H

#include "quarry/arena.h"
#include "quarry/chain.h"

#ifdef __cplusplus
extern "C" {
#endif

struct io_uring;
typedef struct qy_uring qy_uring;

/*
 * Make a ring.
 *
 * entries    requests that can be prepared before they are handed to the kernel, as of io_uring_queue_init().
 * Returns    the ring; NULL with errno as of io_uring_setup(), or ENOMEM.
 */
QY_API qy_uring *qy_uring_new(unsigned entries);

/*
 * The ring itself, for requests of other kinds. Their user_data must be even (a pointer is); their completions come as
 * QY_URING_OTHER.
 */
QY_API struct io_uring *qy_uring_ring(qy_uring *uring);

/*
 * Register the buffers of an arena with the ring, one arena at most (EBUSY). The arena is pinned until qy_uring_free().
 *
 * Returns    0; or -1 with ENOMEM (RLIMIT_MEMLOCK does not allow so much) or errno as of io_uring_register(): then its
 *            slices are sent like any others.
 */
QY_API int qy_uring_register_arena(qy_uring *uring, qy_arena *arena);

/*
 * From which sizes on not to copy: bytes of a send, and bytes of its slices on average. Defaults: 32 KiB and 8 KiB.
 * For a single slice of the registered arena: registered_bytes, 8 KiB.
 */
QY_API void qy_uring_set_limits(qy_uring *uring, size_t send_bytes, size_t slice_bytes, size_t registered_bytes);

/*
 * Prepare to send slices; they go to the kernel at the next qy_uring_next() or io_uring_submit(), or when the ring is
 * full.
 *
 * slices     taken, and emptied, if the call succeeds; at most IOV_MAX.
 * flags      as of send(); MSG_WAITALL is added, so that a stream takes everything or fails. The socket must not have
 *            O_NONBLOCK.
 * context    comes back in the event QY_URING_SENT. Several sends by one stream may overtake each other: wait for the
 *            event.
 * Returns    0; or -1 with ENOMEM, EINVAL (nothing to send, too many slices, or bytes beyond INT_MAX) or errno as of
 *            io_uring_enter(): the slices are the caller's.
 * Fall-back  sockets that cannot send without copying (AF_UNIX) copy. If the ring has no place for that second attempt, the
 *            event's result says why (-EAGAIN).
 * Cost       one small allocation.
 */
QY_API int qy_uring_send(qy_uring *uring, int socket, qy_slice *slices, size_t count, int flags, void *context);

/* The same for all of a chain, which is empty afterwards. One reference to each slice is added and another dropped. */
QY_API int qy_uring_send_chain(qy_uring *uring, int socket, qy_chain *chain, int flags, void *context);

/*
 * Hand buffers to the kernel for receiving, once per ring (EBUSY).
 *
 * count      a power of two up to 2^15 (EINVAL).
 * bytes      of each, rounded up to a power of two from 64 to 64 KiB (EINVAL beyond).
 * Returns    0; or -1 with ENOMEM, ENOSYS or EINVAL (kernels before 5.19).
 */
QY_API int qy_uring_provide(qy_uring *uring, unsigned count, size_t bytes);

/*
 * Receive by a socket until it ends or qy_uring_cancel() is called. After qy_uring_provide() (EINVAL).
 *
 * Returns    0; or -1 with ENOMEM or errno as of io_uring_enter().
 */
QY_API int qy_uring_receive(qy_uring *uring, int socket, void *context);

/* End the receiving with this context: its last event has -ECANCELED as result. Returns 0; or -1 with ENOENT. */
QY_API int qy_uring_cancel(qy_uring *uring, const void *context);

enum qy_uring_kind {
    /* result: bytes, or a negative errno value. The slices are let go when the kernel has done with them */
    QY_URING_SENT,
    /* result: bytes of the slice; 0: the end of the stream; or a negative errno value. -ENOBUFS: all buffers are out,
     * receive anew when some have been released */
    QY_URING_RECEIVED,
    /* context: the request's user_data; result and flags: of its completion */
    QY_URING_OTHER,
};

struct qy_uring_event {
    enum qy_uring_kind kind;
    int result;
    void *context;
    qy_slice slice; /* the caller's */
    unsigned flags; /* QY_URING_OTHER */
    bool more;      /* QY_URING_RECEIVED: others will follow; false: qy_uring_receive() must be called anew */
};

/*
 * Hand what is prepared to the kernel, and wait for an event.
 *
 * timeout_ms to wait at most; 0: only look; -1: without end.
 * Returns    1 and the event; 0 when there is none; -1 with errno as of io_uring_enter(): EINTR, or EAGAIN (the kernel
 *            has no memory for what is prepared, which stays prepared).
 */
QY_API int qy_uring_next(qy_uring *uring, struct qy_uring_event *event, int timeout_ms);

/* Requests in flight, those whose bytes the kernel still reads among them. */
QY_API size_t qy_uring_pending(const qy_uring *uring);

/*
 * End the ring: cancel what is in flight, and wait until the kernel reads none of its bytes any more. Events that have
 * not been looked at are lost.
 *
 * uring      taken if the call succeeds; NULL is allowed.
 * timeout_ms to wait at most; -1: without end. A peer that acknowledges nothing can keep bytes in flight for long.
 * Returns    0; or -1 with ETIMEDOUT, or EAGAIN as of qy_uring_next(): the ring is as before. Slices that were
 *            received stay valid.
 */
QY_API int qy_uring_free(qy_uring *uring, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif

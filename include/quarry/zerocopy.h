/*
 * zerocopy.h: sending slices without copying them, by MSG_ZEROCOPY.
 *
 * With MSG_ZEROCOPY the kernel sends from the program's own pages, and says later, on the socket's error queue, that
 * it has done with them. Until then nobody may write to them or free them. A qy_zerocopy keeps that account for one
 * socket: it holds a reference to what is being sent, and drops it when the kernel is done.
 *
 *     send     one reference per slice (one atomic operation per block), then sendmsg(MSG_ZEROCOPY)
 *     reap     error queue: "sends 17 to 19 are done"  ->  their references are dropped
 *
 * Pinning pages and reading the error queue cost more than copying a little: see qy_zerocopy(3) for the figures. So a
 * send is copied as by qy_slices_send() if it is small, or in small pieces; if the kernel has no room to account for
 * it (ENOBUFS); from then on, if the kernel refuses it there (EOPNOTSUPP: TLS in the kernel); for a while after the
 * kernel has reported that it had to copy in any case (it always has to on the loopback device, for one); while the
 * first send, or the first after such a while, waits for its notification; and always on sockets that cannot do it,
 * such as AF_UNIX. Nothing but speed depends on it.
 *
 * The bytes  must not be changed before they are reaped: the receiver could get either version. Take care with
 *            qy_slice_try_mut() and qy_is_unique(): they see the reference that is held, and say no.
 * The socket must have no other reader of its error queue and no other sender of MSG_ZEROCOPY, before or meanwhile:
 *            sends are known by counting them from the socket's first one on. At most one qy_zerocopy in its life,
 *            therefore.
 * Threads    one at a time per qy_zerocopy; the slices may be used by any.
 * fork       a child has its parent's qy_zerocopy without anything in flight: what the parent had sent stays referenced
 *            (allocated) in the child for ever, notifications are left to the parent, and the child's own sends are
 *            copied.
 * Closing    pages are being read, and notified about, after close() as before, but nobody can read the notifications
 *            then. Before it: qy_zerocopy_wait(); or, where the bytes are never changed or freed, whatever one likes.
 */
#ifndef QUARRY_ZEROCOPY_H
#define QUARRY_ZEROCOPY_H

#include "quarry/chain.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qy_zerocopy qy_zerocopy;

/*
 * Begin with a socket that has sent nothing by MSG_ZEROCOPY yet; sets SO_ZEROCOPY.
 *
 * socket     lent until qy_zerocopy_free(); not closed by it.
 * Returns    the account, also where the socket can only copy; NULL with ENOMEM, EBADF or ENOTSOCK.
 */
QY_API qy_zerocopy *qy_zerocopy_new(int socket);

/*
 * From which sizes on not to copy.
 *
 * send_bytes   of a whole system call; default 32 KiB.
 * slice_bytes  of its slices on average; default 8 KiB. Both 0: whenever possible.
 */
QY_API void qy_zerocopy_set_limits(qy_zerocopy *zerocopy, size_t send_bytes, size_t slice_bytes);

/*
 * Send slices, as qy_slices_send(): progress, draining, file segments and errors are the same.
 *
 * slices     drained; those that the kernel still reads keep the reference that the account took.
 * Errors     besides those of sendmsg(): ENOMEM, nothing was sent.
 * Cost       beside the system call one small allocation, and a reference to each slice. Reaps what is there when it
 *            is time to.
 */
QY_API ssize_t qy_zerocopy_send(qy_zerocopy *zerocopy, qy_slice *slices, size_t count, int flags);

/* The same for a chain. */
QY_API ssize_t qy_zerocopy_send_chain(qy_zerocopy *zerocopy, qy_chain *chain, int flags);

/*
 * Drop the references of sends that the kernel has done with. Never waits. poll() reports POLLERR when there are some.
 *
 * Returns    how many sends were done; -1 with errno as of recvmsg().
 */
QY_API ssize_t qy_zerocopy_reap(qy_zerocopy *zerocopy);

/*
 * The same until nothing is in flight.
 *
 * timeout_ms to wait at most; -1: without end.
 * Returns    0; or -1 with ETIMEDOUT, EINTR, or errno as of recvmsg().
 */
QY_API int qy_zerocopy_wait(qy_zerocopy *zerocopy, int timeout_ms);

/* Sends in flight. */
QY_API size_t qy_zerocopy_pending(const qy_zerocopy *zerocopy);

/* Account of what was sent since qy_zerocopy_new(). */
struct qy_zerocopy_stats {
    uint64_t sends;    /* system calls without copying */
    uint64_t copies;   /* system calls that copied from the start */
    uint64_t refused;  /* of these: the kernel refused to do it without, mostly for want of room (ENOBUFS) */
    uint64_t reported; /* of the sends: the kernel reported that it copied after all */
};

QY_API struct qy_zerocopy_stats qy_zerocopy_get_stats(const qy_zerocopy *zerocopy);

/*
 * Drop all references at once, whatever the kernel still reads: for sockets that are closed or reset, whose peer
 * does not get the bytes any more or may get others. Returns how many sends were in flight.
 */
QY_API size_t qy_zerocopy_drop(qy_zerocopy *zerocopy);

/*
 * End the account.
 *
 * zerocopy   taken; NULL is allowed. References that are still held stay held for ever: better wait or drop first.
 */
QY_API void qy_zerocopy_free(qy_zerocopy *zerocopy);

#ifdef __cplusplus
}
#endif

#endif

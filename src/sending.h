/*
 * sending.h: sending an array of slices to its end, whatever they are made of and by whatever call. Layer 6.
 */
#ifndef QYI_SENDING_H
#define QYI_SENDING_H

#include "quarry/slice.h"

#include "base.h"

struct qyi_sending {
    int fd;
    int flags; /* of sendmsg */
    /*
     * Sends some of these slices, none of which is a file segment; more: something follows at once. Returns what the
     * system call does. At most IOV_MAX slices, at least one of them not empty.
     */
    ssize_t (*some)(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more);
    void *context;
};

/* Bytes that were sent; -1 and errno if there were none. The slices are lent, and not drained. */
ssize_t qyi_sending_run(const struct qyi_sending *sending, const qy_slice *slices, size_t count);

/* Drop what lies in the first so many bytes. */
void qyi_slices_drain(qy_slice *slices, size_t count, size_t bytes);

/* sendmsg, by way of `some` above */
ssize_t qyi_sending_message(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more);

/* As writev, and by way of it. */
ssize_t qyi_sending_write(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more);

#endif

/*
 * zerocopy.h: the account of a socket's sends in flight. Layer 6. Here for the sake of its tests.
 */
#ifndef QYI_ZEROCOPY_H
#define QYI_ZEROCOPY_H

#include "quarry/zerocopy.h"

#include "base.h"

/* One send: the references that are held for it. */
struct qyi_flight {
    size_t count;
    qy_slice slices[];
};

struct qy_zerocopy {
    int socket;
    bool able;           /* the socket knows SO_ZEROCOPY */
    bool proven;         /* the path does not copy, said the last notification; not during a pause */
    bool cut_short;      /* the last system call without copying sent less than it was given */
    uint32_t generation; /* of processes, see in_child */
    size_t send_bytes, slice_bytes;
    /* The kernel numbers a socket's sends from 0 on, modulo 2^32. Those in flight are [first, first + count); a send
     * that is done while an earlier one is not is NULL. ring[number % room]. */
    uint32_t first, count, room;
    struct qyi_flight **ring;
    size_t pending;            /* that are not NULL */
    size_t reap_at;            /* pending sends from which on sending reaps */
    uint32_t pause, pause_max; /* sends to copy before it is tried again; length of the next pause */
    struct qy_zerocopy_stats stats;
};

/* Room for one send more. False: out of memory. */
bool qyi_zerocopy_reserve(qy_zerocopy *zerocopy);

/* The send with the next number is this one; there is room. */
void qyi_zerocopy_add(qy_zerocopy *zerocopy, struct qyi_flight *flight);

/* The kernel has done with the sends [low, high]. Returns how many that were in flight. */
size_t qyi_zerocopy_complete(qy_zerocopy *zerocopy, uint32_t low, uint32_t high);

#endif

/*
 * chain.h: chains of slices.
 *
 * A chain is a queue of bytes that lie in many blocks: an array of slices (slice.h), which is an array of struct iovec, so
 * that writev(), sendmsg() and io_uring take it as it stands. Up to eight slices lie in the structure itself; more are in
 * one allocation.
 *
 *     room                slices                                    limit
 *      |  drained already   |  slice  slice  slice  slice  |  free    |
 *
 *     qy_chain out;
 *     qy_chain_init(&out);
 *     qy_chain_push(&out, header);                                     takes the reference
 *     qy_chain_push_clones(&out, frames, frame_count);                 adds one to each, at the price of one for all
 *     ssize_t sent = writev(fd, out.slices, (int)out.count);           IOV_MAX is the caller's business
 *     if (sent > 0)
 *         qy_chain_drain(&out, (size_t)sent);
 *     qy_chain_clear(&out);
 *
 * Law: no slice of a chain is empty; pushing an empty one does nothing. How the bytes are divided into slices is up to the
 * chain: it may join two that follow each other in one block, and does so at the end that is pushed to. Finding out that they do
 * costs some nanoseconds; writev() is thirty faster for each slice less.
 *
 * A chain contains a pointer to itself: it must not be copied by assignment or memcpy(), only by qy_chain_move().
 *
 * Ownership  a chain owns one reference for each of its slices. "takes" and "lends" as in slice.h.
 * Threads    a chain may be used by one thread at a time; chains that share blocks, by different threads at once. The release
 *            function of foreign memory must not use the chain whose operation drops it.
 * Errors     -1 with errno, and then neither the chain nor what was to be pushed has changed: the caller still owns it.
 *            ENOMEM; EOVERFLOW (more than SSIZE_MAX bytes in a chain); ERANGE (more bytes than the chain has);
 *            EINVAL (memory that is neither Quarry's nor registered; a chain to be put into itself). errno is kept
 *            on success.
 */
#ifndef QUARRY_CHAIN_H
#define QUARRY_CHAIN_H

#include "quarry/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qy_chain qy_chain;

/*
 * What to be told about the length of a chain. A callback is called as the last thing that an operation does, with the chain
 * in order: it may do anything with it but qy_chain_move.
 *
 * high       on_high is called once when the chain's bytes become this many or more; 0: never.
 * low        after that, on_low once when they become this many or fewer, and then on_high may be called again. Below high.
 */
typedef struct qy_chain_marks {
    size_t high, low;
    void (*on_high)(qy_chain *chain, void *context); /* NULL: nothing is called, but low is armed */
    void (*on_low)(qy_chain *chain, void *context);  /* NULL: nothing is called, but high is armed */
    void *context;
} qy_chain_marks;

enum { QY_CHAIN_INLINE = 8 };

/* slices, count and bytes may be read. Everything else is private, and nothing may be written. */
struct qy_chain {
    qy_slice *slices; /* the first one */
    size_t count;     /* how many */
    size_t bytes;     /* of all of them together */

    size_t alarm; /* from that many bytes on, a push is not simple: the high mark, or more than is allowed */
    qy_slice *room, *limit;
    const qy_chain_marks *marks;
    qy_slice inline_slices[QY_CHAIN_INLINE];
};

#define QY_CHAIN_BYTES_MAX ((size_t)-1 >> 1)

/* ---- life ---- */

/* Make an empty chain. Allocates nothing. */
static inline void qy_chain_init(qy_chain *chain)
{
    chain->slices = chain->room = chain->inline_slices;
    chain->limit = chain->inline_slices + QY_CHAIN_INLINE;
    chain->count = 0;
    chain->bytes = 0;
    chain->alarm = QY_CHAIN_BYTES_MAX;
    chain->marks = NULL;
}

/*
 * Drop all slices and give the array back; the chain is empty then, and can be used again or forgotten. Its marks remain,
 * and the low one is reported.
 *
 * Cost       one atomic operation per run of slices that lie in one block.
 */
QY_API void qy_chain_clear(qy_chain *chain);

/*
 * Move a chain to another place.
 *
 * to         need not be initialised; what it may have owned is lost. Gets everything, the marks too.
 * from       is empty afterwards, as after qy_chain_init.
 * Cost       constant; cannot fail.
 */
QY_API void qy_chain_move(qy_chain *to, qy_chain *from);

/* ---- growing ---- */

/* What the inline functions leave over. */
QY_API int qy_chain_push_slow(qy_chain *chain, qy_slice slice);

/*
 * Append a slice.
 *
 * slice      taken; on failure it is still the caller's.
 * Returns    0; or -1 with ENOMEM or EOVERFLOW.
 * Cost       constant, amortised. No atomic operation.
 */
static inline int qy_chain_push(qy_chain *chain, qy_slice slice)
{
    qy_slice *end = chain->slices + chain->count;
    const size_t bytes = chain->bytes + slice.iov_len;
    if (__builtin_expect(end == chain->limit || bytes >= chain->alarm || (ssize_t)slice.iov_len <= 0, 0))
        return qy_chain_push_slow(chain, slice);
    if (chain->count != 0 && (char *)end[-1].iov_base + end[-1].iov_len == slice.iov_base)
        return qy_chain_push_slow(chain, slice); /* it may continue the last one */
    *end = slice;
    chain->count++;
    chain->bytes = bytes;
    return 0;
}

/* Append another reference to the slice's bytes. Lends the slice. As qy_chain_push, and EINVAL. One atomic addition. */
QY_API int qy_chain_push_clone(qy_chain *chain, qy_slice slice);

/*
 * Append another reference to the bytes of each of these slices: all of them or, on failure, none. Lends them; they may be the
 * chain's own.
 *
 * Cost       one atomic addition per run of slices that lie in one block.
 */
QY_API int qy_chain_push_clones(qy_chain *chain, const qy_slice *slices, size_t count);

/* Put a slice in front of all others. As qy_chain_push otherwise. */
QY_API int qy_chain_push_front(qy_chain *chain, qy_slice slice);

/*
 * Append all slices of another chain, which is empty afterwards; each keeps its own marks.
 *
 * Cost       16 bytes copied per slice; an empty chain takes over the other's array. No atomic operation.
 */
QY_API int qy_chain_append(qy_chain *chain, qy_chain *from);

/* ---- shrinking ---- */

/*
 * Leave out the first bytes: what a short write has sent.
 *
 * Returns    0; or -1 with ERANGE.
 * Cost       one atomic operation per run of slices that lie in one block; none for the slice that is shortened.
 */
QY_API int qy_chain_drain(qy_chain *chain, size_t bytes);

/*
 * Move the first bytes to the end of another chain.
 *
 * to         an initialised chain.
 * Returns    0; or -1 with ERANGE, ENOMEM or EOVERFLOW, and both chains are as before.
 * Cost       16 bytes copied per slice; one atomic addition if the cut is inside a slice.
 */
QY_API int qy_chain_split(qy_chain *chain, size_t bytes, qy_chain *to);

/*
 * Take the first bytes out of the chain as one slice, made contiguous if need be (qy_chain_coalesce).
 *
 * Returns    the slice; an empty one for 0 bytes, or on failure with ERANGE or ENOMEM, and nothing has changed but the
 *            division into slices.
 */
QY_API qy_slice qy_chain_take(qy_chain *chain, size_t bytes);

/* ---- looking ---- */

/*
 * Make the first bytes contiguous: after it the first slice has at least that many.
 *
 * Returns    0; or -1 with ERANGE, or ENOMEM.
 * Cost       nothing if they are. Slices that follow each other in one block are joined, without copying; otherwise these
 *            bytes, and no others, are copied into a block of their own.
 */
QY_API int qy_chain_coalesce(qy_chain *chain, size_t bytes);

/* Copy up to max bytes, from offset on, to memory. Consumes nothing. Returns how many there were to copy. */
QY_API size_t qy_chain_copy_out(const qy_chain *chain, size_t offset, void *to, size_t max);

/* The chain's own array, for writev() and its like, and how many there are. It is valid until the chain changes; what it
 * says may be passed on but not changed. */
static inline struct iovec *qy_chain_iov(const qy_chain *chain, size_t *count)
{
    *count = chain->count;
    return chain->slices;
}

static inline size_t qy_chain_bytes(const qy_chain *chain)
{
    return chain->bytes;
}

static inline size_t qy_chain_count(const qy_chain *chain)
{
    return chain->count;
}

/* ---- watermarks ---- */

/*
 * Watch the length of the chain from now on. A chain that has marks->high bytes already is reported at once.
 *
 * marks      lent: must stay as long as the chain has them. NULL: watch no longer.
 */
QY_API void qy_chain_watch(qy_chain *chain, const qy_chain_marks *marks);

#ifdef __cplusplus
}
#endif

#endif

/*
 * ref.h: references to blocks.
 *
 * Every block of Quarry's can have several owners. Each of them holds a reference: whoever allocated the block has the
 * first, qy_retain() adds one, and qy_release() or plain free() drops one. The last one to go frees the block. Nothing is
 * stored in or beside the bytes, and a block that was never retained costs nothing more than any other.
 *
 * p          in all functions below: a pointer to any byte of a live block, be it from malloc() under Quarry, from
 *            qy_malloc() or from qy_slice_new(); or into memory that was registered as static or foreign (slice.h). The
 *            address one past the end belongs to the neighbour, so a slice of length 0 has nothing to point to.
 * Threads    any, at any time, but not in signal handlers. The order is that of every reference count: what an owner did
 *            to the bytes before it released them comes before what the last owner, or the next user of the memory, does.
 * Errors     memory that is not Quarry's and not registered is EINVAL, and so is an address of Quarry's where nothing is
 *            allocated; where nobody would be told, as by qy_slice_drop(), and for buffers that are tracked, that ends the
 *            process instead. More than 2^31 references to one block end the process with one line that names it.
 *
 * Of the same kind, and worth knowing: page_frag_free() of Linux and BackupRefPtr of Chromium find a count from an interior
 * pointer; Rust's bytes, DPDK's mbufs and FFmpeg's AVBufferRef share bytes by count.
 */
#ifndef QUARRY_REF_H
#define QUARRY_REF_H

#include "quarry/quarry.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Add a reference.
 *
 * Returns    0; or -1 with EINVAL (not our memory, or nothing is allocated there) or ENOMEM (no room for the counts, which are made when
 *            the first block of a slab is retained).
 * Ownership  the caller owes one qy_release() more.
 * Cost       one relaxed atomic addition, none while the process has a single thread.
 */
QY_API int qy_retain(const void *p);

/* Add count references at the price of one. count 0 only checks p. */
QY_API int qy_retain_n(const void *p, uint32_t count);

/*
 * Drop a reference; the last one frees the block.
 *
 * p          NULL is allowed and does nothing.
 * Returns    0; or -1 with EINVAL.
 * Cost       for the only owner that of free(), without an atomic read-modify-write; otherwise one atomic subtraction, none
 *            while the process has a single thread. errno is kept on success.
 */
QY_API int qy_release(const void *p);

/* Drop count references at the price of one; the caller owns that many. */
QY_API int qy_release_n(const void *p, uint32_t count);

/* True if the caller, who owns a reference, is the only owner: the bytes may be changed in place. False for memory that is
 * not ours, and for registered memory that must not be changed. */
QY_API bool qy_is_unique(const void *p);

/* References to the block at this moment, or 0 with EINVAL; others may be adding and dropping theirs. */
QY_API uint32_t qy_refcount(const void *p);

/* The start of the block, which is what plain free() takes; NULL with EINVAL. */
QY_API void *qy_base(const void *p);

/* Usable bytes of the whole block, or 0 with EINVAL. */
QY_API size_t qy_capacity(const void *p);

#ifdef __cplusplus
}
#endif

#endif

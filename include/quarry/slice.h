/*
 * slice.h: counted slices.
 *
 * A qy_slice is a struct iovec: a pointer and a length, and together they own one reference to the block that the bytes
 * lie in (ref.h). An array of slices goes to writev(), sendmsg() or io_uring as it is. Making a sub-slice or a clone
 * allocates nothing.
 *
 *     block     [ . . . . . . . . . . . . . . . . ]      one allocation
 *     slices          [a . . .)[b . . . . .)             two references
 *
 * Law: a slice of length 0 owns nothing, whatever its pointer says. That is also what functions return when they fail,
 * with errno set, or when nothing was asked for.
 *
 * Ownership  "takes" means that the reference moves to the callee: the caller's copy of the slice must not be used again.
 *            "lends" means that the caller keeps it. Assigning a slice copies the words and no reference: use qy_slice_clone().
 * Threads    different slices of the same block may be used by different threads at once; one slice variable, by one at a time.
 * Errors     ENOMEM: nothing has changed. EINVAL: the memory is neither Quarry's nor registered. Offsets beyond a slice are
 *            ERANGE. No function but the last release of a reference frees anything.
 */
#ifndef QUARRY_SLICE_H
#define QUARRY_SLICE_H

#include "quarry/ref.h"

#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct iovec qy_slice;

#define QY_SLICE_EMPTY ((qy_slice){NULL, 0})

/* ---- making ---- */

/* A block of its own, aligned to 64 bytes; the contents are not defined. One allocation. */
QY_API qy_slice qy_slice_new(size_t length);

/* The same, aligned to align, a power of two (EINVAL). */
QY_API qy_slice qy_slice_new_aligned(size_t align, size_t length);

/* The same as qy_slice_new, all zero. */
QY_API qy_slice qy_slice_zeroed(size_t length);

/* A block of its own with a copy of these bytes. */
QY_API qy_slice qy_slice_copy(const void *bytes, size_t length);

/*
 * Take over a block from malloc, without copying or allocating.
 *
 * p          the start of a block under Quarry (malloc, getline, asprintf, ...), or EINVAL; taken.
 * length     bytes in use; more than the block has is ERANGE. 0: the slice is empty, owns nothing, and p is freed at once.
 * Errors     errno, which is unchanged otherwise; p is still the caller's then.
 */
QY_API qy_slice qy_slice_adopt(void *p, size_t length);

/*
 * The reverse: a pointer that plain free() takes, with the slice's bytes at its start.
 *
 * slice      taken and emptied.
 * Returns    the start of the block if the bytes lie there; otherwise the bytes are moved to the start of the block (only
 *            owner) or copied to another one (shared or registered memory). NULL with ENOMEM, and the slice is as before; NULL for an empty one.
 */
QY_API void *qy_slice_into_raw(qy_slice *slice);

/* Bytes that live as long as the process (constants, say). They can be sliced and cloned like any others; nothing is
 * counted. The range is registered, once however often it is asked for. */
QY_API qy_slice qy_slice_static(const void *bytes, size_t length);

/*
 * Memory of another origin.
 *
 * p          taken. With a length of 0 the slice is empty, owns nothing, and release is called at once.
 * release    called with (p, length, context) by the thread that drops the last reference. It may call anything.
 *            NULL: nothing is called.
 * Returns    the whole range as a slice.
 * Errors     ENOMEM, or EINVAL (the range overlaps Quarry's memory or another one that is registered); errno is unchanged
 *            otherwise. release is not called then, and p is still the caller's.
 */
QY_API qy_slice qy_slice_foreign(void *p, size_t length, void (*release)(void *p, size_t length, void *context),
                                 void *context);

/*
 * Part of a file, mapped read-only and privately; unmapped at the last release.
 *
 * offset     need not be a multiple of anything. Beyond the end of the file is ERANGE; else errno as of mmap() and fstat().
 * length     0: up to the end.
 */
QY_API qy_slice qy_slice_map(int fd, off_t offset, size_t length);

/* ---- sharing ---- */

/* Another reference to the same bytes. Empty with EINVAL or ENOMEM on failure. No allocation but for the counts. */
QY_API qy_slice qy_slice_clone(qy_slice slice);

/* Another reference, to length bytes from offset on. ERANGE. */
QY_API qy_slice qy_slice_sub(qy_slice slice, size_t offset, size_t length);

/* A reference for bytes that the caller knows by pointer only, inside a block that somebody keeps alive meanwhile. Reaching
 * beyond the block is ERANGE. */
QY_API qy_slice qy_slice_from(const void *p, size_t length);

/* Drop the reference; the slice becomes empty. If nothing is allocated there (any more), the process ends, as with free(). */
QY_API void qy_slice_drop(qy_slice *slice);

/* ---- cutting: one reference more where one becomes two ---- */

/* Cut at `at`: returns the front, keeps the rest. at == length moves everything, 0 nothing. ERANGE; ENOMEM: unchanged. */
QY_API qy_slice qy_slice_split_to(qy_slice *slice, size_t at);

/* Cut at `at`: keeps the front, returns the rest. */
QY_API qy_slice qy_slice_split_off(qy_slice *slice, size_t at);

/* Keep the first length bytes; no effect if there are fewer. */
QY_API void qy_slice_truncate(qy_slice *slice, size_t length);

/* Leave the first bytes out. Returns 0, or -1 with ERANGE. */
QY_API int qy_slice_advance(qy_slice *slice, size_t bytes);

/*
 * Join two slices that follow each other in one block, in constant time: *front grows by *back, which is taken and becomes empty.
 *
 * Returns    0; or -1 with EINVAL when they do not follow each other, or lie in different blocks that happen to be neighbours.
 */
QY_API int qy_slice_unsplit(qy_slice *front, qy_slice *back);

/* ---- writing ---- */

/* The bytes, for writing: in place for the only owner, of a copy otherwise (then the slice points to the copy). NULL with
 * ENOMEM or EINVAL; NULL for an empty slice. */
QY_API void *qy_slice_make_mut(qy_slice *slice);

/* The bytes, for writing, if the slice is the only owner; NULL with EBUSY if not, or EINVAL. Never copies. */
QY_API void *qy_slice_try_mut(const qy_slice *slice);

/*
 * Copy the bytes out if they are less than min_percent of the block that they keep alive, and a block of their own would
 * be smaller.
 *
 * Returns    1 if they were copied, 0 if not, -1 with ENOMEM or EINVAL (unchanged).
 */
QY_API int qy_slice_compact(qy_slice *slice, unsigned min_percent);

/* ---- looking ---- */

/* As memcmp, the shorter one first if one is the beginning of the other. Lends both. */
QY_API int qy_slice_compare(qy_slice a, qy_slice b);

QY_API bool qy_slice_equal(qy_slice a, qy_slice b);

/* Offset of the first occurrence at or after from; -1 if there is none. An empty needle is found at once. */
QY_API ssize_t qy_slice_find(qy_slice slice, size_t from, const void *needle, size_t length);

/* ---- many at once: neighbours in the array that lie in one block cost one atomic operation ---- */

/* Add a reference to each slice. Returns 0; or -1 (errno), and no reference has been added. */
QY_API int qy_slices_retain(const qy_slice *slices, size_t count);

/* Drop all; they become empty. */
QY_API void qy_slices_drop(qy_slice *slices, size_t count);

/*
 * Cut frames off the front of a slice: one atomic operation for all of them.
 *
 * slice      gives up what the frames take; the rest stays. Emptied when all of it is used.
 * frames     room for max slices. No more than 2^31 - 1 are cut at once.
 * Returns    the number of frames; -1 with errno: the slice has not changed, and no frame owns anything.
 */

/* Frames of step bytes (more than 0, EINVAL). A rest shorter than step stays. */
QY_API ssize_t qy_slice_split_steps(qy_slice *slice, size_t step, qy_slice *frames, size_t max);

/* Frames that end with a delimiter byte, which is part of no frame. An unfinished rest stays. A frame can be empty. */
QY_API ssize_t qy_slice_split_lines(qy_slice *slice, char delimiter, qy_slice *frames, size_t max);

/*
 * Frames that follow a length of prefix bytes (1, 2, 4 or 8; EINVAL), big endian. The prefix is part of the frame if
 * with_prefix. An unfinished rest stays. EMSGSIZE: a frame would be longer than max_length; those before it are returned first.
 */
QY_API ssize_t qy_slice_split_prefixed(qy_slice *slice, unsigned prefix, bool with_prefix, size_t max_length,
                                       qy_slice *frames, size_t max);

#ifdef __cplusplus
}
#endif

#endif

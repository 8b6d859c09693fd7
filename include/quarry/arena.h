/*
 * arena.h: memory that stays where it is, for devices and for registered input and output.
 *
 * An arena is one range of memory whose pages are there from the start and are never given back while it lives, so
 * that it can be registered with the kernel once (as fixed buffers of an io_uring, say) and be used by number from
 * then on. It hands out slices (slice.h), which are counted like any others: sub-slices, clones, qy_retain(),
 * qy_release(), plain free(). The last release gives the bytes back to the arena.
 *
 *     arena      [ 32 KiB cut in 4 KiB ][ cut in 1.5 KiB ][ 256 KiB ....... ][ idle ... ]
 *     buffers    [ 0: up to 1 GiB ....................................... ][ 1: ... ]      what is registered
 *
 * Sizes      are rounded up to 64, 128, 192, 256, 384, 512, 768 ... 32 KiB, and beyond that to multiples of 32 KiB.
 *            Blocks begin at a multiple of 64; those whose size is a power of two, at a multiple of it (of 32 KiB at
 *            most).
 * Threads    any, at any time, but not in signal handlers.
 * fork       the child has a copy of the arena as of any memory. What is registered stays the parent's.
 */
#ifndef QUARRY_ARENA_H
#define QUARRY_ARENA_H

#include "quarry/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qy_arena qy_arena;

enum {
    QY_ARENA_HUGE = 1 << 0, /* ask for huge pages; a refusal does not matter */
};

/* A buffer of an io_uring has 1 GiB at most, and a ring has 2^14 of them. */
#define QY_ARENA_BUFFER_BYTES ((size_t)1 << 30)
#define QY_ARENA_BUFFERS_MAX ((size_t)1 << 14)

/* What an arena is to be like; zero means nothing special. */
struct qy_arena_attr {
    size_t bytes;   /* rounded up to 32 KiB, or a larger page; 1 to 2^44 (EINVAL) */
    unsigned flags; /* QY_ARENA_... (others: EINVAL) */
    /*
     * Called by the thread that drops the last reference to a block, with no lock held, before it goes back. True: the
     * callee has taken that reference over, and the block is not idle. It must not fail, and may be called by several
     * threads at once.
     */
    bool (*recycle)(void *block, size_t bytes, void *context);
    void *context; /* valid as long as there are slices */
};

/*
 * Make an arena, with all its pages.
 *
 * attr       lent for the call.
 * Returns    the arena; NULL with ENOMEM or EINVAL.
 * Cost       the time to fill its pages with zeros: tenths of a second per GiB.
 */
QY_API qy_arena *qy_arena_new(const struct qy_arena_attr *attr);

/*
 * A block of an arena, of undefined contents.
 *
 * Returns    a slice of length bytes, with its only reference. Empty with ENOMEM when the arena has no room for it (1
 *            GiB is the most).
 * Cost       a lock.
 */
QY_API qy_slice qy_arena_slice(qy_arena *arena, size_t length);

/* The arena that a byte lies in, NULL if in none. */
QY_API qy_arena *qy_arena_of(const void *p);

/* The number of the buffer that a byte lies in, the same as long as the arena lives; -1 with EINVAL if in none of this
 * arena. A slice lies in one buffer as a whole. */
QY_API int qy_arena_index(const qy_arena *arena, const void *p);

/* The arena's buffers, by number: the first max of them are written to buffers. Returns how many there are. */
QY_API size_t qy_arena_buffers(const qy_arena *arena, struct iovec *buffers, size_t max);

/*
 * The memory is registered somewhere, and no longer so. While an arena is pinned, it stays even if it has been
 * destroyed: a device would go on using the old pages.
 */
QY_API void qy_arena_pin(qy_arena *arena);
QY_API void qy_arena_unpin(qy_arena *arena);

struct qy_arena_stats {
    size_t bytes;   /* of the whole arena */
    size_t used;    /* in blocks that are out */
    size_t idle;    /* in 32 KiB pieces without such a block */
    size_t blocks;  /* that are out */
    unsigned pins;  /* times that it is registered; 0 also where that was refused (RLIMIT_MEMLOCK): all else works */
    bool populated; /* the kernel has made all pages; false: it would not, and they come when they are used */
};

QY_API struct qy_arena_stats qy_arena_get_stats(qy_arena *arena);

/*
 * Destroy an arena.
 *
 * arena      taken; NULL is allowed. Slices stay valid. The memory goes when the last of them and the last pin are
 *            gone.
 */
QY_API void qy_arena_destroy(qy_arena *arena);

#ifdef __cplusplus
}
#endif

#endif

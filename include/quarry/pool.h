/*
 * pool.h: pools of objects and of buffers that are used again and again.
 *
 * A pool makes objects of one kind when there is no idle one, up to a maximum, and keeps those that come back. Every thread
 * that uses a pool has a few idle objects for itself, so that taking one and giving it back touches nothing that other
 * threads touch: no lock, no atomic read-modify-write. Objects start at a cache line and have it for themselves.
 *
 *     acquire   the thread's own -> the depot -> a new one -> (at the maximum) other threads' own -> wait
 *     release   the thread's own -> the depot -> destroyed, if the depot has max_idle already
 *
 * While somebody waits, whatever comes back goes to those who wait, and threads keep nothing for themselves.
 *
 * Buffers    a pool that is made with QY_POOL_BUFFERS hands out blocks that are reference-counted like any other (ref.h,
 *            slice.h). A buffer comes back by itself at its last release: by qy_slice_drop(), qy_release() or plain free(), in
 *            any thread. Code that shares or frees it need not know the pool.
 * Ownership  who acquires an object owes the pool one release (or a detach). The pool is the caller's until
 *            qy_pool_destroy().
 * Threads    all functions may be called by any thread at any time, but not by signal handlers, and not by a pool's own
 *            callbacks for the same pool. An object may be released by another thread than the one that acquired it.
 * Callbacks  run in the thread that makes the call, with no lock held; they may allocate and may use other pools.
 * Threads that end give what they keep to the depot.
 * fork       the child has the pool. Idle objects are there, also those of threads that exist only in the parent; objects
 *            that these threads were using (or were just taking or giving back) stay out for ever and count as in use.
 * Misuse     giving an object to another pool than its own, or using it after its release, is undefined, as for free().
 *            Releasing an object twice in succession ends the process with one line that names it.
 * Errors     functions return NULL, 0 or an empty slice with errno set; errno is not changed on success.
 */
#ifndef QUARRY_POOL_H
#define QUARRY_POOL_H

#include "quarry/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct qy_pool;
typedef struct qy_pool qy_pool;

enum {
    QY_POOL_BUFFERS = 1 << 0,  /* reference-counted buffers instead of objects */
    QY_POOL_NO_CACHE = 1 << 1, /* threads keep nothing for themselves: max_idle is exact, and every call takes a lock */
};

/* What a pool is to be like. All zero but for object_bytes is a good start. */
typedef struct qy_pool_attr {
    size_t object_bytes; /* of an object or a buffer, 1 to 2^31 (EINVAL); rounded up to cache lines */
    size_t align;        /* a power of two up to 64 KiB (EINVAL); 0 and everything below 64 mean 64 */
    /*
     * Called once for each new object; its memory has undefined contents. Returns 0, or an errno value: then the memory is
     * freed and whoever wanted the object gets that error. NULL: nothing to do.
     */
    int (*construct)(void *object, void *context);
    /* Called at every release, so that idle objects hold on to nothing and are ready for use. Must not fail. */
    void (*reset)(void *object, void *context);
    /* Called once before an object's memory is freed (not for detached ones). */
    void (*destruct)(void *object, void *context);
    void *context;      /* handed to the callbacks */
    size_t initial;     /* objects made at once; at most max_objects and max_idle (EINVAL) */
    size_t max_objects; /* that exist at the same time, in use or idle; 0: no limit */
    size_t max_idle;    /* in the depot; 0: no limit. Each thread may keep thread_idle besides */
    size_t
        thread_idle; /* that a thread keeps for itself at most; 0: up to 64 and 1 MiB, and a quarter of either limit */
    unsigned flags;  /* QY_POOL_... (others: EINVAL) */
} qy_pool_attr;

/*
 * Make a pool.
 *
 * attr       lent for the call; its context must stay valid until the last object is gone.
 * Returns    the pool; NULL with EINVAL, ENOMEM, or what construct returned: then nothing is left behind.
 * Cost       some kilobytes, and the initial objects.
 */
QY_API qy_pool *qy_pool_new(const qy_pool_attr *attr);

/*
 * Take an object, and wait at the maximum until there is one.
 *
 * Returns    the object, reset or new. NULL with ENOMEM or what construct returned; nothing is lost then, and the next call
 *            tries again. ECANCELED if the pool was destroyed meanwhile.
 * Cost       about as much as malloc() while the thread has idle ones; a lock once in a while.
 */
QY_API void *qy_pool_acquire(qy_pool *pool);

/* The same without waiting: NULL with EAGAIN at the maximum. */
QY_API void *qy_pool_try_acquire(qy_pool *pool);

/* The same, waiting for timeout_ms milliseconds at most: NULL with ETIMEDOUT. 0 looks once. */
QY_API void *qy_pool_acquire_timeout(qy_pool *pool, unsigned timeout_ms);

/*
 * Give an object back. For a buffer: drop one reference, as qy_release().
 *
 * object     taken; NULL is allowed and does nothing.
 * Errors     none.
 */
QY_API void qy_pool_release(qy_pool *pool, void *object);

/*
 * Take up to count objects. Never waits.
 *
 * Returns    how many there are in objects[]. If less than count, errno says why (EAGAIN: the maximum).
 * Cost       a fraction of a nanosecond for each that the thread has.
 */
QY_API size_t qy_pool_acquire_bulk(qy_pool *pool, void **objects, size_t count);

/* Give back count objects; none is NULL. */
QY_API void qy_pool_release_bulk(qy_pool *pool, void *const *objects, size_t count);

/*
 * Take an object, which is in use by the caller, out of the pool for good. Its place is free for a new one.
 *
 * Returns    the object, which the caller frees by qy_free() (or free(), under Quarry); its destructor is not called. NULL with
 *            EINVAL for a buffer: those belong to their pool for ever.
 */
QY_API void *qy_pool_detach(qy_pool *pool, void *object);

/*
 * Destroy idle objects, also those that other threads keep, until there are no more than keep.
 *
 * Returns    how many were destroyed. Memory of buffers goes back when all that were made together are idle.
 */
QY_API size_t qy_pool_trim(qy_pool *pool, size_t keep);

typedef struct qy_pool_stats {
    size_t in_use;     /* objects outside */
    size_t idle;       /* in the depot and with threads */
    size_t created;    /* objects that exist: in_use + idle */
    size_t high_water; /* most ever in use at once. Exact for one thread; else off by what other threads keep */
    uint64_t misses;   /* acquires that found no idle object and made one */
    uint64_t waits;    /* acquires that had to wait */
} qy_pool_stats;

/* Numbers of this moment; others may be changing them. Takes the pool's lock. */
QY_API void qy_pool_get_stats(qy_pool *pool, qy_pool_stats *stats);

/*
 * Destroy a pool.
 *
 * pool       taken; NULL is allowed. Idle objects are destroyed at once. Objects that are out stay valid: each is destroyed
 *            when it is released (qy_pool_release() with this pool is allowed for that, and qy_pool_detach() too), and the last one
 *            frees the pool. Threads that wait in it get ECANCELED.
 */
QY_API void qy_pool_destroy(qy_pool *pool);

/* ---- buffers: pools made with QY_POOL_BUFFERS; others give EINVAL ---- */

/*
 * A buffer as a slice of object_bytes, with its one reference. Cut, share and drop it like any other; its block goes back to the
 * pool at the last release. Waiting and errors as for objects.
 */
QY_API qy_slice qy_pool_acquire_slice(qy_pool *pool);
QY_API qy_slice qy_pool_try_acquire_slice(qy_pool *pool);
QY_API qy_slice qy_pool_acquire_slice_timeout(qy_pool *pool, unsigned timeout_ms);

/* Up to count buffers, without waiting; returns how many, as qy_pool_acquire_bulk(). qy_slices_drop() gives them back. */
QY_API size_t qy_pool_acquire_slices(qy_pool *pool, qy_slice *slices, size_t count);

/* ---- objects that return at the end of a scope ---- */

struct qy_pool_scope {
    qy_pool *pool;
    void *object;
};

static inline struct qy_pool_scope qy_pool_scope_begin(qy_pool *pool)
{
    struct qy_pool_scope scope;
    scope.pool = pool;
    scope.object = qy_pool_acquire(pool);
    return scope;
}

static inline void qy_pool_scope_end(struct qy_pool_scope *scope)
{
    qy_pool_release(scope->pool, scope->object);
}

/*
 * Declare `type *const name`, an object of the pool that is given back when the scope is left in any way but longjmp(). NULL
 * when there is none (see qy_pool_acquire). A pointer that must outlive the scope does not belong in here.
 *
 *     QY_POOL_SCOPED(struct connection, connection, pool);
 *     if (connection == NULL)
 *         return -1;
 */
#define QY_POOL_SCOPED(type, name, pool)                                                                       \
    __attribute__((cleanup(qy_pool_scope_end))) struct qy_pool_scope name##_scope = qy_pool_scope_begin(pool); \
    type *const name = (type *)name##_scope.object

#ifdef __cplusplus
}
#endif

#endif

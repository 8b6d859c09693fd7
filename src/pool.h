/*
 * pool.h: the inside of pools. Layer 6. include/quarry/pool.h has the contracts.
 *
 *     thread:  slot[serial % 8] -> cache  . . . . .        idle objects that the thread keeps for itself
 *                                    |  half a cache at a time, under the pool's lock
 *     pool:                        depot  . . . . . . . .  idle objects of everybody
 *
 * A cache is its thread's: the fast paths change it with plain loads and stores. Yet others must be able to empty it (an object
 * must not be kept by a thread that sleeps while another waits for it). So who works in a cache says so first, and then looks
 * whether it is closed; who empties it closes it first, has the kernel put a barrier into every running thread, and then looks
 * whether somebody works in it:
 *
 *     owner      busy = 1;    open?           pop or push;             busy = 0
 *     others     open = 0;    membarrier();   wait until busy is 0;    take everything
 *
 * At least one of the two sees the other (Dekker's algorithm; all of the price of its fences is paid by those who come rarely).
 *
 * P1  a cache's objects are changed by its thread, busy and not closed; by its thread with the pool's lock; or by others with the
 *     pool's lock, after qyi_pool_gather has closed it.
 * P2  idle, caches and users together hold `created` objects; depot has room for as many, so that a release never fails.
 * P3  while there are waiters, all caches are closed and (unless membarrier is refused) empty.
 * P4  the pool is freed when it is dying and nothing refers to it: no object, no cache, no waiter.
 *
 * Lock order: see lock.h. Callbacks run with none of them.
 */
#ifndef QYI_POOL_H
#define QYI_POOL_H

#include "quarry/pool.h"

#include "base.h"
#include "lock.h"

enum {
    QYI_POOL_SLOTS = 8,      /* pools that a thread finds at once */
    QYI_POOL_CACHE_MAX = 64, /* objects in a cache */
};

struct qyi_pool_cache {
    /* the owner; others only as P1 says */
    _Atomic uint32_t busy;
    _Atomic uint64_t open; /* the pool's serial; 0: closed. Under the pool's lock */
    _Atomic uint64_t count;
    _Atomic uint64_t low;                  /* the lowest count since the pool's high water was last looked at */
    uint64_t room;                         /* constant */
    uint64_t serial;                       /* constant: the pool's */
    uint64_t known;                        /* under the pool's lock: count when the thread last held it */
    struct qyi_pool_cache *next_mine;      /* the thread's */
    struct qyi_pool_cache *next;           /* under the pool's lock, or spare */
    struct qy_pool *_Atomic pool;          /* NULL once the pool has gone; under the registry's lock */
    uint32_t thread;                       /* qyi_lock_me() */
    void *objects[1 + QYI_POOL_CACHE_MAX]; /* [0] is NULL, which no object is; then the objects */
};

/* What a thread knows about pools. */
struct qyi_my_pools {
    /* Its cache of a pool with this serial, modulo their number, or NULL. Records are never freed, and `open` says whose it is. */
    struct qyi_pool_cache *slot[QYI_POOL_SLOTS];
    struct qyi_pool_cache *no_cache; /* always NULL */
    struct qyi_pool_cache *caches;
    struct qy_pool *awaited; /* it waits in this pool, for most of the time without its lock; or NULL */
    bool ended;              /* the thread's end has been noticed: no more caches until it gets a heap again */
};

extern QYI_HIDDEN __thread struct qyi_my_pools qyi_my_pools __attribute__((tls_model("initial-exec")));

struct qy_pool {
    /* constant */
    uint64_t serial;          /* no other pool ever has the same, so no cache is mistaken for a later pool's */
    ptrdiff_t slot_offset;    /* of the thread's slot, from the thread pointer: the same for all threads */
    ptrdiff_t release_offset; /* the same; no_cache's if a release is more than a push: buffers, a reset function */
    uint32_t cache_room;      /* 0: no caches */
    bool buffers;
    void (*reset)(void *object, void *context);
    void *context;
    size_t bytes;
    size_t stride, align;
    int (*construct)(void *object, void *context);
    void (*destruct)(void *object, void *context);
    size_t max_objects, max_idle;
    /* under lock */
    QYI_LINE_ALIGNED struct qyi_lock lock;
    _Atomic uint32_t wake; /* changes when a waiter may go on */
    uint32_t waiters;
    uint32_t reserved; /* of what can be had, so much is for waiters */
    uint32_t calm;     /* operations under the lock until closed caches are opened again */
    bool closed, dying;
    void **depot;
    size_t depot_room;
    _Atomic size_t idle; /* objects in the depot. Stored with release, after what it counts: fork may come between */
    size_t created;
    size_t cached_known; /* sum of the caches' `known` */
    size_t high_water;
    uint64_t misses, waits;
    struct qyi_pool_cache *_Atomic caches;
    uint32_t runs; /* of buffers, those with room: first granules */
    /* under the registry's lock */
    struct qy_pool *_Atomic next;
};

static_assert(offsetof(struct qy_pool, bytes) < QYI_CACHE_LINE, "what the fast paths read is one line");

/* ---- the thread's cache ---- */

/* What the thread has in the pool's slot: its cache of the pool, of another one, or NULL. */
QYI_INLINE struct qyi_pool_cache *qyi_pool_slot_at(ptrdiff_t offset)
{
    return *(struct qyi_pool_cache **)((char *)__builtin_thread_pointer() + offset);
}

QYI_INLINE struct qyi_pool_cache *qyi_pool_slot(const struct qy_pool *pool)
{
    return qyi_pool_slot_at(pool->slot_offset);
}

QYI_INLINE size_t qyi_pool_cache_count(const struct qyi_pool_cache *cache)
{
    return atomic_load_explicit(&cache->count, memory_order_relaxed);
}

/* release: a forked child sees the objects with the number; `busy` or the lock orders all else. */
QYI_INLINE void qyi_pool_cache_set_count(struct qyi_pool_cache *cache, size_t count)
{
    atomic_store_explicit(&cache->count, count, memory_order_release);
}

QYI_INLINE void qyi_pool_cache_leave(struct qyi_pool_cache *cache)
{
    /* release: pairs with the acquire in wait_until_left, so that who empties the cache sees what was done in it */
    atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* The pool's cache, which is in the slot at offset, entered; NULL: not at hand, or closed. */
QYI_INLINE struct qyi_pool_cache *qyi_pool_cache_enter_at(const struct qy_pool *pool, ptrdiff_t offset)
{
    struct qyi_pool_cache *cache = qyi_pool_slot_at(offset);
    if (QYI_UNLIKELY(cache == NULL))
        return NULL;
    /* relaxed: the barrier between this and the next line is the one in qyi_pool_gather; here only the compiler is told */
    atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    /* acquire: pairs with the release of who opens the cache again */
    if (QYI_LIKELY(atomic_load_explicit(&cache->open, memory_order_acquire) == pool->serial))
        return cache;
    qyi_pool_cache_leave(cache);
    return NULL;
}

QYI_INLINE struct qyi_pool_cache *qyi_pool_cache_enter(const struct qy_pool *pool)
{
    return qyi_pool_cache_enter_at(pool, pool->slot_offset);
}

/* Take away the topmost objects: count are left. */
QYI_INLINE void qyi_pool_cache_lower(struct qyi_pool_cache *cache, size_t count)
{
    qyi_pool_cache_set_count(cache, count);
    if (QYI_UNLIKELY(count < atomic_load_explicit(&cache->low, memory_order_relaxed)))
        atomic_store_explicit(&cache->low, count, memory_order_relaxed);
}

/* NULL: no cache, empty, or closed. */
QYI_INLINE void *qyi_pool_pop(const struct qy_pool *pool)
{
    struct qyi_pool_cache *cache = qyi_pool_cache_enter(pool);
    if (QYI_UNLIKELY(cache == NULL))
        return NULL;
    const size_t count = qyi_pool_cache_count(cache);
    void *object = cache->objects[count]; /* NULL below the first */
    if (QYI_LIKELY(object != NULL))
        qyi_pool_cache_lower(cache, count - 1);
    qyi_pool_cache_leave(cache);
    return object;
}

/* False: no cache, full, closed, or the object was released just before. */
QYI_INLINE bool qyi_pool_push_at(const struct qy_pool *pool, ptrdiff_t offset, void *object)
{
    struct qyi_pool_cache *cache = qyi_pool_cache_enter_at(pool, offset);
    if (QYI_UNLIKELY(cache == NULL))
        return false;
    const size_t count = qyi_pool_cache_count(cache);
    const bool pushed = QYI_LIKELY(count < cache->room) && QYI_LIKELY(cache->objects[count] != object);
    if (QYI_LIKELY(pushed)) {
        cache->objects[count + 1] = object;
        qyi_pool_cache_set_count(cache, count + 1);
    }
    qyi_pool_cache_leave(cache);
    return pushed;
}

QYI_INLINE bool qyi_pool_push(const struct qy_pool *pool, void *object)
{
    return qyi_pool_push_at(pool, pool->slot_offset, object);
}

/* ---- pool_cache.c ---- */

/* The thread's cache of the pool, made now if need be; NULL: it has to do without. Call it with no lock. */
struct qyi_pool_cache *qyi_pool_cache_find(struct qy_pool *pool);

/* Close all caches and put what is in them into the depot. The caller holds the pool's lock. */
void qyi_pool_gather(struct qy_pool *pool);

/* Open the caches again. Likewise. */
void qyi_pool_reopen(struct qy_pool *pool);

/* Put count objects of a cache, the oldest, into the depot. The cache is the caller's to change (P1), who holds the lock. */
void qyi_pool_cache_drain(struct qy_pool *pool, struct qyi_pool_cache *cache, size_t count);

/* The high water, before and after the caller changes its cache. Likewise. */
void qyi_pool_note_before(struct qy_pool *pool, struct qyi_pool_cache *cache);
void qyi_pool_note_after(struct qy_pool *pool, struct qyi_pool_cache *cache);

/* Whether threads can have caches at all. */
bool qyi_pool_caches_prepare(void);

/* The registry of pools, pool_cache.c's own. Weak: a program that has no pools need not have them linked. */
extern QYI_HIDDEN const struct qyi_extent qyi_pools_extent __attribute__((weak));

/*
 * Add up the numbers of all pools that this registry lists, here or in another process. read makes a copy of memory where they are,
 * or returns false. Takes no locks: while threads run, the numbers are of slightly different moments.
 */
struct qyi_stats_pools;
typedef bool qyi_pools_reader(void *context, void *copy, const void *address, size_t bytes);
void qyi_pools_sum(struct qyi_stats_pools *sum, const struct qyi_extent *registry, qyi_pools_reader *read,
                   void *context);

/* Make the pool known to threads that end and to forked children; and the reverse. */
void qyi_pool_register(struct qy_pool *pool);
void qyi_pool_unregister(struct qy_pool *pool);

/* Lock a pool whose end has come: it is dying, its caches are gathered and no longer point to it. */
void qyi_pool_lock_to_destroy(struct qy_pool *pool);

/* ---- pool_depot.c ---- */

enum { QYI_POOL_FOREVER = -1, QYI_POOL_NOT = 0 };

/* Take an object from anywhere. wait_ms: how long to wait at the maximum. NULL and errno. */
void *qyi_pool_take(struct qy_pool *pool, int64_t wait_ms);

/* Up to count objects from the depot or new ones, without waiting; returns how many, errno if that is less. */
size_t qyi_pool_take_many(struct qy_pool *pool, void **objects, size_t count);

/* Give objects, which have been reset, to the cache, those who wait, or the depot. */
void qyi_pool_give(struct qy_pool *pool, void *const *objects, size_t count);

/* Make an object and put it into the depot. 0 or an errno value. */
int qyi_pool_make_idle(struct qy_pool *pool);

/* ---- the same, for callers that hold the lock ---- */

/* Put one object into the depot. */
void qyi_pool_depot_push(struct qy_pool *pool, void *object);

/* Let those go on who wait for what there is now. */
void qyi_pool_offer(struct qy_pool *pool);

/* The pool is dying: send away those who wait. */
void qyi_pool_cancel(struct qy_pool *pool);

/* Destroy idle objects while there are more than keep, or all if the pool is dying; returns how many. */
size_t qyi_pool_shed_and_unlock(struct qy_pool *pool, size_t keep);

/* Release the lock; frees the pool if that was the last thing to be done with it (P4). */
void qyi_pool_unlock(struct qy_pool *pool);

/* ---- pool_buffer.c ---- */

/* Memory for one more buffer, or NULL. Takes the lock. */
void *qyi_pool_buffer_make(struct qy_pool *pool);

/* The reverse. Takes the lock. */
void qyi_pool_buffer_unmake(struct qy_pool *pool, void *buffer);

/* In a forked child: find the pool's runs with room by looking at all runs, for the list may have been half changed. */
void qyi_pool_buffers_relist(struct qy_pool *pool);

/* What qyi_pooled_last calls. */
void qyi_pool_buffer_last(struct qy_pool *pool, void *buffer);

#endif

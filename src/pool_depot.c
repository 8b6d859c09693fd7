/*
 * pool_depot.c: the part of a pool that all threads share, under its lock. Layer 6.
 *
 *     to be had  =  idle objects in the depot  +  objects that may still be made
 *                   [ reserved for waiters  |  for anybody ]
 *
 * Who finds nothing for anybody may become a waiter. Whatever makes more to be had reserves as much for waiters as there are of
 * them, and wakes as many; so a thread that takes and gives in a hurry cannot get ahead of those who wait.
 *
 * I1  reserved <= waiters, and reserved <= what is to be had.
 * I2  a waiter leaves with a reservation if there is one, even when its time is up.
 *
 * Objects are made and destroyed without the lock. `created` counts them from before they are made until after they are
 * destroyed, so there are never more than max_objects, and the pool stays while somebody is about it (P4).
 */
#include "pool.h"

#include "alloc.h"
#include "fatal.h"
#include "fork.h"
#include "os.h"

#include <errno.h>
#include <string.h>

enum { SHED_AT_ONCE = 16, DEPOT_FIRST = 16 };

/* ---- the depot ---- */

static size_t idle_in(const struct qy_pool *pool)
{
    return atomic_load_explicit(&pool->idle, memory_order_relaxed);
}

void qyi_pool_depot_push(struct qy_pool *pool, void *object)
{
    const size_t idle = idle_in(pool);
    qyi_assert(idle < pool->depot_room); /* P2 */
    pool->depot[idle] = object;
    /* release: a forked child sees the object with the number. The lock orders all else. */
    atomic_store_explicit(&pool->idle, idle + 1, memory_order_release);
}

/* There is one. */
static void *depot_pop(struct qy_pool *pool)
{
    const size_t idle = idle_in(pool) - 1;
    void *object = pool->depot[idle];
    atomic_store_explicit(&pool->idle, idle, memory_order_release);
    return object;
}

/* There will be one object more: have room for it. False: out of memory. */
static bool depot_reserve(struct qy_pool *pool)
{
    if (pool->created < pool->depot_room)
        return true;
    const size_t room = qyi_max(DEPOT_FIRST, 2 * pool->depot_room);
    void **depot = qyi_malloc(room * sizeof *depot);
    if (depot == NULL)
        return false;
    if (idle_in(pool) != 0)
        memcpy(depot, pool->depot, idle_in(pool) * sizeof *depot);
    void **old = pool->depot;
    /* In this order, for a forked child, which must not see more room than there is. */
    atomic_thread_fence(memory_order_release);
    pool->depot = depot;
    atomic_thread_fence(memory_order_release);
    pool->depot_room = room;
    qyi_free(old);
    return true;
}

/* ---- one object ---- */

static void free_memory(struct qy_pool *pool, void *object)
{
    if (pool->buffers)
        qyi_pool_buffer_unmake(pool, object);
    else
        qyi_free(object);
}

/* An object that `created` counts already. NULL and *error: it counts it still. */
static void *make(struct qy_pool *pool, int *error)
{
    const int saved_errno = errno;
    void *object = pool->buffers ? qyi_pool_buffer_make(pool) : qyi_aligned(pool->align, pool->stride);
    *error = object == NULL ? ENOMEM : pool->construct != NULL ? pool->construct(object, pool->context) : 0;
    if (*error != 0 && object != NULL) {
        free_memory(pool, object);
        object = NULL;
    }
    errno = saved_errno;
    return object;
}

static void destroy(struct qy_pool *pool, void *object)
{
    const int saved_errno = errno;
    if (pool->destruct != NULL)
        pool->destruct(object, pool->context);
    free_memory(pool, object);
    errno = saved_errno;
}

/* ---- who waits ---- */

static size_t to_be_had(const struct qy_pool *pool)
{
    const size_t idle = idle_in(pool);
    return pool->max_objects == 0 ? SIZE_MAX : idle + (pool->max_objects - pool->created);
}

static void wake(struct qy_pool *pool, unsigned count)
{
    /* relaxed: the lock orders it; the kernel compares it with what the waiter saw under the lock */
    atomic_fetch_add_explicit(&pool->wake, 1, memory_order_relaxed);
    qyi_os_futex_wake(&pool->wake, count);
}

void qyi_pool_offer(struct qy_pool *pool)
{
    if (QYI_LIKELY(pool->waiters == pool->reserved) || pool->dying)
        return;
    const size_t more = qyi_min(pool->waiters - pool->reserved, to_be_had(pool) - pool->reserved);
    pool->reserved += (uint32_t)more;
    if (more != 0)
        wake(pool, (unsigned)more);
}

/* Sleep until something is reserved for the thread. 0 or an errno value. The caller holds the lock. */
static int await(struct qy_pool *pool, int64_t wait_ms)
{
    const uint64_t deadline_ns = wait_ms < 0 ? 0 : qyi_os_now_ns() + (uint64_t)wait_ms * 1000000;
    int error = 0;
    pool->waits++;
    pool->waiters++;
    pool->users++;
    qyi_pool_gather(pool); /* P3 */
    qyi_pool_offer(pool);
    while (pool->reserved == 0) {
        error = pool->dying ? ECANCELED : wait_ms >= 0 && qyi_os_now_ns() >= deadline_ns ? ETIMEDOUT : 0;
        if (error != 0)
            break;
        const uint32_t seen = atomic_load_explicit(&pool->wake, memory_order_relaxed);
        qyi_unlock(&pool->lock);
        if (wait_ms < 0)
            qyi_os_futex_wait(&pool->wake, seen);
        else
            qyi_os_futex_wait_until(&pool->wake, seen, deadline_ns);
        qyi_lock(&pool->lock);
    }
    if (error == 0)
        pool->reserved--;
    pool->waiters--;
    pool->users--;
    return error;
}

/* ---- taking ---- */

/* Before taking or giving under the lock. */
static void prepare(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    qyi_pool_note_before(pool, cache);
    if (QYI_LIKELY(!pool->closed))
        return;
    if (cache != NULL && qyi_pool_cache_count(cache) != 0) /* nobody could gather it, without membarrier */
        qyi_pool_cache_drain(pool, cache, qyi_pool_cache_count(cache));
    /* Caches stay closed for a while after somebody had to wait: where it happens once it happens again. */
    if (pool->waiters == 0 && !pool->dying && --pool->calm == 0)
        qyi_pool_reopen(pool);
}

/* Somebody keeps something. A look without order: who must know gathers. */
static bool others_keep_some(const struct qy_pool *pool)
{
    for (const struct qyi_pool_cache *cache = atomic_load_explicit(&pool->caches, memory_order_relaxed); cache != NULL;
         cache = cache->next) {
        if (qyi_pool_cache_count(cache) != 0)
            return true;
    }
    return false;
}

/* From the depot to the thread's cache, as much as is good. */
static void refill(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    if (cache == NULL || pool->closed)
        return;
    size_t count = qyi_pool_cache_count(cache);
    size_t more = qyi_min(cache->room / 2, qyi_min(idle_in(pool), cache->room - count));
    for (; more > 0; more--) {
        cache->objects[1 + count] = depot_pop(pool);
        qyi_pool_cache_set_count(cache, ++count);
    }
}

/* Something is to be had for the caller, who holds the lock, which is released. NULL and errno. */
static void *take_and_unlock(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    void *object = NULL;
    int error = 0;
    if (idle_in(pool) != 0) {
        object = depot_pop(pool);
        refill(pool, cache);
    } else if (depot_reserve(pool)) {
        pool->created++;
        pool->misses++;
    } else {
        error = ENOMEM;
    }
    qyi_pool_note_after(pool, cache);
    if (error != 0)
        qyi_pool_offer(pool); /* it may have been reserved for the caller */
    qyi_pool_unlock(pool);
    if (object == NULL && error == 0 && (object = make(pool, &error)) == NULL) {
        qyi_lock(&pool->lock);
        pool->created--;
        qyi_pool_offer(pool);
        qyi_pool_unlock(pool);
    }
    if (object == NULL)
        errno = error;
    return object;
}

QYI_NOINLINE void *qyi_pool_take(struct qy_pool *pool, int64_t wait_ms)
{
    qyi_fork_check();
    struct qyi_pool_cache *cache = qyi_pool_cache_find(pool);
    void *object = qyi_pool_pop(pool); /* it may not have been at hand */
    if (object != NULL)
        return object;
    qyi_lock(&pool->lock);
    prepare(pool, cache);
    if (to_be_had(pool) <= pool->reserved && others_keep_some(pool)) {
        qyi_pool_gather(pool);
        qyi_pool_offer(pool);
    }
    int error = 0;
    if (to_be_had(pool) <= pool->reserved)
        error = wait_ms == QYI_POOL_NOT ? EAGAIN : await(pool, wait_ms);
    if (error == 0)
        return take_and_unlock(pool, cache);
    qyi_pool_note_after(pool, cache);
    qyi_pool_unlock(pool);
    errno = error;
    return NULL;
}

size_t qyi_pool_take_many(struct qy_pool *pool, void **objects, size_t count)
{
    qyi_fork_check();
    struct qyi_pool_cache *cache = qyi_pool_cache_find(pool);
    size_t got = 0;
    qyi_lock(&pool->lock);
    prepare(pool, cache);
    const size_t available = qyi_min(idle_in(pool), to_be_had(pool) - pool->reserved);
    while (got < qyi_min(count, available))
        objects[got++] = depot_pop(pool);
    if (pool->reserved == 0)
        refill(pool, cache);
    qyi_pool_note_after(pool, cache);
    qyi_unlock(&pool->lock);
    while (got < count && (objects[got] = qyi_pool_take(pool, QYI_POOL_NOT)) != NULL)
        got++;
    return got;
}

/* ---- giving ---- */

static void give_one(struct qy_pool *pool, struct qyi_pool_cache *cache, void *object)
{
    const size_t idle = idle_in(pool);
    const size_t count = cache == NULL ? 0 : qyi_pool_cache_count(cache);
    if ((idle != 0 && pool->depot[idle - 1] == object) || (cache != NULL && cache->objects[count] == object))
        qyi_fatal_pointer("qy_pool_release", object, pool->stride, "released twice");
    if (cache == NULL || pool->closed) {
        qyi_pool_depot_push(pool, object);
        return;
    }
    if (count == cache->room)
        qyi_pool_cache_drain(pool, cache, (count + 1) / 2);
    const size_t rest = qyi_pool_cache_count(cache);
    cache->objects[1 + rest] = object;
    qyi_pool_cache_set_count(cache, rest + 1);
}

QYI_NOINLINE void qyi_pool_give(struct qy_pool *pool, void *const *objects, size_t count)
{
    qyi_fork_check();
    struct qyi_pool_cache *cache = qyi_pool_cache_find(pool);
    qyi_lock(&pool->lock);
    prepare(pool, cache);
    for (size_t i = 0; i < count; i++)
        give_one(pool, cache, objects[i]);
    qyi_pool_note_after(pool, cache);
    qyi_pool_offer(pool);
    if (QYI_UNLIKELY(pool->dying || idle_in(pool) > pool->max_idle))
        qyi_pool_shed_and_unlock(pool, pool->max_idle);
    else
        qyi_pool_unlock(pool);
}

/* ---- fewer objects, and the last one ---- */

size_t qyi_pool_shed_and_unlock(struct qy_pool *pool, size_t keep)
{
    void *doomed[SHED_AT_ONCE];
    size_t total = 0;
    for (;;) {
        size_t count = 0;
        /* what is reserved stays, for it may be idle ones */
        const size_t rest = pool->dying ? 0 : qyi_max(keep, pool->reserved);
        while (count < SHED_AT_ONCE && idle_in(pool) > rest)
            doomed[count++] = depot_pop(pool);
        if (count == 0)
            break;
        qyi_unlock(&pool->lock); /* `created` keeps the pool */
        for (size_t i = 0; i < count; i++)
            destroy(pool, doomed[i]);
        qyi_lock(&pool->lock);
        pool->created -= count;
        total += count;
        qyi_pool_offer(pool);
    }
    qyi_pool_unlock(pool);
    return total;
}

void qyi_pool_cancel(struct qy_pool *pool)
{
    pool->reserved = 0;
    wake(pool, INT32_MAX);
}

void qyi_pool_unlock(struct qy_pool *pool)
{
    const bool last = pool->dying && pool->created == 0 && pool->users == 0 &&
                      atomic_load_explicit(&pool->caches, memory_order_relaxed) == NULL;
    qyi_unlock(&pool->lock);
    if (QYI_UNLIKELY(last)) {
        qyi_pool_unregister(pool);
        qyi_free(pool->depot);
        qyi_free(pool);
    }
}

int qyi_pool_make_idle(struct qy_pool *pool)
{
    int error = 0;
    qyi_lock(&pool->lock);
    const bool reserved = depot_reserve(pool);
    pool->created += reserved;
    qyi_unlock(&pool->lock);
    if (!reserved)
        return ENOMEM;
    void *object = make(pool, &error);
    qyi_lock(&pool->lock);
    if (object != NULL)
        qyi_pool_depot_push(pool, object);
    else
        pool->created--;
    qyi_unlock(&pool->lock);
    return error;
}

/*
 * pool.c: pools under their public names, and the fast paths. Layer 6.
 *
 *     acquire   pop from the thread's cache     else pool_depot.c
 *     release   reset, push to the cache        else pool_depot.c
 *     buffers   the last release of a reference ends in qyi_pool_buffer_last
 */
#include "pool.h"

#include "alloc.h"
#include "fork.h"
#include "pooled.h"
#include "ref.h"
#include "start.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

/* What a thread keeps for itself at most, unless it is told otherwise. */
static const size_t CACHE_BYTES = (size_t)1 << 20;

static void *fail(int error)
{
    errno = error;
    return NULL;
}

/* ---- the life of a pool ---- */

static bool is_valid(const qy_pool_attr *attr)
{
    const size_t most = qyi_min(attr->max_objects - 1, attr->max_idle - 1) + 1; /* 0: no limit */
    return attr->object_bytes >= 1 && attr->object_bytes <= QYI_POOLED_BYTES_MAX &&
           (attr->align == 0 || qyi_is_power_of_two(attr->align)) && attr->align <= QYI_SMALL_BYTES &&
           (attr->flags & ~(unsigned)(QY_POOL_BUFFERS | QY_POOL_NO_CACHE)) == 0 && (most == 0 || attr->initial <= most);
}

static size_t cache_room(const qy_pool_attr *attr, size_t stride)
{
    if ((attr->flags & QY_POOL_NO_CACHE) != 0 || !qyi_pool_caches_prepare())
        return 0;
    if (attr->thread_idle != 0)
        return qyi_min(attr->thread_idle, QYI_POOL_CACHE_MAX);
    size_t room = qyi_min(QYI_POOL_CACHE_MAX, CACHE_BYTES / stride);
    if (attr->max_objects != 0)
        room = qyi_min(room, attr->max_objects / 4);
    if (attr->max_idle != 0)
        room = qyi_min(room, attr->max_idle / 4);
    return qyi_max(room, 1);
}

static void fill_in(qy_pool *pool, const qy_pool_attr *attr)
{
    memset(pool, 0, sizeof *pool);
    pool->align = qyi_max(attr->align, QYI_CACHE_LINE);
    pool->stride = qyi_align_up(attr->object_bytes, pool->align);
    pool->bytes = attr->object_bytes;
    pool->cache_room = (uint32_t)cache_room(attr, pool->stride);
    pool->buffers = (attr->flags & QY_POOL_BUFFERS) != 0;
    pool->construct = attr->construct;
    pool->reset = attr->reset;
    pool->destruct = attr->destruct;
    pool->context = attr->context;
    pool->max_objects = attr->max_objects;
    pool->max_idle = attr->max_idle != 0 ? attr->max_idle : SIZE_MAX;
}

qy_pool *qy_pool_new(const qy_pool_attr *attr)
{
    qyi_start_anchor();
    if (!is_valid(attr))
        return fail(EINVAL);
    if (!qyi_start())
        return fail(ENOMEM);
    qy_pool *pool = qyi_aligned(QYI_CACHE_LINE, sizeof *pool);
    if (pool == NULL)
        return NULL;
    fill_in(pool, attr);
    qyi_pool_register(pool);
    for (size_t i = 0; i < attr->initial; i++) {
        const int error = qyi_pool_make_idle(pool);
        if (error != 0) {
            qy_pool_destroy(pool);
            return fail(error);
        }
    }
    return pool;
}

void qy_pool_destroy(qy_pool *pool)
{
    if (pool == NULL)
        return;
    qyi_pool_lock_to_destroy(pool);
    qyi_pool_cancel(pool);
    qyi_pool_shed_and_unlock(pool, 0);
}

/* ---- objects ---- */

QYI_INLINE void *acquire(qy_pool *pool)
{
    void *object = qyi_pool_pop(pool);
    return QYI_LIKELY(object != NULL) ? object : qyi_pool_take(pool, QYI_POOL_FOREVER);
}

QYI_INLINE void *try_acquire(qy_pool *pool)
{
    void *object = qyi_pool_pop(pool);
    return QYI_LIKELY(object != NULL) ? object : qyi_pool_take(pool, QYI_POOL_NOT);
}

void *qy_pool_acquire(qy_pool *pool)
{
    return acquire(pool);
}

void *qy_pool_try_acquire(qy_pool *pool)
{
    return try_acquire(pool);
}

void *qy_pool_acquire_timeout(qy_pool *pool, unsigned timeout_ms)
{
    void *object = qyi_pool_pop(pool);
    if (QYI_UNLIKELY(object == NULL)) {
        object = qyi_pool_take(pool, timeout_ms);
        if (object == NULL && timeout_ms == 0 && errno == EAGAIN)
            errno = ETIMEDOUT;
    }
    return object;
}

static QYI_NOINLINE void give_slow(qy_pool *pool, void *object)
{
    qyi_pool_give(pool, &object, 1);
}

/* The object has been reset. */
QYI_INLINE void give(qy_pool *pool, void *object)
{
    if (QYI_UNLIKELY(!qyi_pool_push(pool, object)))
        give_slow(pool, object);
}

static QYI_NOINLINE void reset_and_give(qy_pool *pool, void *object)
{
    pool->reset(object, pool->context);
    give(pool, object);
}

static QYI_NOINLINE void release_slow(qy_pool *pool, void *object)
{
    if (pool->buffers)
        (void)qyi_release(object);
    else if (pool->reset != NULL)
        reset_and_give(pool, object);
    else
        give_slow(pool, object);
}

void qy_pool_release(qy_pool *pool, void *object)
{
    if (QYI_LIKELY(object != NULL) && QYI_UNLIKELY(!qyi_pool_push_at(pool, pool->release_offset, object)))
        release_slow(pool, object);
}

void qyi_pool_buffer_last(struct qy_pool *pool, void *buffer)
{
    if (QYI_UNLIKELY(pool->reset != NULL))
        reset_and_give(pool, buffer);
    else
        give(pool, buffer);
}

/* ---- many objects ---- */

/* What the thread's cache has, up to count. */
static size_t pop_many(qy_pool *pool, void **objects, size_t count)
{
    struct qyi_pool_cache *cache = qyi_pool_cache_enter(pool);
    if (QYI_UNLIKELY(cache == NULL))
        return 0;
    const size_t held = qyi_pool_cache_count(cache);
    const size_t taken = qyi_min(count, held);
    memcpy(objects, &cache->objects[1 + held - taken], taken * sizeof(void *));
    qyi_pool_cache_lower(cache, held - taken);
    qyi_pool_cache_leave(cache);
    return taken;
}

/* What fits into the thread's cache, up to count. */
static size_t push_many(qy_pool *pool, void *const *objects, size_t count)
{
    struct qyi_pool_cache *cache = qyi_pool_cache_enter(pool);
    if (QYI_UNLIKELY(cache == NULL))
        return 0;
    const size_t held = qyi_pool_cache_count(cache);
    const size_t given = qyi_min(count, cache->room - held);
    memcpy(&cache->objects[1 + held], objects, given * sizeof(void *));
    qyi_pool_cache_set_count(cache, held + given);
    qyi_pool_cache_leave(cache);
    return given;
}

size_t qy_pool_acquire_bulk(qy_pool *pool, void **objects, size_t count)
{
    const size_t got = pop_many(pool, objects, count);
    return QYI_LIKELY(got == count) ? got : got + qyi_pool_take_many(pool, objects + got, count - got);
}

void qy_pool_release_bulk(qy_pool *pool, void *const *objects, size_t count)
{
    if (QYI_UNLIKELY(pool->buffers)) {
        for (size_t i = 0; i < count; i++)
            (void)qyi_release(objects[i]);
        return;
    }
    for (size_t i = 0; pool->reset != NULL && i < count; i++)
        pool->reset(objects[i], pool->context);
    const size_t given = push_many(pool, objects, count);
    if (QYI_UNLIKELY(given != count))
        qyi_pool_give(pool, objects + given, count - given);
}

/* ---- the rest ---- */

void *qy_pool_detach(qy_pool *pool, void *object)
{
    if (pool->buffers)
        return fail(EINVAL);
    qyi_fork_check();
    qyi_lock(&pool->lock);
    pool->created--;
    qyi_pool_offer(pool);
    qyi_pool_unlock(pool);
    return object;
}

size_t qy_pool_trim(qy_pool *pool, size_t keep)
{
    qyi_fork_check();
    qyi_lock(&pool->lock);
    qyi_pool_gather(pool);
    if (pool->waiters == 0)
        qyi_pool_reopen(pool);
    return qyi_pool_shed_and_unlock(pool, keep);
}

void qy_pool_get_stats(qy_pool *pool, qy_pool_stats *stats)
{
    qyi_fork_check();
    qyi_lock(&pool->lock);
    size_t kept = 0;
    size_t low = 0;
    for (const struct qyi_pool_cache *cache = atomic_load_explicit(&pool->caches, memory_order_relaxed); cache != NULL;
         cache = cache->next) {
        kept += qyi_pool_cache_count(cache);
        low += atomic_load_explicit(&cache->low, memory_order_relaxed);
    }
    const size_t idle = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    *stats = (qy_pool_stats){
        .in_use = pool->created - qyi_min(idle + kept, pool->created),
        .idle = idle + kept,
        .created = pool->created,
        .high_water = qyi_max(pool->high_water, pool->created - qyi_min(idle + low, pool->created)),
        .misses = pool->misses,
        .waits = pool->waits,
    };
    qyi_unlock(&pool->lock);
}

/* ---- buffers ---- */

static qy_slice slice_of(const qy_pool *pool, void *buffer)
{
    return (qy_slice){.iov_base = buffer, .iov_len = buffer != NULL ? pool->bytes : 0};
}

static qy_slice no_buffers(void)
{
    errno = EINVAL;
    return QY_SLICE_EMPTY;
}

qy_slice qy_pool_acquire_slice(qy_pool *pool)
{
    return QYI_LIKELY(pool->buffers) ? slice_of(pool, acquire(pool)) : no_buffers();
}

qy_slice qy_pool_try_acquire_slice(qy_pool *pool)
{
    return QYI_LIKELY(pool->buffers) ? slice_of(pool, try_acquire(pool)) : no_buffers();
}

qy_slice qy_pool_acquire_slice_timeout(qy_pool *pool, unsigned timeout_ms)
{
    return QYI_LIKELY(pool->buffers) ? slice_of(pool, qy_pool_acquire_timeout(pool, timeout_ms)) : no_buffers();
}

size_t qy_pool_acquire_slices(qy_pool *pool, qy_slice *slices, size_t count)
{
    enum { AT_ONCE = 32 };
    void *buffers[AT_ONCE];
    if (!pool->buffers)
        return no_buffers().iov_len;
    for (size_t done = 0; done < count;) {
        const size_t wanted = qyi_min(count - done, AT_ONCE);
        const size_t got = qy_pool_acquire_bulk(pool, buffers, wanted);
        for (size_t i = 0; i < got; i++)
            slices[done + i] = slice_of(pool, buffers[i]);
        done += got;
        if (got < wanted)
            return done;
    }
    return count;
}

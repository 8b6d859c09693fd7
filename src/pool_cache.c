/*
 * pool_cache.c: what threads keep for themselves of pools' objects, and how others get at it. Layer 6.
 *
 *     thread:  caches -> cache -> cache           one for each pool that the thread has used
 *     pool:    caches -> cache -> cache           one for each thread that has used the pool
 *
 * Records of caches are never freed, but used again: spare ones are on a list. A thread lets go of its caches when it ends, or
 * when it finds that their pool has gone.
 *
 * I1  cache->pool is cleared under the registry's lock, so with this lock a thread can go from its cache to the pool.
 * I2  lists change by single stores: a forked child finds them whole.
 */
#include "pool.h"

#include "alloc.h"
#include "fork.h"
#include "look.h"
#include "magazine.h"
#include "os.h"
#include "pooled.h"
#include "stats.h"
#include "thread.h"

#include <sched.h>
#include <string.h>

/* After a thread had to wait, so many operations with the lock make out that it was an exception. */
static const uint32_t CALM_COUNT = 64;
static const unsigned SPIN_COUNT = 100;

__thread struct qyi_my_pools qyi_my_pools __attribute__((tls_model("initial-exec")));

static struct {
    struct qyi_lock lock;
    struct qy_pool *_Atomic pools;
    struct qyi_pool_cache *_Atomic spare;
    _Atomic uint64_t last_serial;
    _Atomic bool barrier_refused; /* membarrier worked once, and does no more: a sandbox */
    bool hooked;
} registry;

const struct qyi_extent qyi_pools_extent = {&registry, sizeof registry};

/* ---- records ---- */

static struct qyi_pool_cache *take_record(void)
{
    qyi_lock(&registry.lock);
    struct qyi_pool_cache *cache = atomic_load_explicit(&registry.spare, memory_order_relaxed);
    if (cache != NULL)
        atomic_store_explicit(&registry.spare, cache->next, memory_order_relaxed);
    qyi_unlock(&registry.lock);
    return cache != NULL ? cache : qyi_aligned(QYI_CACHE_LINE, sizeof *cache);
}

/* The caller holds the registry's lock. */
static void give_record(struct qyi_pool_cache *cache)
{
    cache->next = atomic_load_explicit(&registry.spare, memory_order_relaxed);
    atomic_store_explicit(&registry.spare, cache, memory_order_release); /* I2 */
}

/* The caller holds the pool's lock. */
static void unlink_from_pool(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    struct qyi_pool_cache *first = atomic_load_explicit(&pool->caches, memory_order_relaxed);
    if (first == cache) {
        atomic_store_explicit(&pool->caches, cache->next, memory_order_release);
        return;
    }
    while (first->next != cache)
        first = first->next;
    first->next = cache->next;
}

/* ---- the high water ---- */

static void note(struct qy_pool *pool, size_t idle)
{
    if (pool->created > idle + pool->high_water)
        pool->high_water = pool->created - idle;
}

void qyi_pool_note_before(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    if (cache == NULL)
        return;
    note(pool, atomic_load_explicit(&pool->idle, memory_order_relaxed) + pool->cached_known - cache->known +
                   atomic_load_explicit(&cache->low, memory_order_relaxed));
}

void qyi_pool_note_after(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    if (cache != NULL) {
        const size_t count = qyi_pool_cache_count(cache);
        pool->cached_known += count - cache->known;
        cache->known = count;
        atomic_store_explicit(&cache->low, count, memory_order_relaxed);
    }
    note(pool, atomic_load_explicit(&pool->idle, memory_order_relaxed) + pool->cached_known);
}

/* ---- emptying ---- */

void qyi_pool_cache_drain(struct qy_pool *pool, struct qyi_pool_cache *cache, size_t count)
{
    void *moved[QYI_POOL_CACHE_MAX];
    const size_t rest = qyi_pool_cache_count(cache) - count;
    memcpy(moved, &cache->objects[1], count * sizeof(void *));
    /* First it is less here, then more there: what a forked child sees in between is lost, not doubled. */
    qyi_pool_cache_set_count(cache, 0);
    atomic_signal_fence(memory_order_seq_cst);
    memmove(&cache->objects[1], &cache->objects[1 + count], rest * sizeof(void *));
    qyi_pool_cache_set_count(cache, rest);
    for (size_t i = 0; i < count; i++)
        qyi_pool_depot_push(pool, moved[i]);
}

/* The caller holds the pool's lock, and nobody else works in the cache. */
static void empty(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    qyi_pool_note_before(pool, cache);
    qyi_pool_cache_drain(pool, cache, qyi_pool_cache_count(cache));
    qyi_pool_note_after(pool, cache);
}

/* Whoever works in a cache is done in some nanoseconds, unless it is not running. */
static void wait_until_left(struct qyi_pool_cache *cache)
{
    /* acquire: pairs with the release in qyi_pool_cache_leave */
    for (unsigned i = 0; atomic_load_explicit(&cache->busy, memory_order_acquire) != 0; i++) {
        if (i >= SPIN_COUNT)
            sched_yield();
    }
}

static bool barrier_is_refused(void)
{
    return atomic_load_explicit(&registry.barrier_refused, memory_order_relaxed);
}

void qyi_pool_gather(struct qy_pool *pool)
{
    struct qyi_pool_cache *first = atomic_load_explicit(&pool->caches, memory_order_relaxed);
    bool any = false;
    for (struct qyi_pool_cache *cache = first; cache != NULL; cache = cache->next) {
        any |= atomic_load_explicit(&cache->open, memory_order_relaxed) != 0;
        atomic_store_explicit(&cache->open, 0, memory_order_relaxed); /* the barrier is the next thing */
    }
    pool->closed = true;
    pool->calm = CALM_COUNT;
    if (any && !qyi_os_barrier_others())
        atomic_store_explicit(&registry.barrier_refused, true, memory_order_relaxed);
    const bool refused = barrier_is_refused(); /* then only the thread's own can be touched; others hand in theirs */
    for (struct qyi_pool_cache *cache = first; cache != NULL; cache = cache->next) {
        if (refused && cache->thread != qyi_lock_me())
            continue;
        wait_until_left(cache);
        empty(pool, cache);
    }
}

void qyi_pool_reopen(struct qy_pool *pool)
{
    pool->closed = false;
    for (struct qyi_pool_cache *cache = atomic_load_explicit(&pool->caches, memory_order_relaxed); cache != NULL;
         cache = cache->next)
        /* release: pairs with the acquire in qyi_pool_cache_enter */
        atomic_store_explicit(&cache->open, cache->serial, memory_order_release);
}

/* ---- the thread's caches ---- */

static void set_slot(struct qyi_pool_cache *cache)
{
    qyi_my_pools.slot[cache->serial % QYI_POOL_SLOTS] = cache;
}

static void clear_slot(const struct qyi_pool_cache *cache)
{
    struct qyi_pool_cache **slot = &qyi_my_pools.slot[cache->serial % QYI_POOL_SLOTS];
    if (*slot == cache)
        *slot = NULL;
}

/* Its pool has gone, or this thread is about to. */
static void forget(struct qyi_pool_cache **link)
{
    struct qyi_pool_cache *cache = *link;
    clear_slot(cache);
    *link = cache->next_mine;
    qyi_lock(&registry.lock);
    give_record(cache);
    qyi_unlock(&registry.lock);
}

/* False: it is dying, and would have to wait for the thread's end. */
static bool link_to_pool(struct qy_pool *pool, struct qyi_pool_cache *cache)
{
    qyi_lock(&pool->lock);
    const bool alive = !pool->dying;
    if (alive) {
        atomic_store_explicit(&cache->open, pool->closed ? 0 : cache->serial, memory_order_relaxed);
        cache->next = atomic_load_explicit(&pool->caches, memory_order_relaxed);
        atomic_store_explicit(&pool->caches, cache, memory_order_release); /* I2 */
    }
    qyi_unlock(&pool->lock);
    return alive;
}

static struct qyi_pool_cache *make(struct qy_pool *pool)
{
    struct qyi_pool_cache *cache = take_record();
    if (cache == NULL)
        return NULL;
    memset(cache, 0, offsetof(struct qyi_pool_cache, objects));
    cache->objects[0] = NULL;
    cache->room = pool->cache_room;
    cache->serial = pool->serial;
    cache->thread = qyi_lock_me();
    atomic_store_explicit(&cache->pool, pool, memory_order_relaxed);
    if (!link_to_pool(pool, cache)) {
        qyi_lock(&registry.lock);
        give_record(cache);
        qyi_unlock(&registry.lock);
        return NULL;
    }
    cache->next_mine = qyi_my_pools.caches;
    qyi_my_pools.caches = cache;
    set_slot(cache);
    qyi_thread_register(qyi_my_magazines());
    return cache;
}

/* The thread's cache of the pool, or NULL. By the way, caches whose pools have gone are let go. */
static struct qyi_pool_cache *look_for(const struct qy_pool *pool)
{
    for (struct qyi_pool_cache **link = &qyi_my_pools.caches; *link != NULL;) {
        struct qyi_pool_cache *cache = *link;
        if (atomic_load_explicit(&cache->pool, memory_order_acquire) == NULL) { /* pairs with the release in disown */
            forget(link);
            continue;
        }
        if (cache->serial == pool->serial) {
            set_slot(cache);
            return cache;
        }
        link = &cache->next_mine;
    }
    return NULL;
}

struct qyi_pool_cache *qyi_pool_cache_find(struct qy_pool *pool)
{
    struct qyi_pool_cache *at_hand = qyi_pool_slot(pool);
    if (pool->cache_room == 0)
        return NULL;
    if (at_hand != NULL && at_hand->serial == pool->serial)
        return at_hand;
    if (!qyi_thread_is_attached()) {
        if (qyi_thread_attach(false) == NULL)
            return NULL; /* nobody would notice the thread's end */
        qyi_my_pools.ended = false;
    }
    if (qyi_my_pools.ended)
        return NULL;
    struct qyi_pool_cache *cache = look_for(pool);
    return cache != NULL ? cache : make(pool);
}

/* What the thread keeps of one pool goes to the depot. */
static void hand_in(struct qyi_pool_cache *cache)
{
    qyi_lock(&registry.lock);
    struct qy_pool *pool = atomic_load_explicit(&cache->pool, memory_order_relaxed); /* I1 */
    if (pool != NULL)
        qyi_lock(&pool->lock);
    qyi_unlock(&registry.lock);
    if (pool == NULL)
        return;
    empty(pool, cache);
    unlink_from_pool(pool, cache);
    qyi_pool_offer(pool);
    qyi_pool_shed_and_unlock(pool, pool->max_idle);
}

static void thread_ends(void)
{
    qyi_my_pools.ended = true; /* destructors may use the pools, without caches */
    while (qyi_my_pools.caches != NULL) {
        struct qyi_pool_cache *cache = qyi_my_pools.caches;
        clear_slot(cache);
        hand_in(cache);
        forget(&qyi_my_pools.caches);
    }
}

/* ---- fork ---- */

/* The caches of threads that exist in the parent only. */
static void adopt_others(struct qy_pool *pool)
{
    struct qyi_pool_cache *kept = NULL;
    for (struct qyi_pool_cache *cache = atomic_load_explicit(&pool->caches, memory_order_relaxed), *next; cache != NULL;
         cache = next) {
        next = cache->next;
        if (cache->thread == qyi_lock_me()) {
            cache->next = kept;
            kept = cache;
            continue;
        }
        qyi_pool_cache_drain(pool, cache, qyi_pool_cache_count(cache));
        give_record(cache);
    }
    atomic_store_explicit(&pool->caches, kept, memory_order_relaxed);
    pool->cached_known = 0;
    for (; kept != NULL; kept = kept->next)
        pool->cached_known += kept->known;
}

static void in_child(void)
{
    qyi_lock_after_fork(&registry.lock);
    for (struct qy_pool *pool = atomic_load_explicit(&registry.pools, memory_order_relaxed); pool != NULL;
         pool = atomic_load_explicit(&pool->next, memory_order_relaxed)) {
        const bool broken = qyi_lock_after_fork(&pool->lock);
        if (qyi_lock_is_mine(&pool->lock))
            continue; /* forked in a signal handler that interrupted us: what it does goes on in the child */
        /* The threads that waited are the parent's; unless it is this one, forked in a signal handler that interrupted it. */
        pool->waiters = qyi_my_pools.awaited == pool;
        pool->reserved = 0;
        adopt_others(pool);
        if (broken && pool->buffers)
            qyi_pool_buffers_relist(pool);
        if (pool->waiters != 0)
            qyi_pool_offer(pool);
        else if (!pool->dying)
            qyi_pool_reopen(pool);
    }
}

/* ---- numbers ---- */

enum { POOLS_MAX = 1 << 16, CACHES_MAX = 1 << 16 }; /* what is read may be torn, and lists run in circles */

/* Add up what the pool's caches keep, and the lowest that they have kept. */
static void sum_caches(const struct qy_pool *pool, size_t *kept, size_t *low, qyi_pools_reader *read, void *context)
{
    struct qyi_pool_cache cache;
    const struct qyi_pool_cache *next = atomic_load_explicit(&pool->caches, memory_order_relaxed);
    for (unsigned i = 0; next != NULL && i < CACHES_MAX; i++, next = cache.next) {
        if (!read(context, &cache, next, offsetof(struct qyi_pool_cache, objects)))
            return;
        *kept += qyi_min(qyi_pool_cache_count(&cache), QYI_POOL_CACHE_MAX);
        *low += qyi_min(atomic_load_explicit(&cache.low, memory_order_relaxed), QYI_POOL_CACHE_MAX);
    }
}

static void sum_pool(struct qyi_stats_pools *sum, const struct qy_pool *pool, qyi_pools_reader *read, void *context)
{
    size_t idle = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    size_t low = idle;
    sum_caches(pool, &idle, &low, read, context);
    const size_t in_use = pool->created - qyi_min(idle, pool->created);
    sum->pools++;
    sum->objects += pool->created;
    sum->in_use += in_use;
    sum->high_water += qyi_max(pool->high_water, pool->created - qyi_min(low, pool->created));
    sum->misses += pool->misses;
    sum->waits += pool->waits;
}

void qyi_pools_sum(struct qyi_stats_pools *sum, const struct qyi_extent *extent, qyi_pools_reader *read, void *context)
{
    typeof(registry) theirs;
    struct qy_pool pool;
    *sum = (struct qyi_stats_pools){0};
    if (extent->bytes != sizeof theirs || !read(context, &theirs, extent->start, sizeof theirs))
        return;
    const struct qy_pool *next = atomic_load_explicit(&theirs.pools, memory_order_relaxed);
    for (unsigned i = 0; next != NULL && i < POOLS_MAX; i++) {
        if (!read(context, &pool, next, sizeof pool))
            return;
        sum_pool(sum, &pool, read, context);
        next = atomic_load_explicit(&pool.next, memory_order_relaxed);
    }
}

/* Word by word, since memcpy would be looked into by the thread sanitizer: all of it is counters and pointers. */
static QYI_RACY bool read_here(void *context, void *copy, const void *address, size_t bytes)
{
    (void)context;
    const volatile uint64_t *from = address;
    uint64_t *to = copy;
    for (size_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = from[i];
    return true;
}

/* Pools stay while the registry is locked. Its holder may be this thread, or one that did not survive a fork. */
static void count_pools(struct qyi_stats_pools *pools)
{
    unsigned tries = 1000;
    while (!qyi_lock_try(&registry.lock)) {
        if (--tries == 0)
            return;
        sched_yield();
    }
    qyi_pools_sum(pools, &qyi_pools_extent, read_here, NULL);
    qyi_unlock(&registry.lock);
}

/* ---- pools ---- */

bool qyi_pool_caches_prepare(void)
{
    return !barrier_is_refused() && qyi_os_barrier_prepare();
}

void qyi_pool_register(struct qy_pool *pool)
{
    pool->serial = atomic_fetch_add_explicit(&registry.last_serial, 1, memory_order_relaxed) + 1;
    const char *here = __builtin_thread_pointer();
    pool->slot_offset = (char *)&qyi_my_pools.slot[pool->serial % QYI_POOL_SLOTS] - here;
    pool->release_offset =
        pool->buffers || pool->reset != NULL ? (char *)&qyi_my_pools.no_cache - here : pool->slot_offset;
    qyi_fork_check();
    qyi_lock(&registry.lock);
    if (!registry.hooked) {
        registry.hooked = true;
        qyi_pooled_last = qyi_pool_buffer_last;
        qyi_fork_add_hook(in_child);
        /* release: pairs with the acquire in qyi_stats_collect */
        atomic_store_explicit(&qyi_stats_count_pools, count_pools, memory_order_release);
        /* release: pairs with the acquire in thread_ends of thread.c */
        atomic_store_explicit(&qyi_thread_end_hook, thread_ends, memory_order_release);
    }
    atomic_store_explicit(&pool->next, atomic_load_explicit(&registry.pools, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&registry.pools, pool, memory_order_release); /* I2 */
    qyi_unlock(&registry.lock);
}

/* The caller holds both locks. */
static void disown(struct qy_pool *pool)
{
    if (barrier_is_refused())
        return; /* they stay until their threads hand them in (P4) */
    struct qyi_pool_cache *cache = atomic_load_explicit(&pool->caches, memory_order_relaxed);
    atomic_store_explicit(&pool->caches, NULL, memory_order_relaxed);
    while (cache != NULL) {
        struct qyi_pool_cache *next = cache->next; /* after the next line, the record may be another pool's */
        /* release: pairs with the acquire in qyi_pool_cache_find */
        atomic_store_explicit(&cache->pool, NULL, memory_order_release);
        cache = next;
    }
}

void qyi_pool_lock_to_destroy(struct qy_pool *pool)
{
    qyi_fork_check();
    qyi_lock(&registry.lock);
    qyi_lock(&pool->lock);
    pool->dying = true;
    qyi_pool_gather(pool);
    disown(pool);
    qyi_unlock(&registry.lock);
}

void qyi_pool_unregister(struct qy_pool *pool)
{
    qyi_lock(&registry.lock);
    struct qy_pool *_Atomic *link = &registry.pools;
    while (atomic_load_explicit(link, memory_order_relaxed) != pool)
        link = &atomic_load_explicit(link, memory_order_relaxed)->next;
    atomic_store_explicit(link, atomic_load_explicit(&pool->next, memory_order_relaxed), memory_order_release); /* I2 */
    qyi_unlock(&registry.lock);
}

/*
 * pool_buffer.c: the memory of pooled buffers. Layer 6.
 *
 *     pool: runs -> run with room <-> run with room        full ones are on no list; they are found by their buffers
 *
 * All of this happens under the pool's lock. Which buffers of a run exist stands in its bits; a forked child makes the rest
 * anew from them if the list was just being changed.
 */
#include "pool.h"

#include "pooled.h"
#include "reclaim.h"

static struct qyi_pooled *run_at(uint32_t granule)
{
    return qyi_granule_record(granule);
}

static void link_run(struct qy_pool *pool, struct qyi_pooled *run)
{
    const uint32_t granule = qyi_record_granule(run);
    run->prev = 0;
    run->next = pool->runs;
    if (pool->runs != 0)
        run_at(pool->runs)->prev = granule;
    pool->runs = granule;
}

static void unlink_run(struct qy_pool *pool, struct qyi_pooled *run)
{
    if (run->prev != 0)
        run_at(run->prev)->next = run->next;
    else
        pool->runs = run->next;
    if (run->next != 0)
        run_at(run->next)->prev = run->prev;
}

static void *make(struct qy_pool *pool)
{
    void *buffer = NULL;
    qyi_lock(&pool->lock);
    struct qyi_pooled *run = pool->runs != 0 ? run_at(pool->runs) : qyi_pooled_new(pool, pool->stride);
    if (run != NULL) {
        if (pool->runs == 0)
            link_run(pool, run);
        buffer = qyi_pooled_take(run);
        if (run->made == run->count)
            unlink_run(pool, run);
    }
    qyi_unlock(&pool->lock);
    return buffer;
}

void *qyi_pool_buffer_make(struct qy_pool *pool)
{
    void *buffer = make(pool);
    if (buffer == NULL) {
        qyi_reclaim_all();
        buffer = make(pool);
    }
    return buffer;
}

void qyi_pool_buffer_unmake(struct qy_pool *pool, void *buffer)
{
    struct qyi_pooled *run = qyi_pooled_of(buffer, qyi_entry(qyi_region_offset(buffer) >> QYI_GRANULE_SHIFT));
    qyi_lock(&pool->lock);
    if (run->made == run->count)
        link_run(pool, run);
    qyi_pooled_give(run, buffer);
    if (run->made == 0) {
        unlink_run(pool, run);
        qyi_pooled_delete(run);
    }
    qyi_unlock(&pool->lock);
}

void qyi_pool_buffers_relist(struct qy_pool *pool)
{
    const uint64_t flags = QYI_ENTRY_POOLED | QYI_ENTRY_COUNTED;
    const uint32_t end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed);
    pool->runs = 0;
    for (uint32_t granule = qyi_region.first; granule < end; granule++) {
        if (qyi_entry(granule) != flags || run_at(granule)->pool != pool) /* not the first of a run of this pool */
            continue;
        qyi_pooled_recount(run_at(granule));
        if (run_at(granule)->made < run_at(granule)->count)
            link_run(pool, run_at(granule));
    }
}

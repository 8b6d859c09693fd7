/*
 * unit_pool.h: what the unit tests of pools share: a kind of object that counts what happens to it.
 */
#ifndef QUARRY_TESTS_UNIT_POOL_H
#define QUARRY_TESTS_UNIT_POOL_H

#include "unit.h"

#include "quarry/pool.h"

#include "alloc.h"
#include "pool.h"
#include "reclaim.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

static _Atomic int made, reset_count, destroyed;
static _Atomic int failures_left; /* of the factory */

struct thing {
    int state; /* 1: made or reset, 2: in use */
    char rest[60];
};

static inline int make_thing(void *object, void *context)
{
    require(context == &made);
    if (atomic_load(&failures_left) > 0) {
        atomic_fetch_sub(&failures_left, 1);
        return EPROTO;
    }
    ((struct thing *)object)->state = 1;
    atomic_fetch_add(&made, 1);
    return 0;
}

static inline void reset_thing(void *object, void *context)
{
    require(context == &made);
    require(((struct thing *)object)->state != 0);
    ((struct thing *)object)->state = 1;
    atomic_fetch_add(&reset_count, 1);
}

static inline void destroy_thing(void *object, void *context)
{
    require(context == &made);
    require(((struct thing *)object)->state == 1);
    ((struct thing *)object)->state = 0;
    atomic_fetch_add(&destroyed, 1);
}

static inline qy_pool_attr things(void)
{
    return (qy_pool_attr){.object_bytes = sizeof(struct thing),
                          .construct = make_thing,
                          .reset = reset_thing,
                          .destruct = destroy_thing,
                          .context = &made};
}

static inline qy_pool *new_pool(qy_pool_attr attr)
{
    qy_pool *pool = qy_pool_new(&attr);
    require(pool != NULL);
    return pool;
}

static inline struct thing *acquire(qy_pool *pool)
{
    struct thing *thing = qy_pool_try_acquire(pool);
    require(thing != NULL && thing->state == 1);
    thing->state = 2;
    return thing;
}

static inline qy_pool_stats stats_of(qy_pool *pool)
{
    qy_pool_stats stats;
    qy_pool_get_stats(pool, &stats);
    require(stats.in_use + stats.idle == stats.created);
    require(stats.high_water >= stats.in_use);
    return stats;
}

/* Nothing is left of pools and objects but what the thread keeps for its caches. */
static inline void check_nothing_is_left(void)
{
    require(atomic_load(&made) == atomic_load(&destroyed));
    qyi_reclaim_all();
    unit_check_runs();
}

/* ---- threads that take turns ---- */

static _Atomic int step;

static inline void wait_for_step(int wanted)
{
    while (atomic_load(&step) < wanted)
        sched_yield();
}

/* Keeps in its cache all there is, and sleeps. */
static inline void *keep_all(void *argument)
{
    qy_pool *pool = argument;
    void *objects[8];
    require(qy_pool_acquire_bulk(pool, objects, 8) == 8);
    qy_pool_release_bulk(pool, objects, 8);
    atomic_store(&step, 1);
    wait_for_step(2);
    qy_pool_release(pool, qy_pool_acquire(pool));
    return NULL;
}
#endif

/*
 * Many pools, more than a thread finds at once, in the hands of threads that come and go: every thread takes over the live
 * objects of one that ended, takes and gives in every way there is, swaps objects with the others, and starts its successor.
 * Now and then a pool is destroyed with objects out, and another one takes its place.
 *
 * Every object knows which pool made it and who uses it, so that one from the wrong pool, or one that two have, is noticed.
 */
#include "blackbox.h"

#include <stdatomic.h>

#include "quarry/pool.h"

enum { POOLS = 13, RUNNERS = 4, LEGS = 120, STEPS = 3000, HELD = 24, MAILBOXES = 16, BULK = 10, KEPT_MAX = 64 };

/* At the start of every object. */
struct object {
    _Atomic uint32_t user;        /* 0: idle */
    _Atomic(struct pool *) maker; /* the pool as it was then */
};

/* One life of a pool. */
struct pool {
    qy_pool *pool;
    unsigned kind;
    size_t max;
    _Atomic size_t live; /* objects made and not destroyed */
};

static struct place {
    pthread_rwlock_t lock; /* for writing: to replace the pool */
    struct pool *pool;
} places[POOLS];

static struct object *_Atomic mailboxes[MAILBOXES];
static _Atomic uint32_t last_user;
static _Atomic size_t objects_made, objects_gone;

static int make_object(void *memory, void *context)
{
    struct pool *pool = context;
    struct object *object = memory;
    const size_t live = atomic_fetch_add(&pool->live, 1) + 1;
    CHECK(pool->max == 0 || live <= pool->max, "%zu objects where %zu may be", live, pool->max);
    static _Atomic unsigned calls;
    if (pool->kind != 0 && atomic_fetch_add(&calls, 1) % 50 == 49) {
        atomic_fetch_sub(&pool->live, 1);
        return ENODEV;
    }
    atomic_store(&object->user, 0);
    atomic_store(&object->maker, pool);
    atomic_fetch_add(&objects_made, 1);
    return 0;
}

static void object_is_gone(struct object *object)
{
    struct pool *pool = atomic_exchange(&object->maker, NULL);
    CHECK(pool != NULL, "an object is destroyed twice");
    CHECK(atomic_load(&object->user) == 0, "an object in use is destroyed");
    atomic_fetch_sub(&pool->live, 1);
    atomic_fetch_add(&objects_gone, 1);
}

static void destroy_object(void *object, void *context)
{
    CHECK(atomic_load(&((struct object *)object)->maker) == context, "an object is destroyed by another pool");
    object_is_gone(object);
}

/* Who releases last says so here, for a buffer. */
static void reset_buffer(void *memory, void *context)
{
    struct object *object = memory;
    CHECK(atomic_load(&object->maker) == context, "a buffer comes back to another pool");
    CHECK(atomic_exchange(&object->user, 0) != 0, "a buffer comes back twice");
}

static bool is_buffer(const struct pool *pool)
{
    return pool->kind % 3 == 1;
}

/* Records of pools that are gone stay: their objects point to them. */
static struct pool *new_pool(unsigned kind)
{
    static const size_t maxima[] = {0, 0, 40, 5, 100};
    struct pool *pool = calloc(1, sizeof *pool);
    CHECK(pool != NULL);
    pool->kind = kind;
    pool->max = maxima[kind % BB_COUNT(maxima)];
    qy_pool_attr attr = {.object_bytes = 40 + kind * 100,
                         .construct = make_object,
                         .destruct = destroy_object,
                         .context = pool,
                         .max_objects = pool->max,
                         .max_idle = kind % 4 == 3 ? 30 : 0,
                         .initial = kind % 2 == 0 ? 3 : 0,
                         .flags = kind % 7 == 6 ? QY_POOL_NO_CACHE : 0};
    if (is_buffer(pool)) {
        attr.flags |= QY_POOL_BUFFERS;
        attr.reset = reset_buffer;
    }
    do
        pool->pool = qy_pool_new(&attr);
    while (pool->pool == NULL && errno == ENODEV);
    CHECK(pool->pool != NULL);
    return pool;
}

/* ---- what a thread does ---- */

struct runner {
    uint64_t state;
    uint32_t me;
    struct object *held[HELD];
};
static struct runner runners[RUNNERS];

static size_t below(struct runner *runner, size_t limit)
{
    return bb_random(&runner->state) % limit;
}

static void begin_use(struct runner *runner, struct object *object, struct pool *pool)
{
    struct pool *maker = atomic_load(&object->maker);
    CHECK(maker == pool, "an object of another pool: %p for %p", (void *)maker, (void *)pool);
    const uint32_t before = atomic_exchange(&object->user, runner->me);
    CHECK(before == 0, "two have the same object");
}

static void give_back(struct runner *runner, struct object *object)
{
    struct pool *pool = atomic_load(&object->maker);
    CHECK(pool != NULL, "an object in use was destroyed");
    if (is_buffer(pool)) {
        /* One reference or two, dropped in different ways. */
        const bool twice = below(runner, 2) == 0;
        if (twice)
            CHECK(qy_retain((char *)object + 30) == 0);
        for (int i = 0; i <= twice; i++) {
            qy_slice slice = {(char *)object + 20, 5};
            switch (below(runner, 3)) {
            case 0: free(object); break;
            case 1: qy_pool_release(pool->pool, object); break;
            default: qy_slice_drop(&slice);
            }
        }
        return;
    }
    CHECK(atomic_exchange(&object->user, 0) == runner->me, "somebody else has used it");
    if (below(runner, 200) == 0) {
        object_is_gone(object); /* first, for then another may be made */
        CHECK(qy_pool_detach(pool->pool, object) == object);
        free(object);
    } else {
        qy_pool_release(pool->pool, object);
    }
}

static struct object *acquire(struct runner *runner, struct pool *pool)
{
    errno = 0;
    const size_t how = below(runner, 4);
    struct object *object = how == 0                     ? qy_pool_acquire_timeout(pool->pool, 2)
                            : how == 1 && pool->max == 0 ? qy_pool_acquire(pool->pool)
                                                         : qy_pool_try_acquire(pool->pool);
    if (object != NULL)
        begin_use(runner, object, pool);
    else
        CHECK(errno == EAGAIN || errno == ETIMEDOUT || errno == ENODEV);
    return object;
}

static void take_and_give_many(struct runner *runner, struct pool *pool)
{
    void *objects[BULK];
    const size_t got = qy_pool_acquire_bulk(pool->pool, objects, BULK);
    for (size_t i = 0; i < got; i++)
        begin_use(runner, objects[i], pool);
    for (size_t i = 0; i < got && !is_buffer(pool); i++)
        CHECK(atomic_exchange(&((struct object *)objects[i])->user, 0) == runner->me);
    qy_pool_release_bulk(pool->pool, objects, got);
}

/* The pool's place is locked. */
static void use_pool(struct runner *runner, struct pool *pool)
{
    struct object **held = &runner->held[below(runner, HELD)];
    if (below(runner, 10) == 0) {
        take_and_give_many(runner, pool);
    } else if (below(runner, 300) == 0) {
        qy_pool_trim(pool->pool, below(runner, 20));
    } else if (*held == NULL) {
        *held = acquire(runner, pool);
    }
}

static void replace_pool(struct place *place)
{
    pthread_rwlock_wrlock(&place->lock);
    struct pool *old = place->pool;
    place->pool = new_pool(old->kind);
    qy_pool_destroy(old->pool);
    pthread_rwlock_unlock(&place->lock);
}

/* Give away what is held, and hold what was in the mailbox. */
static void swap(struct runner *runner, struct object **held)
{
    struct object *object = *held;
    if (object != NULL)
        CHECK(atomic_exchange(&object->user, UINT32_MAX) == runner->me);
    object = atomic_exchange(&mailboxes[below(runner, MAILBOXES)], object);
    if (object != NULL)
        CHECK(atomic_exchange(&object->user, runner->me) == UINT32_MAX);
    *held = object;
}

static void *leg(void *argument)
{
    struct runner *runner = argument;
    runner->me = atomic_fetch_add(&last_user, 1) + 1;
    for (size_t i = 0; i < HELD; i++)
        if (runner->held[i] != NULL)
            atomic_store(&runner->held[i]->user, runner->me);
    for (int step = 0; step < STEPS; step++) {
        struct place *place = &places[below(runner, POOLS)];
        pthread_rwlock_rdlock(&place->lock);
        use_pool(runner, place->pool);
        pthread_rwlock_unlock(&place->lock);
        struct object **held = &runner->held[below(runner, HELD)];
        if (below(runner, 5) == 0) {
            swap(runner, held);
        } else if (*held != NULL) {
            give_back(runner, *held);
            *held = NULL;
        }
        if (below(runner, 1000) == 0)
            replace_pool(place);
    }
    return NULL;
}

static void *run(void *argument)
{
    for (int i = 0; i < LEGS; i++)
        bb_join(bb_start(leg, argument));
    return NULL;
}

/* ---- threads that end leave nothing behind ---- */

static void *take_some_and_end(void *pool)
{
    void *objects[KEPT_MAX];
    const size_t got = qy_pool_acquire_bulk(((struct pool *)pool)->pool, objects, KEPT_MAX);
    qy_pool_release_bulk(((struct pool *)pool)->pool, objects, got);
    return NULL;
}

static void threads_that_end_give_back_what_they_kept(void)
{
    struct pool *pool = new_pool(0);
    for (int i = 0; i < 100; i++)
        bb_join(bb_start(take_some_and_end, pool));
    const size_t live = atomic_load(&pool->live);
    CHECK(live <= KEPT_MAX, "%zu objects for one thread at a time", live);
    qy_pool_destroy(pool->pool);
}

int main(void)
{
    threads_that_end_give_back_what_they_kept();
    pthread_t threads[RUNNERS];
    for (unsigned i = 0; i < POOLS; i++) {
        places[i].pool = new_pool(i);
        pthread_rwlock_init(&places[i].lock, NULL);
    }
    for (int i = 0; i < RUNNERS; i++) {
        runners[i].state = (uint64_t)i;
        threads[i] = bb_start(run, &runners[i]);
    }
    for (int i = 0; i < RUNNERS; i++)
        bb_join(threads[i]);
    for (unsigned i = 0; i < POOLS; i++)
        qy_pool_destroy(places[i].pool->pool);
    for (int i = 0; i < RUNNERS; i++)
        for (size_t j = 0; j < HELD; j++)
            if (runners[i].held[j] != NULL)
                give_back(&runners[i], runners[i].held[j]);
    for (size_t i = 0; i < MAILBOXES; i++) {
        struct object *object = atomic_load(&mailboxes[i]);
        if (object != NULL) {
            atomic_store(&object->user, runners[0].me);
            give_back(&runners[0], object);
        }
    }
    const size_t made = atomic_load(&objects_made);
    CHECK(made == atomic_load(&objects_gone), "%zu made, %zu destroyed", made, atomic_load(&objects_gone));
    bb_note("%zu objects", made);
    return 0;
}

/*
 * What people write by hand, under the C library's malloc: malloc and free alone; a header with an atomic count before the
 * bytes; a free list under a mutex. And the floor: a bare atomic addition and subtraction, inline, as two functions, and as two of a shared library.
 */
#include "rows.h"

#include "pair.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>

/* ---- malloc and free ---- */

static void malloc_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *p = malloc(work->bytes);
        touch(p);
        free(p);
    }
}

/* ---- a header with a count ---- */

struct header {
    _Atomic uint32_t references;
    _Alignas(16) char bytes[];
};

struct view {
    struct header *owner;
    char *p;
    size_t length;
};

static struct view view_new(size_t length)
{
    struct header *header = malloc(sizeof *header + length);
    must(header != NULL);
    atomic_init(&header->references, 1);
    return (struct view){.owner = header, .p = header->bytes, .length = length};
}

static struct view view_sub(const struct view *view, size_t offset, size_t length)
{
    atomic_fetch_add_explicit(&view->owner->references, 1, memory_order_relaxed);
    return (struct view){.owner = view->owner, .p = view->p + offset, .length = length};
}

static void view_drop(struct view *view)
{
    if (atomic_fetch_sub_explicit(&view->owner->references, 1, memory_order_acq_rel) == 1)
        free(view->owner);
}

static void *view_prepare(size_t bytes)
{
    (void)bytes;
    struct view *view = malloc(sizeof *view);
    must(view != NULL);
    *view = view_new(BLOCK_BYTES);
    return view;
}

static void view_finish(void *subject)
{
    view_drop(subject);
    free(subject);
}

static void view_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        struct view view = view_new(work->bytes);
        touch(view.p);
        view_drop(&view);
    }
}

static void view_clone(const struct work *work)
{
    const struct view *view = work->subject;
    for (size_t i = 0; i < work->rounds; i++) {
        struct view clone = view_sub(view, 0, view->length);
        keep(&clone);
        view_drop(&clone);
    }
}

static void view_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        struct view slice = view_sub(work->subject, SLICE_OFFSET, SLICE_BYTES);
        keep(&slice);
        view_drop(&slice);
    }
}

static void view_message(const struct work *work)
{
    struct view parts[PART_COUNT];
    struct iovec message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < PART_COUNT; k++)
            parts[k] = view_sub(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
        for (size_t k = 0; k < PART_COUNT; k++)
            message[k] = (struct iovec){.iov_base = parts[k].p, .iov_len = parts[k].length};
        keep(message);
        for (size_t k = 0; k < PART_COUNT; k++)
            view_drop(&parts[k]);
    }
}

static void view_frames(const struct work *work)
{
    struct view frames[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            frames[k] = view_sub(work->subject, k * FRAME_BYTES, FRAME_BYTES);
        keep(frames);
        for (size_t k = 0; k < FRAME_COUNT; k++)
            view_drop(&frames[k]);
    }
}

/* ---- the floor ---- */

static _Alignas(128) _Atomic uint32_t counter = 1;

static void pair_inline(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
        if (atomic_fetch_sub_explicit(&counter, 1, memory_order_acq_rel) == 1)
            abort();
    }
}

__attribute__((noipa)) static void pair_add(_Atomic uint32_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

__attribute__((noipa)) static void pair_drop(_Atomic uint32_t *count)
{
    if (atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1)
        abort();
}

static void pair_called(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        pair_add(&counter);
        pair_drop(&counter);
    }
}

static void pair_library(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        bench_pair_add(&counter);
        bench_pair_drop(&counter);
    }
}

static void empty_library(const struct work *work)
{
    struct iovec slice = {.iov_base = &counter, .iov_len = sizeof counter};
    keep(&slice);
    for (size_t i = 0; i < work->rounds; i++) {
        struct iovec clone = bench_empty_clone(slice);
        keep(&clone);
        bench_empty_drop(&clone);
    }
}

/* ---- a pool under a mutex ---- */

struct pool {
    pthread_mutex_t mutex;
    size_t count;
    void *objects[OBJECT_COUNT];
};

static void *pool_prepare(size_t bytes)
{
    (void)bytes;
    struct pool *pool = malloc(sizeof *pool);
    must(pool != NULL && pthread_mutex_init(&pool->mutex, NULL) == 0);
    for (pool->count = 0; pool->count < OBJECT_COUNT; pool->count++)
        must((pool->objects[pool->count] = aligned_alloc(64, OBJECT_BYTES)) != NULL);
    return pool;
}

static void pool_finish(void *subject)
{
    struct pool *pool = subject;
    while (pool->count != 0)
        free(pool->objects[--pool->count]);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static void *pool_acquire(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    void *object = pool->count != 0 ? pool->objects[--pool->count] : NULL;
    pthread_mutex_unlock(&pool->mutex);
    return object;
}

static void pool_release(struct pool *pool, void *object)
{
    pthread_mutex_lock(&pool->mutex);
    pool->objects[pool->count++] = object;
    pthread_mutex_unlock(&pool->mutex);
}

static void pool_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *object = pool_acquire(work->subject);
        touch(object);
        pool_release(work->subject, object);
    }
}

static void pool_bulk(const struct work *work)
{
    struct pool *pool = work->subject;
    void *objects[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        pthread_mutex_lock(&pool->mutex);
        for (size_t k = 0; k < BULK_COUNT; k++)
            objects[k] = pool->objects[--pool->count];
        pthread_mutex_unlock(&pool->mutex);
        keep(objects);
        pthread_mutex_lock(&pool->mutex);
        for (size_t k = 0; k < BULK_COUNT; k++)
            pool->objects[pool->count++] = objects[k];
        pthread_mutex_unlock(&pool->mutex);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("malloc", malloc_create),
    CREATE_ROWS("by-hand", view_create),
    {"by-hand", "clone", view_clone, view_prepare, view_finish, 0, 0, 0},
    {"by-hand", "slice", view_slice, view_prepare, view_finish, 0, 0, 0},
    {"by-hand", "message-8", view_message, view_prepare, view_finish, 0, 0, 0},
    {"by-hand", "frames-128", view_frames, view_prepare, view_finish, 0, FRAME_COUNT, 0},
    {"by-hand", "clone-2-threads", view_clone, view_prepare, view_finish, 0, 0, 2},
    {"atomic-pair-inline", "clone", pair_inline, NULL, NULL, 0, 0, 0},
    {"atomic-pair-inline", "clone-2-threads", pair_inline, NULL, NULL, 0, 0, 2},
    {"atomic-pair-called", "clone", pair_called, NULL, NULL, 0, 0, 0},
    {"atomic-pair-called", "clone-2-threads", pair_called, NULL, NULL, 0, 0, 2},
    {"atomic-pair-library", "clone", pair_library, NULL, NULL, 0, 0, 0},
    {"atomic-pair-library", "clone-2-threads", pair_library, NULL, NULL, 0, 0, 2},
    {"empty-calls-library", "clone", empty_library, NULL, NULL, 0, 0, 0},
    {"mutex-pool", "pool", pool_one, pool_prepare, pool_finish, 0, 0, 0},
    {"mutex-pool", "pool-2-threads", pool_one, pool_prepare, pool_finish, 0, 0, 2},
    {"mutex-pool", "pool-bulk-32", pool_bulk, pool_prepare, pool_finish, 0, BULK_COUNT, 0},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows};
    return rows_main(argc, argv, &program);
}

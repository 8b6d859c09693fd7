/*
 * APR, with its own allocators (a bucket allocator is one thread's): buckets of heap memory, which share their bytes by a
 * count without atomic instructions, brigades of them, and apr_reslist, a pool of objects under a mutex.
 */
#include "rows.h"

#include <apr_buckets.h>
#include <apr_general.h>
#include <apr_pools.h>
#include <apr_reslist.h>
#include <stdlib.h>
#include <sys/uio.h>

static apr_pool_t *pool;
static apr_bucket_alloc_t *list;

static bool start(void)
{
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return false;
    list = apr_bucket_alloc_create(pool);
    return list != NULL;
}

static apr_bucket *new_bucket(size_t bytes)
{
    return apr_bucket_heap_create(apr_bucket_alloc(bytes, list), bytes, apr_bucket_free, list);
}

static void bucket_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        apr_bucket *bucket = new_bucket(work->bytes);
        touch(((apr_bucket_heap *)bucket->data)->base);
        apr_bucket_destroy(bucket);
    }
}

static void *bucket_prepare(size_t bytes)
{
    (void)bytes;
    return new_bucket(BLOCK_BYTES);
}

static void bucket_finish(void *subject)
{
    apr_bucket *bucket = subject;
    apr_bucket_destroy(bucket);
}

static apr_bucket *part_of(apr_bucket *bucket, size_t offset, size_t length)
{
    apr_bucket *part;
    must(apr_bucket_copy(bucket, &part) == APR_SUCCESS);
    part->start += (apr_off_t)offset;
    part->length = length;
    return part;
}

static void bucket_clone(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        apr_bucket *clone;
        must(apr_bucket_copy((apr_bucket *)work->subject, &clone) == APR_SUCCESS);
        keep(clone);
        apr_bucket_destroy(clone);
    }
}

static void bucket_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        apr_bucket *slice = part_of(work->subject, SLICE_OFFSET, SLICE_BYTES);
        keep(slice);
        apr_bucket_destroy(slice);
    }
}

static void bucket_message(const struct work *work)
{
    apr_bucket_brigade *brigade = apr_brigade_create(pool, list);
    for (size_t i = 0; i < work->rounds; i++) {
        struct iovec message[PART_COUNT];
        int count = PART_COUNT;
        for (size_t k = 0; k < PART_COUNT; k++) {
            apr_bucket *part = part_of(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
            APR_BRIGADE_INSERT_TAIL(brigade, part);
        }
        must(apr_brigade_to_iovec(brigade, message, &count) == APR_SUCCESS && count == PART_COUNT);
        keep(message);
        apr_brigade_cleanup(brigade);
    }
    apr_brigade_destroy(brigade);
}

static void bucket_frames(const struct work *work)
{
    apr_bucket *frames[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            frames[k] = part_of(work->subject, k * FRAME_BYTES, FRAME_BYTES);
        keep(frames);
        for (size_t k = 0; k < FRAME_COUNT; k++)
            apr_bucket_destroy(frames[k]);
    }
}

/* ---- a pool of objects ---- */

static apr_status_t make_object(void **object, void *parameters, apr_pool_t *objects)
{
    (void)parameters;
    (void)objects;
    *object = malloc(OBJECT_BYTES);
    return *object != NULL ? APR_SUCCESS : APR_ENOMEM;
}

static apr_status_t drop_object(void *object, void *parameters, apr_pool_t *objects)
{
    (void)parameters;
    (void)objects;
    free(object);
    return APR_SUCCESS;
}

static void *reslist_prepare(size_t bytes)
{
    (void)bytes;
    apr_reslist_t *objects;
    must(apr_reslist_create(&objects, BULK_COUNT, OBJECT_COUNT, OBJECT_COUNT, 0, make_object, drop_object, NULL,
                            pool) == APR_SUCCESS);
    return objects;
}

static void reslist_finish(void *subject)
{
    apr_reslist_destroy(subject);
}

static void reslist_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *object;
        must(apr_reslist_acquire(work->subject, &object) == APR_SUCCESS);
        touch(object);
        apr_reslist_release(work->subject, object);
    }
}

/* It has no bulk operation. */
static void reslist_many(const struct work *work)
{
    void *objects[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < BULK_COUNT; k++)
            must(apr_reslist_acquire(work->subject, &objects[k]) == APR_SUCCESS);
        for (size_t k = 0; k < BULK_COUNT; k++)
            apr_reslist_release(work->subject, objects[k]);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("apr-bucket", bucket_create),
    {"apr-bucket", "clone", bucket_clone, bucket_prepare, bucket_finish, 0, 0, 0},
    {"apr-bucket", "slice", bucket_slice, bucket_prepare, bucket_finish, 0, 0, 0},
    {"apr-bucket", "message-8", bucket_message, bucket_prepare, bucket_finish, 0, 0, 0},
    {"apr-bucket", "frames-128", bucket_frames, bucket_prepare, bucket_finish, 0, FRAME_COUNT, 0},
    {"apr-reslist", "pool", reslist_one, reslist_prepare, reslist_finish, 0, 0, 0},
    {"apr-reslist", "pool-2-threads", reslist_one, reslist_prepare, reslist_finish, 0, 0, 2},
    {"apr-reslist", "pool-bulk-32", reslist_many, reslist_prepare, reslist_finish, 0, BULK_COUNT, 0},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows, .start = start};
    return rows_main(argc, argv, &program);
}

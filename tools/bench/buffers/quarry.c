/*
 * Quarry, as a program that is linked with -lquarry has it; its malloc is Quarry's too, and measured beside: what a buffer
 * costs beyond the block it consists of.
 */
#include "rows.h"

#include "quarry/chain.h"
#include "quarry/pool.h"
#include "quarry/slice.h"

#include <stdlib.h>

static void malloc_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *p = malloc(work->bytes);
        touch(p);
        free(p);
    }
}

static void slice_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        qy_slice slice = qy_slice_new(work->bytes);
        touch(slice.iov_base);
        qy_slice_drop(&slice);
    }
}

static void *block_prepare(size_t bytes)
{
    (void)bytes;
    qy_slice *slice = malloc(sizeof *slice);
    must(slice != NULL);
    *slice = qy_slice_new(BLOCK_BYTES);
    must(slice->iov_len != 0);
    return slice;
}

static void block_finish(void *subject)
{
    qy_slice_drop(subject);
    free(subject);
}

static void slice_clone(const struct work *work)
{
    const qy_slice *block = work->subject;
    for (size_t i = 0; i < work->rounds; i++) {
        qy_slice clone = qy_slice_clone(*block);
        keep(&clone);
        qy_slice_drop(&clone);
    }
}

/* The same without a slice: a pointer into the block is enough. */
static void pointer_clone(const struct work *work)
{
    const qy_slice *block = work->subject;
    const char *p = (const char *)block->iov_base + SLICE_OFFSET;
    for (size_t i = 0; i < work->rounds; i++) {
        (void)qy_retain(p);
        (void)qy_release(p);
    }
}

static void slice_sub(const struct work *work)
{
    const qy_slice *block = work->subject;
    for (size_t i = 0; i < work->rounds; i++) {
        qy_slice slice = qy_slice_sub(*block, SLICE_OFFSET, SLICE_BYTES);
        keep(&slice);
        qy_slice_drop(&slice);
    }
}

/* Each a byte short, so that a chain has no two to join. */
static void message_fill(qy_slice *message, const qy_slice *block)
{
    for (size_t k = 0; k < PART_COUNT; k++) {
        message[k].iov_base = (char *)block->iov_base + SLICE_OFFSET + k * PART_BYTES;
        message[k].iov_len = PART_BYTES - 1;
    }
}

/* Eight slices of one block, retained together; the array is what writev takes. */
static void message(const struct work *work)
{
    qy_slice message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        message_fill(message, work->subject);
        (void)qy_slices_retain(message, PART_COUNT);
        keep(message);
        qy_slices_drop(message, PART_COUNT);
    }
}

/* By way of a chain, whose array is what writev takes. */
static void message_chain(const struct work *work)
{
    qy_slice message[PART_COUNT];
    qy_chain chain;
    qy_chain_init(&chain);
    for (size_t i = 0; i < work->rounds; i++) {
        size_t count;
        message_fill(message, work->subject);
        must(qy_chain_push_clones(&chain, message, PART_COUNT) == 0);
        keep(qy_chain_iov(&chain, &count));
        qy_chain_clear(&chain);
    }
}

/* One by one, as code does that does not know that they have a block in common. */
static void message_one_by_one(const struct work *work)
{
    const qy_slice *block = work->subject;
    qy_slice message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < PART_COUNT; k++)
            message[k] = qy_slice_sub(*block, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
        keep(message);
        for (size_t k = 0; k < PART_COUNT; k++)
            qy_slice_drop(&message[k]);
    }
}

static void frames(const struct work *work)
{
    const qy_slice *block = work->subject;
    qy_slice frame[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        qy_slice rest = qy_slice_clone(*block);
        must(qy_slice_split_steps(&rest, FRAME_BYTES, frame, FRAME_COUNT) == FRAME_COUNT);
        keep(frame);
        qy_slices_drop(frame, FRAME_COUNT);
    }
}

/* ---- pools ---- */

static void *new_pool(unsigned flags)
{
    const qy_pool_attr attr = {.object_bytes = OBJECT_BYTES, .initial = OBJECT_COUNT, .flags = flags};
    qy_pool *pool = qy_pool_new(&attr);
    must(pool != NULL);
    return pool;
}

static void *objects_prepare(size_t bytes)
{
    (void)bytes;
    return new_pool(0);
}

static void *buffers_prepare(size_t bytes)
{
    (void)bytes;
    return new_pool(QY_POOL_BUFFERS);
}

static void pool_finish(void *subject)
{
    qy_pool_destroy(subject);
}

static void pool_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *object = qy_pool_acquire(work->subject);
        touch(object);
        qy_pool_release(work->subject, object);
    }
}

static void pool_bulk(const struct work *work)
{
    void *objects[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        must(qy_pool_acquire_bulk(work->subject, objects, BULK_COUNT) == BULK_COUNT);
        keep(objects);
        qy_pool_release_bulk(work->subject, objects, BULK_COUNT);
    }
}

/* Buffers that come back by their last release. */
static void buffer_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        qy_slice slice = qy_pool_acquire_slice(work->subject);
        touch(slice.iov_base);
        qy_slice_drop(&slice);
    }
}

static void buffer_bulk(const struct work *work)
{
    qy_slice slices[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        must(qy_pool_acquire_slices(work->subject, slices, BULK_COUNT) == BULK_COUNT);
        keep(slices);
        qy_slices_drop(slices, BULK_COUNT);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("quarry-malloc", malloc_create),
    CREATE_ROWS("quarry", slice_create),
    {"quarry", "clone", slice_clone, block_prepare, block_finish, 0, 0, 0},
    {"quarry", "slice", slice_sub, block_prepare, block_finish, 0, 0, 0},
    {"quarry", "message-8", message, block_prepare, block_finish, 0, 0, 0},
    {"quarry-chain", "message-8", message_chain, block_prepare, block_finish, 0, 0, 0},
    {"quarry", "frames-128", frames, block_prepare, block_finish, 0, FRAME_COUNT, 0},
    {"quarry", "clone-2-threads", slice_clone, block_prepare, block_finish, 0, 0, 2},
    {"quarry", "pool", pool_one, objects_prepare, pool_finish, 0, 0, 0},
    {"quarry", "pool-2-threads", pool_one, objects_prepare, pool_finish, 0, 0, 2},
    {"quarry", "pool-bulk-32", pool_bulk, objects_prepare, pool_finish, 0, BULK_COUNT, 0},
    {"quarry-pooled-buffer", "pool", buffer_one, buffers_prepare, pool_finish, 0, 0, 0},
    {"quarry-pooled-buffer", "pool-2-threads", buffer_one, buffers_prepare, pool_finish, 0, 0, 2},
    {"quarry-pooled-buffer", "pool-bulk-32", buffer_bulk, buffers_prepare, pool_finish, 0, BULK_COUNT, 0},
    {"quarry-one-by-one", "clone", pointer_clone, block_prepare, block_finish, 0, 0, 0},
    {"quarry-one-by-one", "message-8", message_one_by_one, block_prepare, block_finish, 0, 0, 0},
    {"quarry-one-by-one", "clone-2-threads", pointer_clone, block_prepare, block_finish, 0, 0, 2},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows};
    return rows_main(argc, argv, &program);
}

/* libavutil, under the C library's malloc: AVBufferRef, and AVBufferPool. A part of a buffer is a reference whose data and
 * size are set by hand. */
#include "rows.h"

#include <libavutil/buffer.h>
#include <sys/uio.h>

static void buffer_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        AVBufferRef *buffer = av_buffer_alloc(work->bytes);
        touch(buffer->data);
        av_buffer_unref(&buffer);
    }
}

static void *buffer_prepare(size_t bytes)
{
    (void)bytes;
    AVBufferRef *buffer = av_buffer_alloc(BLOCK_BYTES);
    must(buffer != NULL);
    return buffer;
}

static void buffer_finish(void *subject)
{
    AVBufferRef *buffer = subject;
    av_buffer_unref(&buffer);
}

static void buffer_clone(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        AVBufferRef *clone = av_buffer_ref(work->subject);
        keep(clone);
        av_buffer_unref(&clone);
    }
}

static AVBufferRef *part_of(const AVBufferRef *buffer, size_t offset, size_t length)
{
    AVBufferRef *part = av_buffer_ref(buffer);
    part->data += offset;
    part->size = length;
    return part;
}

static void buffer_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        AVBufferRef *slice = part_of(work->subject, SLICE_OFFSET, SLICE_BYTES);
        keep(slice);
        av_buffer_unref(&slice);
    }
}

static void buffer_message(const struct work *work)
{
    AVBufferRef *parts[PART_COUNT];
    struct iovec message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < PART_COUNT; k++)
            parts[k] = part_of(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
        for (size_t k = 0; k < PART_COUNT; k++)
            message[k] = (struct iovec){.iov_base = parts[k]->data, .iov_len = parts[k]->size};
        keep(message);
        for (size_t k = 0; k < PART_COUNT; k++)
            av_buffer_unref(&parts[k]);
    }
}

static void buffer_frames(const struct work *work)
{
    AVBufferRef *frames[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            frames[k] = part_of(work->subject, k * FRAME_BYTES, FRAME_BYTES);
        keep(frames);
        for (size_t k = 0; k < FRAME_COUNT; k++)
            av_buffer_unref(&frames[k]);
    }
}

static void *pool_prepare(size_t bytes)
{
    (void)bytes;
    AVBufferPool *pool = av_buffer_pool_init(OBJECT_BYTES, NULL);
    must(pool != NULL);
    return pool;
}

static void pool_finish(void *subject)
{
    AVBufferPool *pool = subject;
    av_buffer_pool_uninit(&pool);
}

static void pool_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        AVBufferRef *buffer = av_buffer_pool_get(work->subject);
        touch(buffer->data);
        av_buffer_unref(&buffer);
    }
}

/* It has no bulk operation. */
static void pool_many(const struct work *work)
{
    AVBufferRef *buffers[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < BULK_COUNT; k++)
            buffers[k] = av_buffer_pool_get(work->subject);
        keep(buffers);
        for (size_t k = 0; k < BULK_COUNT; k++)
            av_buffer_unref(&buffers[k]);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("avbuffer", buffer_create),
    {"avbuffer", "clone", buffer_clone, buffer_prepare, buffer_finish, 0, 0, 0},
    {"avbuffer", "slice", buffer_slice, buffer_prepare, buffer_finish, 0, 0, 0},
    {"avbuffer", "message-8", buffer_message, buffer_prepare, buffer_finish, 0, 0, 0},
    {"avbuffer", "frames-128", buffer_frames, buffer_prepare, buffer_finish, 0, FRAME_COUNT, 0},
    {"avbuffer", "clone-2-threads", buffer_clone, buffer_prepare, buffer_finish, 0, 0, 2},
    {"avbufferpool", "pool", pool_one, pool_prepare, pool_finish, 0, 0, 0},
    {"avbufferpool", "pool-2-threads", pool_one, pool_prepare, pool_finish, 0, 0, 2},
    {"avbufferpool", "pool-bulk-32", pool_many, pool_prepare, pool_finish, 0, BULK_COUNT, 0},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows};
    return rows_main(argc, argv, &program);
}

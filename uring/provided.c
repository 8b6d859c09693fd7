/*
 * provided.c: buffers that the kernel receives into, and that go back to it at their last release.
 *
 *     arena: [0][1][2] ...          every block is out all the time: its one reference is the kernel's, or a slice's
 *     ring:  the numbers of those that the kernel may fill
 *
 *     the kernel fills one  ->  a slice owns the reference
 *                           ->  last release: recycle() takes it over, and the number goes into the ring
 *
 * I1  a buffer is in the ring, or somebody has a reference to it, never both.
 * I2  once closed, blocks go back to the arena; the last of them frees this record.
 */
#include "uring.h"

#include <errno.h>
#include <unistd.h>

static unsigned number_of(const struct qyi_provided *provided, const char *block)
{
    return (unsigned)((size_t)(block - provided->start) / provided->bytes);
}

/* Under the lock, or before there are others. */
static void put_in_ring(struct qyi_provided *provided, char *block)
{
    const unsigned number = number_of(provided, block);
    io_uring_buf_ring_add(provided->ring, block, (unsigned)provided->bytes, (unsigned short)number,
                          io_uring_buf_ring_mask(provided->count), 0);
    io_uring_buf_ring_advance(provided->ring, 1); /* release: pairs with the kernel's acquire of the tail */
    provided->out[number] = false;
}

static void free_record(struct qyi_provided *provided)
{
    pthread_mutex_destroy(&provided->lock);
    qy_free(provided);
}

/* Called by the arena for a block without references. */
static bool recycle(void *block, size_t bytes, void *context)
{
    struct qyi_provided *provided = context;
    (void)bytes;
    pthread_mutex_lock(&provided->lock);
    const bool open = provided->ring != NULL;
    if (open)
        put_in_ring(provided, block);
    const bool last = !open && ++provided->returned == provided->count; /* I2 */
    pthread_mutex_unlock(&provided->lock);
    if (last)
        free_record(provided);
    return open;
}

qy_slice qyi_provided_take(struct qyi_provided *provided, unsigned number, size_t length)
{
    pthread_mutex_lock(&provided->lock);
    provided->out[number] = true;
    pthread_mutex_unlock(&provided->lock);
    return (qy_slice){.iov_base = provided->start + number * provided->bytes, .iov_len = length};
}

void qyi_provided_close(struct qyi_provided *provided)
{
    pthread_mutex_lock(&provided->lock);
    const unsigned count = provided->count;
    const size_t bytes = provided->bytes;
    char *start = provided->start;
    qy_arena *arena = provided->arena;
    struct io_uring_buf_ring *ring = provided->ring;
    provided->ring = NULL;
    /* No more go in, so those that are not out now are the kernel's, whose references are to be dropped. The record
     * stays as long as this is not over: it waits for all. */
    unsigned left = count;
    for (unsigned i = 0; i < count; i++) {
        if (provided->out[i])
            left--;
    }
    pthread_mutex_unlock(&provided->lock);
    for (unsigned i = 0; left > 0; i++) {
        if (!provided->out[i]) {
            left--;
            (void)qy_release(start + i * bytes);
        }
    }
    qy_free(ring);
    qy_arena_destroy(arena);
}

/* Take all blocks of a new arena: in order, since their size divides its own. */
static void take_all(struct qyi_provided *provided)
{
    for (unsigned i = 0; i < provided->count; i++) {
        const qy_slice slice = qy_arena_slice(provided->arena, provided->bytes);
        if (i == 0)
            provided->start = slice.iov_base;
    }
}

static int register_ring(struct io_uring *ring, const struct qyi_provided *provided)
{
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)provided->ring, .ring_entries = provided->count, .bgid = QYI_URING_GROUP};
    return -io_uring_register_buf_ring(ring, &registration, 0);
}

/* Whatever there is of it, without blocks. */
static void free_parts(struct qyi_provided *provided)
{
    qy_free(provided->ring);
    qy_arena_destroy(provided->arena);
    free_record(provided);
}

struct qyi_provided *qyi_provided_new(struct io_uring *ring, unsigned count, size_t bytes)
{
    struct qyi_provided *provided = qy_calloc(1, sizeof *provided + count * sizeof provided->out[0]);
    if (provided == NULL)
        return NULL;
    pthread_mutex_init(&provided->lock, NULL);
    provided->count = count;
    provided->bytes = bytes;
    provided->ring = qy_memalign((size_t)sysconf(_SC_PAGESIZE), count * sizeof(struct io_uring_buf));
    provided->arena =
        qy_arena_new(&(struct qy_arena_attr){.bytes = count * bytes, .recycle = recycle, .context = provided});
    if (provided->ring == NULL || provided->arena == NULL) {
        free_parts(provided);
        errno = ENOMEM;
        return NULL;
    }
    io_uring_buf_ring_init(provided->ring);
    const int error = register_ring(ring, provided);
    if (error != 0) {
        free_parts(provided);
        errno = error;
        return NULL;
    }
    take_all(provided);
    for (unsigned i = 0; i < count; i++)
        put_in_ring(provided, provided->start + i * bytes);
    return provided;
}

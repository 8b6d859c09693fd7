/*
 * libevent, under the C library's malloc: evbuffer. Bytes of one's own are lent to it with a function to call when it is
 * done with them; it does not count references to them, so the count is the user's. A whole evbuffer is shared by
 * evbuffer_add_buffer_reference. All rows use one standing evbuffer for what they make and drain.
 *
 * Two threads are left out: an evbuffer must have its lock enabled for that, and then it is the lock that is measured.
 */
#include "rows.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/uio.h>

static struct evbuffer *out;

static bool start(void)
{
    out = evbuffer_new();
    return out != NULL;
}

static void free_bytes(const void *p, size_t length, void *context)
{
    (void)length;
    (void)context;
    free((void *)p);
}

static void event_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *p = malloc(work->bytes);
        touch(p);
        must(evbuffer_add_reference(out, p, work->bytes, free_bytes, NULL) == 0);
        evbuffer_drain(out, work->bytes);
    }
}

struct shared {
    struct evbuffer *buffer;
    size_t references; /* of one thread */
    char bytes[BLOCK_BYTES];
};

static void *shared_prepare(size_t bytes)
{
    (void)bytes;
    struct shared *shared = malloc(sizeof *shared);
    must(shared != NULL);
    shared->references = 1;
    shared->buffer = evbuffer_new();
    must(shared->buffer != NULL && evbuffer_add_reference(shared->buffer, shared->bytes, BLOCK_BYTES, NULL, NULL) == 0);
    return shared;
}

static void shared_finish(void *subject)
{
    struct shared *shared = subject;
    evbuffer_free(shared->buffer);
    free(shared);
}

static void event_clone(const struct work *work)
{
    const struct shared *shared = work->subject;
    for (size_t i = 0; i < work->rounds; i++) {
        must(evbuffer_add_buffer_reference(out, shared->buffer) == 0);
        evbuffer_drain(out, BLOCK_BYTES);
    }
}

static void drop_shared(const void *p, size_t length, void *context)
{
    (void)p;
    (void)length;
    struct shared *shared = context;
    if (--shared->references == 0)
        abort();
}

static void add_part(struct shared *shared, size_t offset, size_t length)
{
    shared->references++;
    must(evbuffer_add_reference(out, shared->bytes + offset, length, drop_shared, shared) == 0);
}

static void event_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        add_part(work->subject, SLICE_OFFSET, SLICE_BYTES);
        evbuffer_drain(out, SLICE_BYTES);
    }
}

static void event_message(const struct work *work)
{
    struct evbuffer_iovec message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < PART_COUNT; k++)
            add_part(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
        must(evbuffer_peek(out, -1, NULL, message, PART_COUNT) == PART_COUNT);
        keep(message);
        evbuffer_drain(out, (size_t)PART_COUNT * PART_BYTES);
    }
}

static void event_frames(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            add_part(work->subject, k * FRAME_BYTES, FRAME_BYTES);
        evbuffer_drain(out, BLOCK_BYTES);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("evbuffer", event_create),
    {"evbuffer", "clone", event_clone, shared_prepare, shared_finish, 0, 0, 0},
    {"evbuffer", "slice", event_slice, shared_prepare, shared_finish, 0, 0, 0},
    {"evbuffer", "message-8", event_message, shared_prepare, shared_finish, 0, 0, 0},
    {"evbuffer", "frames-128", event_frames, shared_prepare, shared_finish, 0, FRAME_COUNT, 0},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows, .start = start};
    return rows_main(argc, argv, &program);
}

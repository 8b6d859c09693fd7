/* GLib, under the C library's malloc: GBytes, and memory blocks with a count (g_rc_box for one thread, g_atomic_rc_box). */
#include "rows.h"

#include <glib.h>
#include <sys/uio.h>

/* ---- GBytes ---- */

/* GLib has no GBytes with room to write into: one takes memory. */
static void bytes_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *p = g_malloc(work->bytes);
        touch(p);
        g_bytes_unref(g_bytes_new_take(p, work->bytes));
    }
}

static void *bytes_prepare(size_t bytes)
{
    (void)bytes;
    return g_bytes_new_take(g_malloc(BLOCK_BYTES), BLOCK_BYTES);
}

static void bytes_finish(void *subject)
{
    g_bytes_unref(subject);
}

static void bytes_clone(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        GBytes *clone = g_bytes_ref(work->subject);
        keep(clone);
        g_bytes_unref(clone);
    }
}

static void bytes_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        GBytes *slice = g_bytes_new_from_bytes(work->subject, SLICE_OFFSET, SLICE_BYTES);
        keep(slice);
        g_bytes_unref(slice);
    }
}

static void bytes_message(const struct work *work)
{
    GBytes *parts[PART_COUNT];
    struct iovec message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < PART_COUNT; k++)
            parts[k] = g_bytes_new_from_bytes(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
        for (size_t k = 0; k < PART_COUNT; k++)
            message[k].iov_base = (void *)g_bytes_get_data(parts[k], &message[k].iov_len);
        keep(message);
        for (size_t k = 0; k < PART_COUNT; k++)
            g_bytes_unref(parts[k]);
    }
}

static void bytes_frames(const struct work *work)
{
    GBytes *frames[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            frames[k] = g_bytes_new_from_bytes(work->subject, k * FRAME_BYTES, FRAME_BYTES);
        keep(frames);
        for (size_t k = 0; k < FRAME_COUNT; k++)
            g_bytes_unref(frames[k]);
    }
}

/* ---- boxes: the pointer must be the box's, so there are no slices ---- */

static void box_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *box = g_rc_box_alloc(work->bytes);
        touch(box);
        g_rc_box_release(box);
    }
}

static void *box_prepare(size_t bytes)
{
    (void)bytes;
    return g_rc_box_alloc(BLOCK_BYTES);
}

static void box_finish(void *subject)
{
    g_rc_box_release(subject);
}

static void box_clone(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *clone = g_rc_box_acquire(work->subject);
        keep(clone);
        g_rc_box_release(clone);
    }
}

static void atomic_box_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *box = g_atomic_rc_box_alloc(work->bytes);
        touch(box);
        g_atomic_rc_box_release(box);
    }
}

static void *atomic_box_prepare(size_t bytes)
{
    (void)bytes;
    return g_atomic_rc_box_alloc(BLOCK_BYTES);
}

static void atomic_box_finish(void *subject)
{
    g_atomic_rc_box_release(subject);
}

static void atomic_box_clone(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *clone = g_atomic_rc_box_acquire(work->subject);
        keep(clone);
        g_atomic_rc_box_release(clone);
    }
}

static const struct row rows[] = {
    CREATE_ROWS("gbytes", bytes_create),
    {"gbytes", "clone", bytes_clone, bytes_prepare, bytes_finish, 0, 0, 0},
    {"gbytes", "slice", bytes_slice, bytes_prepare, bytes_finish, 0, 0, 0},
    {"gbytes", "message-8", bytes_message, bytes_prepare, bytes_finish, 0, 0, 0},
    {"gbytes", "frames-128", bytes_frames, bytes_prepare, bytes_finish, 0, FRAME_COUNT, 0},
    {"gbytes", "clone-2-threads", bytes_clone, bytes_prepare, bytes_finish, 0, 0, 2},
    CREATE_ROWS("g_rc_box", box_create),
    {"g_rc_box", "clone", box_clone, box_prepare, box_finish, 0, 0, 0},
    CREATE_ROWS("g_atomic_rc_box", atomic_box_create),
    {"g_atomic_rc_box", "clone", atomic_box_clone, atomic_box_prepare, atomic_box_finish, 0, 0, 0},
    {"g_atomic_rc_box", "clone-2-threads", atomic_box_clone, atomic_box_prepare, atomic_box_finish, 0, 0, 2},
};

int main(int argc, char **argv)
{
    const struct program program = {.rows = rows, .row_count = sizeof rows / sizeof *rows};
    return rows_main(argc, argv, &program);
}

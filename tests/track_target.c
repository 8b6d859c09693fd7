/*
 * What the track_*.sh tests run: buffers that are released properly, or not. Linked with the
 * library, which is preloaded, too. Functions that the tests look for are not inlined, and return after their call.
 */
#include "blackbox.h"

#include "quarry/slice.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define PLACE __attribute__((noinline, noclone))

static void end_of_place(void)
{
    __asm__ volatile("" ::: "memory");
}

static PLACE qy_slice make_here(size_t length)
{
    const qy_slice slice = qy_slice_new(length);
    CHECK(slice.iov_len == length);
    end_of_place();
    return slice;
}

static PLACE qy_slice clone_here(qy_slice slice)
{
    const qy_slice clone = qy_slice_clone(slice);
    CHECK(clone.iov_len == slice.iov_len);
    end_of_place();
    return clone;
}

static PLACE qy_slice sub_here(qy_slice slice, size_t offset, size_t length)
{
    const qy_slice part = qy_slice_sub(slice, offset, length);
    CHECK(part.iov_len == length);
    end_of_place();
    return part;
}

static PLACE void retain_here(const void *p)
{
    CHECK(qy_retain(p) == 0);
    end_of_place();
}

static PLACE void drop_here(qy_slice *slice)
{
    qy_slice_drop(slice);
    end_of_place();
}

static PLACE void release_here(const void *p)
{
    CHECK(qy_release(p) == 0);
    end_of_place();
}

static PLACE void release_again_here(const void *p)
{
    CHECK(qy_release(p) == 0);
    end_of_place();
}

static PLACE void free_here(void *p)
{
    free(p);
    end_of_place();
}

/* Everything that makes, shares and cuts, and everything released. */
static void behave(void)
{
    static const size_t lengths[] = {1, 64, 1000, 5000, 70000, 300000};
    for (size_t i = 0; i < BB_COUNT(lengths); i++) {
        qy_slice slice = make_here(lengths[i]);
        qy_slice clone = clone_here(slice);
        qy_slice part = sub_here(slice, lengths[i] / 2, lengths[i] - lengths[i] / 2);
        qy_slice front = qy_slice_split_to(&clone, lengths[i] / 3);
        drop_here(&slice);
        drop_here(&part);
        drop_here(&front);
        qy_slice_truncate(&clone, 1);
        drop_here(&clone);
        slice = qy_slice_zeroed(lengths[i]);
        for (size_t j = 0; j < lengths[i]; j++)
            CHECK(((char *)slice.iov_base)[j] == 0);
        memset(slice.iov_base, 1, lengths[i]);
        qy_slice frames[8];
        const ssize_t count = qy_slice_split_steps(&slice, lengths[i] / 8 + 1, frames, BB_COUNT(frames));
        CHECK(count >= 0);
        CHECK(qy_slices_retain(frames, (size_t)count) == 0);
        qy_slice again[8];
        memcpy(again, frames, sizeof frames);
        qy_slices_drop(frames, (size_t)count);
        qy_slices_drop(again, (size_t)count);
        drop_here(&slice);
        slice = qy_slice_new_aligned(4096, lengths[i]);
        CHECK((uintptr_t)slice.iov_base % 4096 == 0);
        drop_here(&slice);
        char *p = malloc(lengths[i]);
        CHECK(p != NULL);
        char *old = p + lengths[i] / 2;
        retain_here(old);
        p = realloc(p, lengths[i] * 2); /* of a shared one: a copy */
        CHECK(p != NULL);
        release_here(old);
        slice = qy_slice_adopt(p, lengths[i]);
        clone = clone_here(slice);
        drop_here(&clone);
        free(realloc(qy_slice_into_raw(&slice), 3 * lengths[i]));
    }
}

static void *behave_in_thread(void *argument)
{
    qy_slice shared = *(qy_slice *)argument;
    for (int i = 0; i < 500; i++) {
        qy_slice slice = make_here((size_t)i + 1);
        qy_slice clone = clone_here(slice);
        qy_slice other = clone_here(shared);
        drop_here(&slice);
        drop_here(&other);
        drop_here(&clone);
    }
    return NULL;
}

static void crowd(void)
{
    pthread_t threads[4];
    qy_slice shared = make_here(1000);
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, behave_in_thread, &shared) == 0);
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    drop_here(&shared);
}

static _Atomic bool enough;

/* What a large block leaves when it moves becomes another thread's buffer at once. */
static void *move_in_thread(void *unused)
{
    for (int i = 0; i < 3000; i++) {
        qy_slice slice = make_here(300000);
        char *p = qy_slice_into_raw(&slice);
        char *behind = malloc(100000);
        free(realloc(p, 600000));
        free(behind);
    }
    return unused;
}

static void *make_in_thread(void *unused)
{
    qy_slice slices[40];
    while (!atomic_load(&enough)) {
        for (size_t i = 0; i < BB_COUNT(slices); i++)
            slices[i] = make_here(30000 + i * 500);
        for (size_t i = 0; i < BB_COUNT(slices); i++)
            drop_here(&slices[i]);
    }
    return unused;
}

static void move(void)
{
    pthread_t movers[2], makers[2];
    for (size_t i = 0; i < 2; i++) {
        movers[i] = bb_start(move_in_thread, NULL);
        makers[i] = bb_start(make_in_thread, NULL);
    }
    for (size_t i = 0; i < 2; i++)
        bb_join(movers[i]);
    atomic_store(&enough, true);
    for (size_t i = 0; i < 2; i++)
        bb_join(makers[i]);
}

static void *clone_and_wait(void *slice)
{
    qy_slice clone = clone_here(*(qy_slice *)slice);
    atomic_store(&enough, true);
    while (atomic_load(&enough))
        sched_yield();
    drop_here(&clone);
    return NULL;
}

/* A child of a process whose other thread has a clone drops its own, and what it has inherited. */
static void clone_in_child(void)
{
    qy_slice slice = make_here(500);
    pthread_t thread = bb_start(clone_and_wait, &slice);
    while (!atomic_load(&enough))
        sched_yield();
    const pid_t child = fork();
    if (child == 0) {
        qy_slice clone = clone_here(slice);
        drop_here(&clone);
        drop_here(&slice);
        exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    atomic_store(&enough, false);
    bb_join(thread);
    drop_here(&slice);
}

/* Three clones of blocks of 4096 bytes that nobody drops. */
static void leak_clones(void)
{
    for (int i = 0; i < 3; i++) {
        qy_slice slice = make_here(4096);
        (void)clone_here(slice);
        drop_here(&slice);
    }
}

static void leak_in_child(bool with_threads)
{
    if (with_threads)
        crowd();
    (void)make_here(1000); /* the parent's */
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        leak_clones();
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    bb_note("child %d", (int)child);
}

static void over_release(bool by_free)
{
    qy_slice slice = make_here(200);
    char *p = slice.iov_base;
    qy_slice other = make_here(300);
    drop_here(&slice);
    drop_here(&other);
    if (by_free)
        free_here(p);
    else
        release_again_here(p + 7);
}

static void over_release_malloc(void)
{
    char *p = malloc(200);
    CHECK(p != NULL);
    retain_here(p);
    release_here(p);
    release_here(p);
    release_again_here(p);
}

/* Two clones of one block, one of another, and a large one: 4 extra references to 3 blocks. */
static void share(void)
{
    qy_slice first = make_here(4096);
    (void)clone_here(first);
    (void)clone_here(first);
    (void)sub_here(make_here(1024), 100, 24);
    (void)sub_here(make_here(1 << 20), 100, 24);
    char *p = malloc(100);
    CHECK(p != NULL);
    retain_here(p);
    release_here(p);
}

/* A block that was a buffer in its first life, and is an ordinary one when its thread's heap becomes idle. */
static void *live_twice(void *unused)
{
    static char *ordinary;
    char *buffer = malloc(100);
    retain_here(buffer);
    release_here(buffer);
    free_here(buffer);
    ordinary = malloc(100);
    CHECK(unused == NULL && ordinary == buffer);
    return ordinary;
}

static void inherit(void)
{
    char *ordinary = bb_join(bb_start(live_twice, NULL));
    qy_slice slice = make_here(100); /* the first buffer: a heap is looked for */
    free_here(ordinary);
    drop_here(&slice);
}

int main(int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "behave") == 0) {
        behave();
    } else if (strcmp(what, "crowd") == 0) {
        crowd();
    } else if (strcmp(what, "inherit") == 0) {
        inherit();
    } else if (strcmp(what, "move") == 0) {
        move();
    } else if (strcmp(what, "fork-clone") == 0) {
        clone_in_child();
    } else if (strcmp(what, "clones") == 0) {
        leak_clones();
    } else if (strcmp(what, "part") == 0) {
        qy_slice slice = make_here(60000);
        (void)sub_here(slice, 30000, 100);
        drop_here(&slice);
    } else if (strcmp(what, "retain") == 0) {
        char *p = malloc(100);
        CHECK(p != NULL);
        retain_here(p + 50);
        free_here(p);
    } else if (strcmp(what, "fork") == 0) {
        leak_in_child(false);
    } else if (strcmp(what, "fork-threads") == 0) {
        leak_in_child(true);
    } else if (strcmp(what, "over") == 0) {
        over_release(false);
    } else if (strcmp(what, "over-free") == 0) {
        over_release(true);
    } else if (strcmp(what, "over-malloc") == 0) {
        over_release_malloc();
    } else if (strcmp(what, "share") == 0) {
        share();
    } else {
        bb_fail("what?");
    }
    bb_note("done");
    return 0;
}

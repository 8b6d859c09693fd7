/*
 * Object pools: what acquire plus release costs, beside a pool by hand (a mutex around a stack of pointers) and malloc plus
 * free. Linked with the static archive, so that malloc is libc's. Prints "row system ns", the median of several rounds, which
 * take turns.
 */
#include "quarry/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, BULK = 32, OBJECT_BYTES = 256, THREADS_MAX = 2 };

static long pairs = 4000000; /* in a round */

/* ---- the pool by hand ---- */

static struct {
    pthread_mutex_t mutex;
    void *objects[1024];
    size_t count;
} hand = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static __attribute__((noinline)) void *hand_acquire(void)
{
    pthread_mutex_lock(&hand.mutex);
    void *object = hand.count != 0 ? hand.objects[--hand.count] : malloc(OBJECT_BYTES);
    pthread_mutex_unlock(&hand.mutex);
    return object;
}

static __attribute__((noinline)) void hand_release(void *object)
{
    pthread_mutex_lock(&hand.mutex);
    hand.objects[hand.count++] = object;
    pthread_mutex_unlock(&hand.mutex);
}

static __attribute__((noinline)) void hand_acquire_bulk(void **objects)
{
    pthread_mutex_lock(&hand.mutex);
    for (int i = 0; i < BULK; i++)
        objects[i] = hand.count != 0 ? hand.objects[--hand.count] : malloc(OBJECT_BYTES);
    pthread_mutex_unlock(&hand.mutex);
}

static __attribute__((noinline)) void hand_release_bulk(void **objects)
{
    pthread_mutex_lock(&hand.mutex);
    memcpy(&hand.objects[hand.count], objects, BULK * sizeof(void *));
    hand.count += BULK;
    pthread_mutex_unlock(&hand.mutex);
}

/* ---- what is measured: each does `pairs` ---- */

static qy_pool *objects, *buffers;

/* The compiler must not see through. */
static void touch(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static void *run_quarry(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        void *object = qy_pool_acquire(objects);
        touch(object);
        qy_pool_release(objects, object);
    }
    return unused;
}

static void *run_quarry_bulk(void *unused)
{
    void *many[BULK];
    for (long i = 0; i < pairs; i += BULK) {
        if (qy_pool_acquire_bulk(objects, many, BULK) != BULK)
            abort();
        touch(many);
        qy_pool_release_bulk(objects, many, BULK);
    }
    return unused;
}

static void *run_quarry_buffers(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        qy_slice slice = qy_pool_acquire_slice(buffers);
        touch(slice.iov_base);
        qy_slice_drop(&slice);
    }
    return unused;
}

static void *run_quarry_slices(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        qy_slice slice = qy_slice_new(OBJECT_BYTES);
        touch(slice.iov_base);
        qy_slice_drop(&slice);
    }
    return unused;
}

static void *run_hand(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        void *object = hand_acquire();
        touch(object);
        hand_release(object);
    }
    return unused;
}

static void *run_hand_bulk(void *unused)
{
    void *many[BULK];
    for (long i = 0; i < pairs; i += BULK) {
        hand_acquire_bulk(many);
        touch(many);
        hand_release_bulk(many);
    }
    return unused;
}

static void *run_malloc(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        void *p = malloc(OBJECT_BYTES);
        touch(p);
        free(p);
    }
    return unused;
}

static void *run_quarry_malloc(void *unused)
{
    for (long i = 0; i < pairs; i++) {
        void *p = qy_malloc(OBJECT_BYTES);
        touch(p);
        qy_free(p);
    }
    return unused;
}

static const struct system {
    const char *row, *name;
    void *(*run)(void *);
} systems[] = {
    {"pool", "quarry", run_quarry},
    {"pool", "mutex", run_hand},
    {"pool", "libc-malloc", run_malloc},
    {"pool", "quarry-malloc", run_quarry_malloc},
    {"pool-bulk-32", "quarry", run_quarry_bulk},
    {"pool-bulk-32", "mutex", run_hand_bulk},
    {"pool-buffer", "quarry", run_quarry_buffers},
    {"pool-buffer", "quarry-slice", run_quarry_slices},
};
enum { SYSTEMS = sizeof systems / sizeof systems[0] };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(const struct system *system, int threads)
{
    pthread_t other[THREADS_MAX];
    const double start = now_ns();
    for (int i = 1; i < threads; i++)
        if (pthread_create(&other[i], NULL, system->run, NULL) != 0)
            abort();
    system->run(NULL);
    for (int i = 1; i < threads; i++)
        pthread_join(other[i], NULL);
    return (now_ns() - start) / (double)pairs;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments)
{
    if (count > 1)
        pairs = atol(arguments[1]);
    objects = qy_pool_new(&(qy_pool_attr){.object_bytes = OBJECT_BYTES});
    buffers = qy_pool_new(&(qy_pool_attr){.object_bytes = OBJECT_BYTES, .flags = QY_POOL_BUFFERS});
    if (objects == NULL || buffers == NULL)
        return EXIT_FAILURE;
    printf("row\tsystem\tns\n");
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        static double ns[SYSTEMS][ROUNDS];
        for (int round = 0; round < ROUNDS; round++)
            for (int i = 0; i < SYSTEMS; i++)
                ns[i][round] = measure(&systems[i], threads);
        for (int i = 0; i < SYSTEMS; i++) {
            qsort(ns[i], ROUNDS, sizeof ns[i][0], compare);
            printf("%s-%d\t%s\t%.2f\n", systems[i].row, threads, systems[i].name, ns[i][ROUNDS / 2]);
        }
    }
    qy_pool_destroy(objects);
    qy_pool_destroy(buffers);
    return EXIT_SUCCESS;
}

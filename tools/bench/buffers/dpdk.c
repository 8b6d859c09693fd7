/*
 * DPDK without devices and huge pages: mbuf and mempool, both with their per-core caches. An mbuf holds less than 64 KiB, so
 * that row is missing, and frames are cut from an mbuf of 32 KiB, twice. A part of an mbuf is an indirect one.
 */
#define _GNU_SOURCE 1 /* processor sets */

#include "rows.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <sys/uio.h>

enum { CACHE_COUNT = 256 };

static struct rte_mempool *parts; /* of indirect mbufs, which have no bytes of their own */

static bool start(void)
{
    static char *arguments[] = {
        "bench-buffers-dpdk", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "128", "--lcores", "0",
        "--log-level",        "3",         NULL};
    if (rte_eal_init(sizeof arguments / sizeof *arguments - 1, arguments) < 0) {
        fprintf(stderr, "bench-buffers-dpdk: it does not start here: %s\n", rte_strerror(rte_errno));
        return false;
    }
    parts = rte_pktmbuf_pool_create("parts", 4 * OBJECT_COUNT - 1, CACHE_COUNT, 0, 0, SOCKET_ID_ANY);
    must(parts != NULL);
    return true;
}

static void start_thread(void)
{
    if (rte_lcore_id() == LCORE_ID_ANY)
        must(rte_thread_register() == 0);
}

static void *mbuf_pool(size_t bytes)
{
    struct rte_mempool *pool = rte_pktmbuf_pool_create("buffers", OBJECT_COUNT - 1, CACHE_COUNT, 0,
                                                       (uint16_t)(bytes + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
    must(pool != NULL);
    return pool;
}

static void mbuf_pool_finish(void *subject)
{
    rte_mempool_free(subject);
}

static void mbuf_create(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        struct rte_mbuf *buffer = rte_pktmbuf_alloc(work->subject);
        touch(rte_pktmbuf_mtod(buffer, void *));
        rte_pktmbuf_free(buffer);
    }
}

enum { MBUF_BYTES = BLOCK_BYTES / 2 };

static void *mbuf_prepare(size_t bytes)
{
    (void)bytes;
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("block", 1, 0, 0, MBUF_BYTES + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    must(pool != NULL);
    struct rte_mbuf *buffer = rte_pktmbuf_alloc(pool);
    must(buffer != NULL && rte_pktmbuf_append(buffer, MBUF_BYTES) != NULL);
    rte_mbuf_refcnt_set(buffer,
                        2); /* shared already: DPDK's own shortcut for the first clone is not safe with two threads */
    return buffer;
}

static void mbuf_finish(void *subject)
{
    struct rte_mbuf *buffer = subject;
    struct rte_mempool *pool = buffer->pool;
    rte_mbuf_refcnt_set(buffer, 1);
    rte_pktmbuf_free(buffer);
    rte_mempool_free(pool);
}

/* The cheapest way to share one: the same handle once more. */
static void mbuf_clone(const struct work *work)
{
    struct rte_mbuf *buffer = work->subject;
    for (size_t i = 0; i < work->rounds; i++) {
        rte_mbuf_refcnt_update(buffer, 1);
        keep(buffer);
        rte_pktmbuf_free(buffer);
    }
}

static struct rte_mbuf *part_of(struct rte_mbuf *buffer, size_t offset, size_t length)
{
    struct rte_mbuf *part = rte_pktmbuf_alloc(parts);
    must(part != NULL);
    rte_pktmbuf_attach(part, buffer);
    part->data_off = (uint16_t)(part->data_off + offset);
    part->data_len = (uint16_t)length;
    part->pkt_len = (uint32_t)length;
    return part;
}

static void mbuf_slice(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        struct rte_mbuf *slice = part_of(work->subject, SLICE_OFFSET, SLICE_BYTES);
        keep(slice);
        rte_pktmbuf_free(slice);
    }
}

static void mbuf_message(const struct work *work)
{
    struct iovec message[PART_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        struct rte_mbuf *first = NULL;
        struct rte_mbuf **next = &first;
        for (size_t k = 0; k < PART_COUNT; k++) {
            *next = part_of(work->subject, SLICE_OFFSET + k * PART_BYTES, PART_BYTES);
            next = &(*next)->next;
        }
        first->nb_segs = PART_COUNT;
        first->pkt_len = PART_COUNT * PART_BYTES;
        struct iovec *to = message;
        for (struct rte_mbuf *part = first; part != NULL; part = part->next)
            *to++ = (struct iovec){.iov_base = rte_pktmbuf_mtod(part, void *), .iov_len = part->data_len};
        keep(message);
        rte_pktmbuf_free(first);
    }
}

static void mbuf_frames(const struct work *work)
{
    struct rte_mbuf *frames[FRAME_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        for (size_t k = 0; k < FRAME_COUNT; k++)
            frames[k] = part_of(work->subject, k * FRAME_BYTES % MBUF_BYTES, FRAME_BYTES);
        keep(frames);
        rte_pktmbuf_free_bulk(frames, FRAME_COUNT);
    }
}

/* ---- objects ---- */

static void *object_pool(size_t bytes)
{
    (void)bytes;
    struct rte_mempool *pool = rte_mempool_create("objects", OBJECT_COUNT - 1, OBJECT_BYTES, CACHE_COUNT, 0, NULL, NULL,
                                                  NULL, NULL, SOCKET_ID_ANY, 0);
    must(pool != NULL);
    return pool;
}

static void object_one(const struct work *work)
{
    for (size_t i = 0; i < work->rounds; i++) {
        void *object;
        must(rte_mempool_get(work->subject, &object) == 0);
        touch(object);
        rte_mempool_put(work->subject, object);
    }
}

static void object_bulk(const struct work *work)
{
    void *objects[BULK_COUNT];
    for (size_t i = 0; i < work->rounds; i++) {
        must(rte_mempool_get_bulk(work->subject, objects, BULK_COUNT) == 0);
        keep(objects);
        rte_mempool_put_bulk(work->subject, objects, BULK_COUNT);
    }
}

static const struct row rows[] = {
    {"dpdk-mbuf", "create-64", mbuf_create, mbuf_pool, mbuf_pool_finish, 64, 0, 0},
    {"dpdk-mbuf", "create-1k", mbuf_create, mbuf_pool, mbuf_pool_finish, 1024, 0, 0},
    {"dpdk-mbuf", "create-16k", mbuf_create, mbuf_pool, mbuf_pool_finish, 16384, 0, 0},
    {"dpdk-mbuf", "clone", mbuf_clone, mbuf_prepare, mbuf_finish, 0, 0, 0},
    {"dpdk-mbuf", "slice", mbuf_slice, mbuf_prepare, mbuf_finish, 0, 0, 0},
    {"dpdk-mbuf", "message-8", mbuf_message, mbuf_prepare, mbuf_finish, 0, 0, 0},
    {"dpdk-mbuf", "frames-128", mbuf_frames, mbuf_prepare, mbuf_finish, 0, FRAME_COUNT, 0},
    {"dpdk-mbuf", "clone-2-threads", mbuf_clone, mbuf_prepare, mbuf_finish, 0, 0, 2},
    {"dpdk-mempool", "pool", object_one, object_pool, mbuf_pool_finish, 0, 0, 0},
    {"dpdk-mempool", "pool-2-threads", object_one, object_pool, mbuf_pool_finish, 0, 0, 2},
    {"dpdk-mempool", "pool-bulk-32", object_bulk, object_pool, mbuf_pool_finish, 0, BULK_COUNT, 0},
};

int main(int argc, char **argv)
{
    const struct program program = {
        .rows = rows, .row_count = sizeof rows / sizeof *rows, .start = start, .start_thread = start_thread};
    return rows_main(argc, argv, &program);
}

/*
 * heaps.c: all heaps: by id, those that are idle, and the common one. Layer 4.
 *
 *     loaded -> heap -> heap        idle, with blocks in their magazines: the next thread is quick
 *     idle   -> heap -> heap        idle and empty
 *
 * I1  a heap is never freed, so that whoever has its id needs no lock.
 * I2  heap->idle  <=>  it is on one of the two lists. While it is being unloaded it is on none, so that nobody adopts it.
 */
#include "heaps.h"

#include "heap.h"
#include "magazine.h"
#include "meta.h"
#include "os.h"
#include "region.h"

#include <string.h>

enum {
    CHUNK_HEAPS = 128, /* with a batch of records just below a page */
    CHUNK_COUNT = 8192,
    BATCH_HEAPS = 6,
    LOADED_HEAPS = 4, /* idle heaps that keep their blocks */
};

static_assert(CHUNK_HEAPS * CHUNK_COUNT <= QYI_ENTRY_OWNERS_MAX, "an entry has room for every heap's id");

static_assert(CHUNK_HEAPS * sizeof(void *) + BATCH_HEAPS * sizeof(struct qyi_heap) <= 4096,
              "a chunk and its first batch in a page");

struct qyi_heap *qyi_common;
_Atomic uint64_t qyi_heap_past_calls[QYI_CLASS_COUNT];
struct qyi_heap_past qyi_heap_past;

/* Heaps by id: they are never freed, so a reader needs no lock. */
static struct {
    struct qyi_lock lock;
    struct qyi_heap *loaded, *idle; /* idle ones with and without blocks in their magazines, most recent first */
    uint32_t loaded_count;
    uint32_t tick;
    _Atomic uint32_t count;
    struct qyi_heap *spare; /* of a batch, not used yet */
    uint32_t spare_count;
    struct qyi_heap **chunk[CHUNK_COUNT];
} registry;

const struct qyi_extent qyi_registry_extent = {&registry, sizeof registry};

/* ---- by id ---- */

uint32_t qyi_heap_count(void)
{
    /* acquire: pairs with the release in new_heap, so the heap's fields are there */
    return atomic_load_explicit(&registry.count, memory_order_acquire);
}

struct qyi_heap *qyi_heap_by_id(uint32_t id)
{
    return registry.chunk[id / CHUNK_HEAPS][id % CHUNK_HEAPS];
}

/* In batches, so that heaps share pages although magazines do not. The caller holds the registry lock. */
static struct qyi_heap *new_record(void)
{
    if (registry.spare_count == 0) {
        registry.spare = qyi_meta_take(BATCH_HEAPS * sizeof *registry.spare);
        if (registry.spare == NULL)
            return NULL;
        registry.spare_count = BATCH_HEAPS;
    }
    return &registry.spare[--registry.spare_count];
}

/* The caller holds the registry lock. Opened it is by whoever uses it. */
static struct qyi_heap *new_heap(bool apart)
{
    const uint32_t id = atomic_load_explicit(&registry.count, memory_order_relaxed) + 1;
    if (id >= CHUNK_HEAPS * CHUNK_COUNT)
        return NULL;
    struct qyi_heap ***chunk = &registry.chunk[id / CHUNK_HEAPS];
    if (*chunk == NULL && (*chunk = qyi_meta_take(CHUNK_HEAPS * sizeof **chunk)) == NULL)
        return NULL;
    struct qyi_heap *heap = new_record(); /* before the magazines: the first batch shares the chunk's page */
    if (heap == NULL)
        return NULL;
    struct qyi_magazines *magazines = qyi_meta_take(QYI_MAGAZINES_BYTES);
    if (magazines == NULL) {
        registry.spare_count++;
        return NULL;
    }
    heap->id = id;
    heap->magazines = magazines;
    heap->apart = apart;
    if (apart) /* no store of what is there already: the common heap's magazines have no page as long as nobody uses them */
        magazines->forks = true; /* in a forked child, no thread has lost it */
    (*chunk)[id % CHUNK_HEAPS] = heap;
    /* release: pairs with the acquire in qyi_heap_count */
    atomic_store_explicit(&registry.count, id, memory_order_release);
    return heap;
}

bool qyi_heaps_init(void)
{
    qyi_lock(&registry.lock);
    qyi_common = new_heap(false);
    qyi_unlock(&registry.lock);
    return qyi_common != NULL;
}

/* The caller holds the registry lock. */
static struct qyi_heap *pop(struct qyi_heap **list)
{
    struct qyi_heap *heap = *list;
    if (heap != NULL) {
        *list = heap->next_idle;
        atomic_store_explicit(&heap->idle, false, memory_order_relaxed);
    }
    return heap;
}

static void push(struct qyi_heap **list, struct qyi_heap *heap)
{
    atomic_store_explicit(&heap->idle, true, memory_order_relaxed);
    heap->next_idle = *list;
    *list = heap;
}

struct qyi_heap *qyi_heap_adopt(void)
{
    qyi_lock(&registry.lock);
    struct qyi_heap *heap = pop(&registry.loaded);
    if (heap != NULL)
        registry.loaded_count--;
    else if ((heap = pop(&registry.idle)) == NULL)
        heap = new_heap(false);
    qyi_unlock(&registry.lock);
    if (heap != NULL && !heap->loaded)
        qyi_magazines_open(heap->magazines, heap, heap->id);
    if (heap != NULL)
        heap->loaded = false;
    return heap;
}

struct qyi_heap *qyi_heap_make_apart(void)
{
    qyi_lock(&registry.lock);
    struct qyi_heap *heap = new_heap(true);
    qyi_unlock(&registry.lock);
    if (heap != NULL)
        qyi_magazines_open(heap->magazines, heap, heap->id);
    return heap;
}

static void add_past_calls(struct qyi_magazines *magazines)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const uint64_t calls = qyi_magazines_calls(magazines, class);
        if (calls != 0) /* relaxed: a counter */
            atomic_fetch_add_explicit(&qyi_heap_past_calls[class], calls, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&qyi_heap_past.refills, magazines->refills, memory_order_relaxed);
    atomic_fetch_add_explicit(&qyi_heap_past.flushes, magazines->flushes, memory_order_relaxed);
    atomic_fetch_add_explicit(&qyi_heap_past.remote_frees, magazines->remote_frees, memory_order_relaxed);
}

static void unload(struct qyi_heap *heap)
{
    qyi_magazines_flush(heap->magazines);
    qyi_lock(&heap->lock);
    if (qyi_heap_has_news(heap))
        qyi_heap_drain(heap);
    qyi_heap_disown(heap);
    qyi_unlock(&heap->lock);
    add_past_calls(heap->magazines);
    if (!qyi_os_purge(heap->magazines, QYI_MAGAZINES_BYTES))
        memset(heap->magazines, 0, QYI_MAGAZINES_BYTES);
    qyi_lock(&registry.lock);
    heap->loaded = false;
    push(&registry.idle, heap);
    qyi_unlock(&registry.lock);
}

void qyi_heap_retire(struct qyi_heap *heap, bool loaded)
{
    qyi_lock(&registry.lock);
    loaded = loaded && registry.loaded_count < LOADED_HEAPS;
    if (loaded) {
        heap->loaded = true;
        heap->idle_tick = registry.tick;
        push(&registry.loaded, heap);
        registry.loaded_count++;
    }
    qyi_unlock(&registry.lock);
    if (!loaded)
        unload(heap);
}

void qyi_heaps_unload(bool all)
{
    for (;;) {
        /* Unlink the first that is old enough; nobody can adopt it then. */
        qyi_lock(&registry.lock);
        struct qyi_heap **link = &registry.loaded;
        while (*link != NULL && !all && (*link)->idle_tick == registry.tick)
            link = &(*link)->next_idle;
        struct qyi_heap *heap = pop(link);
        if (heap != NULL) {
            registry.loaded_count--;
            heap->loaded = false;
        } else {
            registry.tick++;
        }
        qyi_unlock(&registry.lock);
        if (heap == NULL)
            return;
        unload(heap);
    }
}

void qyi_heaps_check(void)
{
    if (qyi_heaps_are_mine())
        return;
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (qyi_lock_is_mine(&heap->lock))
            return;
        if (qyi_heap_has_news(heap) && qyi_lock_try(&heap->lock)) {
            qyi_heap_drain(heap);
            qyi_unlock(&heap->lock);
        }
    }
    qyi_heaps_unload(true);
}

bool qyi_heaps_are_mine(void)
{
    return qyi_lock_is_mine(&registry.lock) || (qyi_common != NULL && qyi_lock_is_mine(&qyi_common->lock));
}

/* Which heaps are idle stands in themselves; those that broke are left out. */
static void rebuild_idle(void)
{
    registry.idle = registry.loaded = NULL;
    registry.loaded_count = 0;
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (!atomic_load_explicit(&heap->idle, memory_order_relaxed) || heap->broken)
            continue;
        heap->loaded = heap->loaded && heap->magazines->heap != NULL;
        push(heap->loaded ? &registry.loaded : &registry.idle, heap);
        registry.loaded_count += heap->loaded;
    }
}

QYI_COLD void qyi_heaps_after_fork(void)
{
    qyi_lock_after_fork(&registry.lock);
    if (!qyi_lock_is_mine(&registry.lock))
        rebuild_idle();
    if (!qyi_lock_after_fork(&qyi_common->lock))
        return;
    /* The common heap was being changed: its lists cannot be trusted. Its blocks in use can still be freed, as remote
     * ones. */
    struct qyi_heap *broken = qyi_common;
    memset(broken->available, 0, sizeof broken->available);
    struct qyi_heap *fresh = new_heap(false);
    if (fresh != NULL) {
        broken->broken = true;
        qyi_common = fresh;
    }
}

struct qyi_heap *qyi_common_lock(void)
{
    for (;;) {
        struct qyi_heap *common = qyi_common;
        qyi_lock(&common->lock);
        if (QYI_LIKELY(common == qyi_common))
            return common;
        qyi_unlock(&common->lock);
    }
}

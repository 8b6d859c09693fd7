/*
 * heap.h: the slabs of one thread, and what magazines take from them and give them. Layer 4.
 *
 * A heap outlives its thread, and goes to another one: see heaps.h.
 */
#ifndef QYI_HEAP_H
#define QYI_HEAP_H

#include "base.h"
#include "lock.h"
#include "sizeclass.h"

struct qyi_magazines;
struct qyi_meter;

struct qyi_heap {
    /* constant */
    uint32_t id;
    bool apart;                      /* takes no slabs of the common heap, see track.c */
    struct qyi_magazines *magazines; /* pages of metadata; in use while a thread runs with this heap */
    /* its thread */
    struct qyi_meter *meter; /* for the heap profile; NULL: not needed yet */
    /* under the registry lock */
    struct qyi_heap *next_idle;
    _Atomic bool idle;  /* no thread runs with it; others may look, and see what was true a moment ago */
    bool loaded;        /* idle, but its magazines still hold blocks */
    bool bereaved;      /* its thread was left behind by fork */
    bool broken;        /* a fork caught it in the middle of a change: its blocks can be freed, and nothing more */
    uint32_t idle_tick; /* when it became idle */
    /* under lock */
    struct qyi_lock lock; /* held during every change of the heap's slabs */
    uint32_t slab_count;
    /* First granules of the slabs with blocks to give, a doubly linked list per class; 0 ends. Of the common heap, others may
     * look whether there are any. */
    _Atomic uint32_t available[QYI_CLASS_COUNT];
    uint64_t drains;
    /* the thread's; others read it */
    _Atomic uint32_t tid; /* the kernel's number of the thread; 0: the process's first thread, or none yet */
    /* any thread */
    QYI_LINE_ALIGNED _Atomic uint32_t notify; /* first granule of the first slab with news from other threads */
};

/* ---- blocks, in bulk ---- */

/*
 * Take up to count blocks of a class: the lowest of a slab to top[-1] and on downwards, as qyi_slab_take. Looks at the
 * heap's slabs, the common heap's, and a new slab, in this order; a new slab only if nothing was found. Returns how
 * many; 0 is out of memory. The caller holds the lock.
 */
unsigned qyi_heap_take(struct qyi_heap *heap, unsigned class, void **top, unsigned count);

/* Give back blocks of one class that belong to the heap. Aborts on a pointer that cannot be free'd. The caller holds
 * the lock. */
void qyi_heap_put(struct qyi_heap *heap, unsigned class, void *const *blocks, size_t count);

/* Move what other threads freed to the slabs. The caller holds the lock. */
void qyi_heap_drain(struct qyi_heap *heap);

/* Give empty slabs back that are kept for the next need. The caller holds the lock. */
void qyi_heap_trim(struct qyi_heap *heap);
void qyi_heap_trim_class(struct qyi_heap *heap, unsigned class);

/* The same, and move the slabs that have blocks to give to the common heap. The caller holds the lock. */
void qyi_heap_disown(struct qyi_heap *heap);

/*
 * Any thread that owns a live block of the slab at this first granule: give the slab reference counts, all 0, and its entries
 * qyi_count_flag. False: out of memory. Takes the owner's lock and the region's.
 */
bool qyi_heap_count_slab(uint32_t granule);

/*
 * Any thread that owns this live block, in the slab at this first granule: it is in the heap profile now, or no more. While it is, the
 * slab's entries have its qyi_slab_sampled_bit. Takes the owner's lock.
 */
void qyi_heap_sample_slab(uint32_t granule, const void *block, bool more);

/* Any thread: the slab at this first granule has news for its owner. */
void qyi_heap_notify(uint32_t owner, uint32_t granule);

QYI_INLINE bool qyi_heap_has_news(struct qyi_heap *heap)
{
    return atomic_load_explicit(&heap->notify, memory_order_relaxed) != 0;
}

/* One block from the common heap, or NULL. Takes its lock. */
void *qyi_common_take_one(unsigned class);

#endif

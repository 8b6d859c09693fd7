/*
 * heap.h: the slabs of one thread, and what magazines take from them and give them. Layer 4.
 *
 * A heap outlives its thread. The common heap belongs to no thread: it has all slabs of larger blocks
 * (qyi_class_is_common), small slabs with free blocks move there when their thread ends, and threads without magazines
 * (before the first call, after the last, out of memory) allocate from it directly.
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
    _Atomic uint32_t available[QYI_CLASS_COUNT]; /* first granules of the slabs with blocks to give, a doubly linked list per class; 0
                                                    ends. Of the common heap, others may look whether there are any */
    uint64_t drains;
    /* the thread's; others read it */
    _Atomic uint32_t tid; /* the kernel's number of the thread; 0: the process's first thread, or none yet */
    /* any thread */
    QYI_LINE_ALIGNED _Atomic uint32_t notify; /* first granule of the first slab with news from other threads */
};

/* ---- registry ---- */

extern QYI_HIDDEN struct qyi_heap *qyi_common;

/* Lock the common heap. It may become another one while a forked child waits. */
struct qyi_heap *qyi_common_lock(void);

/* Make the common heap. False: out of memory. */
bool qyi_heaps_init(void);

/* An idle heap, with whatever is in its magazines, or a new one, or NULL. The caller becomes its only user. */
struct qyi_heap *qyi_heap_adopt(void);

/*
 * The heap's thread has ended. It keeps what it has for the next thread, if few others do; else, and always if it is
 * not wanted loaded, its blocks go back, its slabs with room go to the common heap and its magazines' pages are given
 * back. Takes the heap's lock.
 */
void qyi_heap_retire(struct qyi_heap *heap, bool loaded);

/* Unload idle heaps: those that nobody has wanted since the last call, or all. */
void qyi_heaps_unload(bool all);

/* The calling thread holds the registry's lock or the common heap's. */
bool qyi_heaps_are_mine(void);

/*
 * At the end of the process: see the news of all heaps whose lock is free, and the same as qyi_heaps_unload(true); less of it, or
 * nothing, if the thread holds a heap's lock or the registry's, as when exit is called in a signal's handler.
 */
void qyi_heaps_check(void);

/* Calls per class that are not counted in anybody's magazines: of ended threads, and of threads without magazines. */
extern QYI_HIDDEN _Atomic uint64_t qyi_heap_past_calls[QYI_CLASS_COUNT];

/* Likewise: what the magazines of ended threads did. */
struct qyi_heap_past {
    _Atomic uint64_t refills, flushes, remote_frees;
};
extern QYI_HIDDEN struct qyi_heap_past qyi_heap_past;

/* What heap.c keeps for itself: the heaps by id. */
extern QYI_HIDDEN const struct qyi_extent qyi_registry_extent;

/* Heaps have the ids 1 to qyi_heap_count(); all of them can be asked for at any time. */
uint32_t qyi_heap_count(void);
struct qyi_heap *qyi_heap_by_id(uint32_t id);

/* In a forked child: see fork.c. */
void qyi_heaps_after_fork(void);

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

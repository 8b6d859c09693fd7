/*
 * heaps.h: all heaps: by id, those that are idle, and the common one. Layer 4.
 *
 * A heap is never freed. When its thread has ended, it is idle until another thread adopts it.
 *
 * The common heap belongs to no thread: it has all slabs of larger blocks (qyi_class_is_common), small slabs with free blocks move
 * there when their thread ends, and threads without magazines (before the first call, after the last, out of memory)
 * allocate from it directly.
 */
#ifndef QYI_HEAPS_H
#define QYI_HEAPS_H

#include "base.h"
#include "sizeclass.h"

struct qyi_heap;

extern QYI_HIDDEN struct qyi_heap *qyi_common;

/* Lock the common heap. It may become another one while a forked child waits. */
struct qyi_heap *qyi_common_lock(void);

/* Make the common heap. False: out of memory. */
bool qyi_heaps_init(void);

/* An idle heap, with whatever is in its magazines, or a new one, or NULL. The caller becomes its only user. */
struct qyi_heap *qyi_heap_adopt(void);

/* A heap that no thread has had or will have, which takes nothing from the common one; or NULL. */
struct qyi_heap *qyi_heap_make_apart(void);

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

/* What heaps.c keeps for itself: the heaps by id. */
extern QYI_HIDDEN const struct qyi_extent qyi_registry_extent;

/* Heaps have the ids 1 to qyi_heap_count(); all of them can be asked for at any time. */
uint32_t qyi_heap_count(void);
struct qyi_heap *qyi_heap_by_id(uint32_t id);

/* In a forked child: see fork.c. */
void qyi_heaps_after_fork(void);

#endif

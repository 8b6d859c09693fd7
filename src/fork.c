/*
 * fork.c: a forked child's allocator. Layer 4.
 *
 * There is no handler before fork, hence nothing that could wait: glibc takes its stdio locks after the prepare
 * handlers, and a thread that holds one of these may be waiting for memory; a fork in a signal handler may have
 * interrupted malloc itself. The child sees the parent's memory as it was at some instant, with other threads anywhere:
 *
 *     in a fast path            a magazine's block is in it or not; at worst a block is lost
 *     in a slow path            their heap's lock is held: the heap is left alone, its blocks can still be freed, as
 *                               remote ones
 *     with the region lock      frames are rebuilt from the entries
 *     with another lock         it is released: what it guards is changed by single stores that publish
 *     with a remote buffer      its blocks are lost
 *
 * A handler that somebody registered before us may allocate in the child before ours has run. So a thread that finds a
 * lock held for long looks at a page which the kernel wipes in children, and catches up.
 *
 * A lock that the forking thread itself holds (fork in a signal handler) stays held: the interrupted frame exists in
 * the child too, and releases it.
 */
#include "fork.h"

#include "heap.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "reclaim.h"
#include "region.h"
#include "thread.h"

#include <pthread.h>

/* Not 0, except in a child that has not been put in order yet. NULL: the kernel cannot do that. */
static _Atomic uint32_t *wiped;

static void in_child(void)
{
    if (wiped != NULL)
        atomic_store_explicit(wiped, 1, memory_order_relaxed);
    qyi_meta_after_fork();
    qyi_region_after_fork();
    qyi_threads_after_fork();
    qyi_heaps_after_fork();
    qyi_reclaim_after_fork();
}

static void lock_contended(void)
{
    if (atomic_load_explicit(wiped, memory_order_relaxed) == 0)
        in_child();
}

void qyi_fork_register(void)
{
    static _Atomic bool registered;
    if (atomic_exchange_explicit(&registered, true, memory_order_relaxed))
        return;
    wiped = qyi_os_map_wiped();
    if (wiped != NULL) {
        atomic_store_explicit(wiped, 1, memory_order_relaxed);
        qyi_lock_contended = lock_contended;
    }
    pthread_atfork(NULL, NULL, in_child);
}

/*
 * fork.c: a forked child's allocator. Layer 4.
 *
 * No handler waits for anything before fork: glibc takes its stdio locks after the prepare
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
 * A handler that somebody registered before us may allocate in the child before ours has run, and even start threads. So
 * slow paths look at a mark in a page which the kernel wipes in children, and catch up; once per child.
 *
 * A lock that the forking thread itself holds (fork in a signal handler) stays held: the interrupted frame exists in
 * the child too, and releases it.
 */
#include "fork.h"

#include "fatal.h"
#include "heaps.h"
#include "lock.h"
#include "magazine.h"
#include "meta.h"
#include "os.h"
#include "reclaim.h"
#include "region.h"
#include "thread.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

QYI_NEAR _Atomic uint32_t *_Atomic qyi_fork_mark;

enum { HOOKS_MAX = 16 };

static struct {
    void (*_Atomic hook[HOOKS_MAX])(void);
    _Atomic unsigned count;
} hooks;

void qyi_fork_add_hook(void (*hook)(void))
{
    const unsigned i = atomic_fetch_add_explicit(&hooks.count, 1, memory_order_relaxed);
    qyi_assert(i < HOOKS_MAX);
    atomic_store_explicit(&hooks.hook[i], hook, memory_order_relaxed);
}

static __thread bool forks; /* this thread is inside fork */

static void call_hooks(void)
{
    for (unsigned i = 0; i < HOOKS_MAX; i++) {
        void (*hook)(void) = atomic_load_explicit(&hooks.hook[i], memory_order_relaxed);
        if (hook != NULL)
            hook();
    }
}

static void put_in_order(void)
{
    qyi_meta_after_fork();
    qyi_region_after_fork();
    qyi_threads_after_fork();
    qyi_heaps_after_fork();
    qyi_reclaim_after_fork();
    call_hooks();
}

/* The mark: wiped, in order, or being put in order by the thread with this qyi_lock_me(), shifted. */
enum { WIPED = 0, IN_ORDER = 1 };

static uint32_t in_hand_of_me(void)
{
    return qyi_lock_me() << 1;
}

/*
 * Once in every child. Another thread, started by a handler that ran before ours, waits: its new heap would be taken for one of
 * the parent's. It holds no lock then, since slow paths come here first. The thread that is at work does not wait for itself.
 */
static void catch_up(_Atomic uint32_t *mark)
{
    uint32_t state = WIPED;
    /* acquire: pairs with the release below */
    if (atomic_compare_exchange_strong_explicit(mark, &state, in_hand_of_me(), memory_order_acquire,
                                                memory_order_acquire)) {
        qyi_lock_newcomer = !forks && !qyi_thread_is_attached();
        put_in_order();
        qyi_lock_newcomer = false;
        atomic_store_explicit(mark, IN_ORDER, memory_order_release); /* pairs with the acquires of those who wait */
        qyi_os_futex_wake(mark, INT_MAX);
        return;
    }
    while (state != IN_ORDER && state != in_hand_of_me()) {
        qyi_os_futex_wait(mark, state);
        state = atomic_load_explicit(mark, memory_order_acquire);
    }
}

void qyi_fork_check_slow(void)
{
    _Atomic uint32_t *mark = atomic_load_explicit(&qyi_fork_mark, memory_order_acquire);
    if (mark != NULL)
        catch_up(mark);
    else
        qyi_fork_register();
}

/* Takes no lock and waits for nothing: it only leaves word whose heap is not bereaved in the child. */
static void before_fork(void)
{
    forks = true;
    if (qyi_thread_is_attached())
        qyi_my_magazines()->forks = true;
}

static void in_parent(void)
{
    forks = false;
    if (qyi_thread_is_attached())
        qyi_my_magazines()->forks = false;
}

static void in_child(void)
{
    _Atomic uint32_t *mark = atomic_load_explicit(&qyi_fork_mark, memory_order_acquire);
    if (mark == NULL)
        put_in_order();
    else
        catch_up(mark);
    in_parent(); /* the same for this thread */
}

static void check(void)
{
    qyi_fork_check();
}

/*
 * Whoever goes on from here may hold a lock at the next fork, so the mark is there then, whoever made it. Threads that come
 * at once make one each, and all but the first throw theirs away: to wait for each other is what they must not, for a child
 * may have been forked from between.
 */
static void publish_mark(void)
{
    static _Atomic bool refused;
    if (atomic_load_explicit(&qyi_fork_mark, memory_order_acquire) != NULL ||
        atomic_load_explicit(&refused, memory_order_relaxed))
        return;
    _Atomic uint32_t *mark = qyi_os_map_wiped();
    if (mark == NULL) {
        atomic_store_explicit(&refused, true, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(mark, IN_ORDER, memory_order_relaxed);
    atomic_store_explicit(&qyi_lock_contended, check, memory_order_relaxed);
    _Atomic uint32_t *none = NULL;
    /* release: pairs with the acquires, so that nobody sees the page before it is marked */
    if (!atomic_compare_exchange_strong_explicit(&qyi_fork_mark, &none, mark, memory_order_release,
                                                 memory_order_relaxed))
        qyi_os_unmap(mark, qyi_os_page_bytes);
}

void qyi_fork_register(void)
{
    static _Atomic bool registered;
    const int saved_errno = errno;
    publish_mark();
    if (!atomic_load_explicit(&registered, memory_order_relaxed) &&
        !atomic_exchange_explicit(&registered, true, memory_order_relaxed))
        pthread_atfork(before_fork, in_parent, in_child);
    errno = saved_errno;
}

/*
 * thread.c: start of the allocator, and the life of a thread in it. Layer 4.
 *
 *     no magazines --first malloc--> attached --key destructor--> no magazines --malloc in a later destructor-->
 * attached ...
 *
 * The end of a thread is noticed by a pthread key. Destructors of other
 * keys may allocate after ours has run: the thread gets a heap again, and our destructor another turn. POSIX allows
 * four rounds, so after three the thread lives on the common heap.
 */
#include "thread.h"

#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "lock.h"
#include "os.h"
#include "region.h"
#include "remote.h"
#include "sizeclass.h"

#include <errno.h>
#include <pthread.h>

enum { LIVES_MAX = 3 };

QYI_NEAR static struct {
    struct qyi_lock lock;
    _Atomic bool started;
    _Atomic bool has_key;
    uint32_t main;              /* qyi_lock_me() of the process's first thread, if it was that which started us */
    _Atomic bool first_is_here; /* the first thread has attached */
    _Atomic bool bury_wanted;   /* in a forked child: there are bereaved heaps */
    pthread_key_t key;
} threads;

static __thread uint8_t lives;

void (*_Atomic qyi_thread_end_hook)(void);

static void thread_ends(void *value)
{
    struct qyi_magazines *mine = value;
    if (mine != qyi_my_magazines())
        return; /* the loader has wiped our variable since, see qyi_my_offset */
    /* acquire: pairs with the release of whoever set it */
    void (*hook)(void) = atomic_load_explicit(&qyi_thread_end_hook, memory_order_acquire);
    if (hook != NULL)
        hook();
    qyi_magazines_make_mine(NULL);
    lives++;
    qyi_remote_flush(mine);
    qyi_heap_retire(mine->heap, true);
}

bool qyi_start(void)
{
    /* acquire: pairs with the release below */
    if (QYI_LIKELY(atomic_load_explicit(&threads.started, memory_order_acquire)))
        return true;
    qyi_lock(&threads.lock);
    bool started = atomic_load_explicit(&threads.started, memory_order_relaxed);
    if (!started) {
        qyi_sizeclass_init();
        if (qyi_region_init() && qyi_heaps_init()) {
            threads.main = qyi_os_is_main_thread() ? qyi_lock_me() : 0; /* now: a sandbox may forbid it later */
            started = true;
            atomic_store_explicit(&threads.started, true, memory_order_release);
        }
    }
    qyi_unlock(&threads.lock);
    return started;
}

/*
 * What a process needs that has a second thread: the key, and the fork handler. Not before, for these parts of libc would be
 * the only ones of their neighbourhood that a small program brings into memory (measured: 128 KiB). False: no key is left.
 */
static bool prepare_for_threads(void)
{
    qyi_lock(&threads.lock);
    if (!threads.has_key)
        threads.has_key = pthread_key_create(&threads.key, thread_ends) == 0;
    qyi_unlock(&threads.lock);
    qyi_fork_register();
    return threads.has_key;
}

void qyi_thread_register(struct qyi_magazines *mine)
{
    if (mine->registered || !threads.has_key)
        return;
    const int saved_errno = errno;
    mine->registered = pthread_setspecific(threads.key, mine) == 0;
    errno = saved_errno;
}

struct qyi_magazines *qyi_thread_attach(bool for_free)
{
    if (!qyi_start() || lives >= (for_free ? 1 : LIVES_MAX))
        return NULL;
    qyi_fork_check(); /* before there is a heap that it would take for one of the parent's */
    struct qyi_heap *heap = qyi_heap_adopt();
    if (heap == NULL)
        return NULL;
    struct qyi_magazines *mine = heap->magazines;
    mine->registered = false;
    /* First of all: what follows may allocate (for a key beyond the first 32, say). */
    qyi_magazines_make_mine(mine);
    if (!atomic_exchange_explicit(&threads.first_is_here, true, memory_order_relaxed) && qyi_lock_me() == threads.main)
        return mine; /* registers later, if there are other threads ever; its tid stays 0, which says so */
    atomic_store_explicit(&heap->tid, qyi_os_thread_number(), memory_order_relaxed);
    if (prepare_for_threads())
        qyi_thread_register(mine);
    if (!mine->registered) {
        qyi_magazines_make_mine(NULL);
        lives = LIVES_MAX;
        qyi_heap_retire(heap, false);
        return NULL;
    }
    return mine;
}

void qyi_threads_bury(void)
{
    /* relaxed: the exchange only elects one thread to do the work */
    if (!atomic_load_explicit(&threads.bury_wanted, memory_order_relaxed) ||
        !atomic_exchange_explicit(&threads.bury_wanted, false, memory_order_relaxed))
        return;
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (!heap->bereaved)
            continue;
        heap->bereaved = false;
        if (heap->magazines->heap == NULL) /* the thread was about to begin, or had ended but for its last steps */
            qyi_magazines_open(heap->magazines, heap, heap->id);
        qyi_heap_retire(heap, false);
    }
}

void qyi_threads_after_fork(void)
{
    qyi_lock_after_fork(&threads.lock);
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        struct qyi_magazines *magazines = heap->magazines;
        const bool mine = magazines == qyi_my_magazines();
        if (heap == qyi_common || heap->broken)
            continue;
        if (mine)
            atomic_store_explicit(&heap->tid, 0, memory_order_relaxed); /* now it is the first thread */
        if (qyi_lock_after_fork(&heap->lock)) {
            /* A thread of the parent was changing it. From now on its slabs can only be freed into. */
            heap->broken = true;
            if (mine)
                qyi_magazines_make_mine(NULL); /* there will be another */
        } else if (!atomic_load_explicit(&heap->idle, memory_order_relaxed) && !mine && !magazines->forks &&
                   !qyi_lock_is_mine(&heap->lock)) {
            /* What is in its remote buffer is lost: the thread may have stood in the middle of changing it. */
            magazines->remote.used_count = 0;
            heap->bereaved = true;
            atomic_store_explicit(&threads.bury_wanted, true, memory_order_relaxed);
        }
    }
}

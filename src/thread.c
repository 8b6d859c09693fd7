/*
 * thread.c: start of the allocator, and the life of a thread in it. Layer 4.
 *
 *     no magazines --first malloc--> attached --key destructor--> no magazines --malloc in a later destructor-->
 * attached ...
 *
 * The end of a thread is noticed by a pthread key, made before anybody else can have made many. Destructors of other
 * keys may allocate after ours has run: the thread gets a heap again, and our destructor another turn. POSIX allows
 * four rounds, so after three the thread lives on the common heap.
 */
#include "thread.h"

#include "heap.h"
#include "lock.h"
#include "region.h"
#include "remote.h"
#include "sizeclass.h"

#include <pthread.h>

enum { LIVES_MAX = 3 };

static struct {
    struct qyi_lock lock;
    _Atomic bool started;
    bool has_key;
    _Atomic bool bury_wanted; /* in a forked child: there are bereaved heaps */
    pthread_key_t key;
} threads;

static __thread uint8_t lives;

static void thread_ends(void *value)
{
    struct qyi_magazines *mine = value;
    if (mine != qyi_my_magazines())
        return; /* the loader has wiped our variable since, see qyi_my_offset */
    qyi_my_offset = 0;
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
            qyi_magazine_init();
            threads.has_key = pthread_key_create(&threads.key, thread_ends) == 0;
            started = true;
            atomic_store_explicit(&threads.started, true, memory_order_release);
        }
    }
    qyi_unlock(&threads.lock);
    return started;
}

struct qyi_magazines *qyi_thread_attach(bool for_free)
{
    if (!qyi_start() || lives >= (for_free ? 1 : LIVES_MAX) || !threads.has_key)
        return NULL;
    struct qyi_heap *heap = qyi_heap_adopt();
    if (heap == NULL)
        return NULL;
    qyi_my_offset = qyi_region_offset(heap->magazines);
    /* After the magazines are in place: for a key beyond the first 32, this allocates. */
    if (pthread_setspecific(threads.key, heap->magazines) != 0) {
        qyi_my_offset = 0;
        lives = LIVES_MAX;
        qyi_heap_retire(heap, false);
        return NULL;
    }
    return heap->magazines;
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
        qyi_heap_retire(heap, false);
    }
}

void qyi_threads_after_fork(void)
{
    qyi_lock_after_fork(&threads.lock);
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (heap == qyi_common || heap->idle || heap->magazines == qyi_my_magazines())
            continue;
        /* A lock that is held, is held by a thread of the parent: its slabs can only be freed into from now on. */
        if (qyi_lock_is_held(&heap->lock))
            continue;
        /* What is in its remote buffer is lost: the thread may have stood in the middle of changing it. */
        heap->magazines->remote.used_count = 0;
        heap->bereaved = true;
        atomic_store_explicit(&threads.bury_wanted, true, memory_order_relaxed);
    }
}

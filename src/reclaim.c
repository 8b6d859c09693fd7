/*
 * reclaim.c: giving memory back while the program runs, and on demand. Layer 4.
 *
 * Free memory becomes free granules in three steps, each of which may be waiting for a thread that does not call us:
 *
 *     blocks in a magazine      flushed by their thread: when a sweep finds the magazine unused, or when asked
 * (flush_wanted) blocks freed by others    drained by the owner's slow paths, or here, by whoever comes by, under the
 * owner's lock empty slabs               deleted as soon as the last block is back
 *
 * and free granules are purged when they have been free for a while. All of this is driven by a tick in the slow paths;
 * an option adds a thread that ticks while the program sleeps.
 */
#include "reclaim.h"

#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "lock.h"
#include "magazine.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "remote.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

enum {
    SLOW_CALLS_PER_LOOK = 8,             /* at the clock: it costs 5 ns, a slow call 100 and more */
    SLOW_CALLS_BEFORE_ANY = 64,          /* small programs end before */
    PURGE_DELAY_MAX_MS = 30 * 60 * 1000, /* a frame's clock wraps after twice that */
    TICK_MIN_MS = 20,
    LIMIT_INTERVAL_MS = 250,
    TICKS_PER_DELAY = 4,
    TRY_COUNT = 1000,
    BACKGROUND_IDLE_TICKS = 12,
    BACKGROUND_STACK_BYTES = 128 << 10,
};

static struct {
    _Atomic uint64_t next_ms;       /* when the next tick is due */
    _Atomic uint64_t next_limit_ms; /* and the next look at how much is dirty */
    _Atomic uint64_t next_watch_ms; /* and the next call of the watcher; WATCHING: it runs */
    _Atomic bool background;        /* the thread runs */
} reclaim;

static const uint64_t WATCHING = UINT64_MAX;

QYI_NEAR uint64_t (*_Atomic qyi_reclaim_watcher)(uint64_t now_ms);

static uint64_t interval_ms(void)
{
    const uint64_t delay = qyi_options.purge_delay_ms;
    return delay == UINT32_MAX ? 1000 : qyi_max(TICK_MIN_MS, delay / TICKS_PER_DELAY);
}

/* Another thread's heap may be looked into while that thread is not in a slow path itself. */
static bool try_hard(struct qyi_lock *lock)
{
    for (unsigned i = 0; i < TRY_COUNT; i++) {
        if (qyi_lock_try(lock))
            return true;
    }
    return false; /* or its thread did not survive a fork */
}

/* trim: give back empty slabs too, as always with the common heap's: it has no thread that would miss them. */
static void visit_heaps(bool trim)
{
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (!trim && heap != qyi_common && !qyi_heap_has_news(heap))
            continue;
        if (!(trim ? try_hard(&heap->lock) : qyi_lock_try(&heap->lock)))
            continue;
        if (qyi_heap_has_news(heap))
            qyi_heap_drain(heap);
        if (trim || heap == qyi_common)
            qyi_heap_trim(heap);
        qyi_unlock(&heap->lock);
    }
}

static void *background_main(void *unused)
{
    size_t before = 0;
    (void)unused;
    /*
     * It ends when for some ticks there is neither more to give back nor less; the next tick of the program starts another.
     * A process whose other threads have all ended must not be kept alive by this one.
     */
    for (unsigned idle = 0; idle < BACKGROUND_IDLE_TICKS; idle = qyi_region_dirty() != before ? 0 : idle + 1) {
        before = qyi_region_dirty();
        const uint64_t pause_ms = interval_ms();
        const struct timespec pause = {.tv_sec = (time_t)(pause_ms / 1000),
                                       .tv_nsec = (long)(pause_ms % 1000) * 1000000};
        nanosleep(&pause, NULL);
        qyi_reclaim_tick_now(NULL);
    }
    atomic_store_explicit(&reclaim.background, false, memory_order_relaxed);
    /* At once: what the program frees before its next tick would stay if it slept then. Release: pairs with the acquire there. */
    atomic_store_explicit(&reclaim.next_ms, 0, memory_order_release);
    return NULL;
}

/* Lazily, from a tick, so that a process that forks gets it again and one that never allocates never has it. */
static void start_background(void)
{
    if (!qyi_options.background || atomic_exchange_explicit(&reclaim.background, true, memory_order_relaxed))
        return;
    const int saved_errno = errno;
    pthread_t thread;
    qyi_fork_register();
    if (qyi_os_thread(&thread, BACKGROUND_STACK_BYTES, background_main) == 0)
        pthread_detach(thread); /* refused: the program's own ticks must do */
    errno = saved_errno;
}

/* Between ticks, but not all the time: what comes and goes quickly is better kept than given back and faulted in anew. */
static void limit_dirty(uint64_t now_ms)
{
    uint64_t due = atomic_load_explicit(&reclaim.next_limit_ms, memory_order_relaxed);
    /* relaxed: the exchange only elects one thread to do the work */
    if (QYI_UNLIKELY(now_ms >= due) && qyi_options.purge_delay_ms != UINT32_MAX &&
        atomic_compare_exchange_strong_explicit(&reclaim.next_limit_ms, &due, now_ms + LIMIT_INTERVAL_MS,
                                                memory_order_relaxed, memory_order_relaxed))
        qyi_region_limit_dirty(now_ms);
}

static QYI_NOINLINE void watch(uint64_t now_ms)
{
    /* acquire: pairs with the releases of those who put themselves there */
    uint64_t (*watcher)(uint64_t) = atomic_load_explicit(&qyi_reclaim_watcher, memory_order_acquire);
    uint64_t due = atomic_load_explicit(&reclaim.next_watch_ms, memory_order_relaxed);
    /* acquire, and release below: one thread at a time, which sees what the last one did */
    if (watcher == NULL || now_ms < due ||
        !atomic_compare_exchange_strong_explicit(&reclaim.next_watch_ms, &due, WATCHING, memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    due = watcher(now_ms);
    atomic_store_explicit(&reclaim.next_watch_ms, due, memory_order_release);
}

void qyi_reclaim_tick_now(struct qyi_magazines *mine)
{
    const uint64_t now_ms = qyi_os_now_ms();
    limit_dirty(now_ms);
    if (QYI_UNLIKELY(now_ms >= atomic_load_explicit(&reclaim.next_watch_ms, memory_order_relaxed)))
        watch(now_ms);
    uint64_t due = atomic_load_explicit(&reclaim.next_ms, memory_order_relaxed);
    /* It elects one thread to do the work. Acquire: pairs with the release in background_main */
    if (QYI_LIKELY(now_ms < due) ||
        !atomic_compare_exchange_strong_explicit(&reclaim.next_ms, &due, now_ms + interval_ms(), memory_order_acquire,
                                                 memory_order_relaxed))
        return;
    qyi_threads_bury();
    if (mine != NULL) {
        qyi_thread_register(mine);
        qyi_remote_flush(mine);
        qyi_magazines_sweep(mine);
    }
    visit_heaps(false);
    qyi_heaps_unload(false);
    if (qyi_options.purge_delay_ms != UINT32_MAX)
        qyi_region_purge(now_ms, qyi_min(qyi_options.purge_delay_ms, PURGE_DELAY_MAX_MS));
    start_background();
}

void qyi_reclaim_tick(struct qyi_magazines *mine)
{
    if (mine != NULL) {
        if (QYI_LIKELY(++mine->slow_calls % SLOW_CALLS_PER_LOOK != 0 || mine->slow_calls < SLOW_CALLS_BEFORE_ANY))
            return;
        /* relaxed: a wish, and nothing depends on when it is heard */
        if (QYI_UNLIKELY(atomic_load_explicit(&mine->flush_wanted, memory_order_relaxed))) {
            atomic_store_explicit(&mine->flush_wanted, false, memory_order_relaxed);
            qyi_remote_flush(mine);
            qyi_magazines_shrink(mine);
        }
    }
    qyi_reclaim_tick_now(mine);
}

void qyi_reclaim_thread(void)
{
    if (!qyi_thread_is_attached())
        return;
    qyi_remote_flush(qyi_my_magazines());
    qyi_magazines_shrink(qyi_my_magazines());
}

size_t qyi_reclaim_all(void)
{
    if (!qyi_start())
        return 0;
    qyi_threads_bury();
    qyi_reclaim_thread();
    for (uint32_t id = 1; id <= qyi_heap_count(); id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        /* relaxed: an idle one has nothing, and its page may have been given back; to mistake it does no harm */
        if (!atomic_load_explicit(&heap->idle, memory_order_relaxed))
            atomic_store_explicit(&heap->magazines->flush_wanted, true, memory_order_relaxed);
    }
    qyi_heaps_unload(true);
    visit_heaps(true);
    return qyi_region_purge(qyi_os_now_ms(), 0);
}

void qyi_reclaim_after_fork(void)
{
    atomic_store_explicit(&reclaim.background, false, memory_order_relaxed);
    atomic_store_explicit(&reclaim.next_watch_ms, 0, memory_order_relaxed); /* whoever watched may be gone */
}

/*
 * lock.h: a small lock of our own. Layer 1.
 *
 * pthread mutexes cannot be used: after fork the child must be able to see whether a lock was held, by whom, and take
 * it away from a thread that no longer exists. Lock order, for the whole library:
 *
 *     foreign; registry of pools -> pool; arena; list of arenas
 *         -> heap (own) -> heap (the common one, or another's by try only) -> registry -> region -> meta
 *     track -> meta; site -> meta (nothing else is held)
 */
#ifndef QYI_LOCK_H
#define QYI_LOCK_H

#include "base.h"

struct qyi_lock {
    _Atomic uint32_t word; /* 0: free; else the holder, and QYI_LOCK_WAITERS if somebody may sleep */
};

#define QYI_LOCK_WAITERS ((uint32_t)1 << 31)

/*
 * A different number for every thread, but for threads whose thread-local variables lie a multiple of 32 GiB apart: then
 * a forked child may take a lock of the other's for its own, and wait for ever. Never 0, never QYI_LOCK_WAITERS.
 */
extern QYI_HIDDEN __thread char qyi_lock_identity __attribute__((tls_model("initial-exec")));

QYI_INLINE uint32_t qyi_lock_me(void)
{
    return (uint32_t)((uintptr_t)&qyi_lock_identity >> 4 & (QYI_LOCK_WAITERS - 1)) | 1;
}

/* Called, if set, before a thread goes to sleep on a lock. */
extern QYI_HIDDEN void (*_Atomic qyi_lock_contended)(void);

void qyi_lock_slow(struct qyi_lock *lock);
void qyi_unlock_slow(struct qyi_lock *lock);

QYI_INLINE bool qyi_lock_try(struct qyi_lock *lock)
{
    uint32_t free_word = 0;
    /* acquire: pairs with the release in qyi_unlock. One store says that it is held and by whom, see fork.c. */
    return atomic_compare_exchange_strong_explicit(&lock->word, &free_word, qyi_lock_me(), memory_order_acquire,
                                                   memory_order_relaxed);
}

QYI_INLINE void qyi_lock(struct qyi_lock *lock)
{
    if (QYI_UNLIKELY(!qyi_lock_try(lock)))
        qyi_lock_slow(lock);
}

QYI_INLINE void qyi_unlock(struct qyi_lock *lock)
{
    /* release: pairs with the acquire of the next holder */
    if (QYI_UNLIKELY((atomic_exchange_explicit(&lock->word, 0, memory_order_release) & QYI_LOCK_WAITERS) != 0))
        qyi_unlock_slow(lock);
}

QYI_INLINE bool qyi_lock_is_held(struct qyi_lock *lock)
{
    return atomic_load_explicit(&lock->word, memory_order_relaxed) != 0;
}

/*
 * In a forked child that is being put in order by a thread which has come after the fork: it may have the number of one that is gone,
 * whose stack it got, but holds no lock.
 */
extern QYI_HIDDEN bool qyi_lock_newcomer;

QYI_INLINE bool qyi_lock_is_mine(struct qyi_lock *lock)
{
    return !qyi_lock_newcomer &&
           (atomic_load_explicit(&lock->word, memory_order_relaxed) & ~QYI_LOCK_WAITERS) == qyi_lock_me();
}

/*
 * In a forked child: true when the lock was held by a thread that is gone; it is free afterwards. A lock that this thread
 * holds itself stays held: the child's only thread is inside the section that will release it.
 */
bool qyi_lock_after_fork(struct qyi_lock *lock);

#endif

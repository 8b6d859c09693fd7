/*
 * lock.h: a small lock of our own. Layer 1.
 *
 * pthread mutexes cannot be used: after fork the child must be able to see whether a lock was held, by whom, and take
 * it away from a thread that no longer exists. Lock order, for the whole library:
 *
 *     heap (own) -> heap (the common one, or another's by try only) -> registry -> region -> meta
 */
#ifndef QYI_LOCK_H
#define QYI_LOCK_H

#include "base.h"

struct qyi_lock {
    _Atomic uint32_t word;  /* 0 free, 1 held, 2 held and somebody may sleep */
    _Atomic(void *) holder; /* the holding thread's identity; read by the fork handler only */
};

/* A different address for every thread, without a system call. */
void *qyi_thread_identity(void);

/* Called, if set, before a thread goes to sleep on a lock. */
extern QYI_HIDDEN void (*qyi_lock_contended)(void);

void qyi_lock_slow(struct qyi_lock *lock);
void qyi_unlock_slow(struct qyi_lock *lock);

QYI_INLINE bool qyi_lock_try(struct qyi_lock *lock)
{
    uint32_t free_word = 0;
    /* acquire: pairs with the release in qyi_unlock */
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    atomic_store_explicit(&lock->holder, qyi_thread_identity(), memory_order_relaxed);
    return true;
}

QYI_INLINE void qyi_lock(struct qyi_lock *lock)
{
    if (QYI_UNLIKELY(!qyi_lock_try(lock)))
        qyi_lock_slow(lock);
}

QYI_INLINE void qyi_unlock(struct qyi_lock *lock)
{
    atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
    /* release: pairs with the acquire of the next holder */
    if (QYI_UNLIKELY(atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2))
        qyi_unlock_slow(lock);
}

QYI_INLINE bool qyi_lock_is_held(struct qyi_lock *lock)
{
    return atomic_load_explicit(&lock->word, memory_order_relaxed) != 0;
}

/* In a forked child: true when the lock was held by a thread that is gone; the lock is free afterwards unless this
 * thread holds it. */
bool qyi_lock_after_fork(struct qyi_lock *lock);

#endif

/*
 * lock.c: the slow half of the lock: spin a little, then sleep on the word. Layer 1.
 *
 * The protocol is the three-state futex mutex of Ulrich Drepper's "Futexes Are Tricky" (2011), mutex 2.
 */
#include "lock.h"

#include "os.h"

/* Critical sections last well under a microsecond, so most waits end while spinning. */
static const unsigned SPIN_COUNT = 100;

void (*qyi_lock_contended)(void);

static __thread char identity;

void *qyi_thread_identity(void)
{
    return &identity;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void qyi_lock_slow(struct qyi_lock *lock)
{
    for (unsigned i = 0; i < SPIN_COUNT; i++) {
        pause_cpu();
        if (!qyi_lock_is_held(lock) && qyi_lock_try(lock))
            return;
    }
    if (qyi_lock_contended != NULL)
        qyi_lock_contended();
    /* acquire: pairs with the release in qyi_unlock. From here on the word says that somebody may sleep. */
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
        qyi_os_futex_wait(&lock->word, 2);
    atomic_store_explicit(&lock->holder, qyi_thread_identity(), memory_order_relaxed);
}

void qyi_unlock_slow(struct qyi_lock *lock)
{
    qyi_os_futex_wake(&lock->word, 1);
}

bool qyi_lock_after_fork(struct qyi_lock *lock)
{
    if (!qyi_lock_is_held(lock))
        return false;
    if (atomic_load_explicit(&lock->holder, memory_order_relaxed) == qyi_thread_identity())
        return false; /* fork in a signal handler: the interrupted frame of this thread goes on and releases it */
    atomic_store_explicit(&lock->holder, NULL, memory_order_relaxed);
    atomic_store_explicit(&lock->word, 0, memory_order_relaxed); /* one thread: nothing to pair with */
    return true;
}

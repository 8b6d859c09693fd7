/*
 * lock.c: the slow half of the lock: spin a little, then sleep on the word. Layer 1.
 *
 * After the futex mutexes of Ulrich Drepper's "Futexes Are Tricky" (2011), with the holder in the word. Who sleeps has set
 * the waiters' bit; who wakes up takes the lock with that bit set, since there may be more.
 */
#include "lock.h"

#include "os.h"

/* Critical sections last well under a microsecond, so most waits end while spinning. */
static const unsigned SPIN_COUNT = 100;

void (*_Atomic qyi_lock_contended)(void);
bool qyi_lock_newcomer;

__thread char qyi_lock_identity __attribute__((tls_model("initial-exec")));

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The lock that the thread sleeps on, or slept on when a signal's handler interrupted it. */
static __thread struct qyi_lock *sleeps_on __attribute__((tls_model("initial-exec")));

static void sleep_on(struct qyi_lock *lock, uint32_t word)
{
    struct qyi_lock *interrupted = sleeps_on;
    /* A handler that calls exit: what it has interrupted may have been woken, and will not take the lock and wake the next any more. */
    if (interrupted != NULL)
        qyi_os_futex_wake(&interrupted->word, 1);
    sleeps_on = lock;
    qyi_os_futex_wait(&lock->word, word);
    sleeps_on = interrupted;
}

void qyi_lock_slow(struct qyi_lock *lock)
{
    for (unsigned i = 0; i < SPIN_COUNT; i++) {
        pause_cpu();
        if (!qyi_lock_is_held(lock) && qyi_lock_try(lock))
            return;
    }
    void (*contended)(void) = atomic_load_explicit(&qyi_lock_contended, memory_order_relaxed);
    if (contended != NULL)
        contended();
    for (;;) {
        uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (word == 0) {
            /* acquire: pairs with the release in qyi_unlock */
            if (atomic_compare_exchange_strong_explicit(&lock->word, &word, qyi_lock_me() | QYI_LOCK_WAITERS,
                                                        memory_order_acquire, memory_order_relaxed))
                return;
        } else if ((word & QYI_LOCK_WAITERS) != 0 ||
                   atomic_compare_exchange_strong_explicit(&lock->word, &word, word | QYI_LOCK_WAITERS,
                                                           memory_order_relaxed, memory_order_relaxed)) {
            sleep_on(lock, word | QYI_LOCK_WAITERS);
        }
    }
}

void qyi_unlock_slow(struct qyi_lock *lock)
{
    qyi_os_futex_wake(&lock->word, 1);
}

bool qyi_lock_after_fork(struct qyi_lock *lock)
{
    if (!qyi_lock_is_held(lock) || qyi_lock_is_mine(lock))
        return false;
    atomic_store_explicit(&lock->word, 0, memory_order_relaxed); /* one thread: nothing to pair with */
    return true;
}

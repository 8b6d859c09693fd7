/*
 * fork.h: a forked child's allocator. Layer 4.
 */
#ifndef QYI_FORK_H
#define QYI_FORK_H

#include "base.h"

#include <sys/single_threaded.h>

/* Register the child's handler, once. Called when there is a second thread; may allocate. */
void qyi_fork_register(void);

/* Call this in every forked child, after the allocator has been put in order. For the layers above; 16 at most. */
void qyi_fork_add_hook(void (*hook)(void));

/* 1, but not in a child that has not been put in order yet. NULL: not registered, or the kernel cannot do that. */
extern QYI_HIDDEN _Atomic uint32_t *_Atomic qyi_fork_mark;

void qyi_fork_check_slow(void);

/*
 * In slow paths, with no lock held or on the way to sleep for one: catch up in a child, and register as soon as there is a
 * second thread, which may fork without ever having called malloc.
 */
QYI_INLINE void qyi_fork_check(void)
{
    _Atomic uint32_t *mark = atomic_load_explicit(&qyi_fork_mark, memory_order_acquire);
    if (QYI_UNLIKELY(mark == NULL ? !__libc_single_threaded : atomic_load_explicit(mark, memory_order_acquire) != 1))
        qyi_fork_check_slow();
}

#endif

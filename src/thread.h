/*
 * thread.h: start of the allocator, and the life of a thread in it. Layer 4.
 */
#ifndef QYI_THREAD_H
#define QYI_THREAD_H

#include "base.h"
#include "magazine.h"

/* Start the allocator if it has not been started. False: there is no memory to start with; it can be tried again. */
bool qyi_start(void);

/*
 * The calling thread's magazines, made now if need be; NULL when there is no memory for them, or the thread is ending.
 * for_free: the call comes from free, which is not worth a new heap in a thread that has begun to end.
 */
struct qyi_magazines *qyi_thread_attach(bool for_free);

/* Called, if set, in a thread that ends, while it can still allocate. For the layers above. */
extern QYI_HIDDEN void (*_Atomic qyi_thread_end_hook)(void);

/* For the process's first thread, once in a while: to be told of its end, if there are others by now. */
void qyi_thread_register(struct qyi_magazines *mine);

/* In a forked child, some time later: give back what the parent's other threads left in their heaps. */
void qyi_threads_bury(void);

/* In a forked child: note which heaps have lost their threads. The work itself waits, for most children soon call exec.
 */
void qyi_threads_after_fork(void);

#endif

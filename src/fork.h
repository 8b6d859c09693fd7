/*
 * fork.h: a forked child's allocator. Layer 4.
 */
#ifndef QYI_FORK_H
#define QYI_FORK_H

/* Register the child's handler, once. Called when there is a second thread; may allocate. */
void qyi_fork_register(void);

#endif

/*
 * fork.h: a forked child's allocator. Layer 4.
 */
#ifndef QYI_FORK_H
#define QYI_FORK_H

/* Register the child's handler. Called once, by the constructor; allocates. */
void qyi_fork_register(void);

#endif

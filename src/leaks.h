/*
 * leaks.h: references that nobody has released, told at exit. Layer 6.
 */
#ifndef QYI_LEAKS_H
#define QYI_LEAKS_H

#include "base.h"

/* Write the report to fd: nothing if all references are released. Allocates nothing; keeps errno. */
void qyi_leaks_print(int fd);

/* After the options, and when the allocator has started: track if it is asked for, and explain misuse by what was tracked. */
void qyi_leaks_start(void);

/* At exit: print it to standard error if references are tracked. */
void qyi_leaks_finish(void);

#endif

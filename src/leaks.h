/*
 * leaks.h: references that nobody has released, told at exit. Layer 6.
 */
#ifndef QYI_LEAKS_H
#define QYI_LEAKS_H

#include "base.h"

/* Write the report to fd: nothing if all references are released. Allocates nothing; keeps errno. */
void qyi_leaks_print(int fd);

/* At exit: print it to standard error if references are tracked. */
void qyi_leaks_finish(void);

#endif

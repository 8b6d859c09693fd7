/*
 * family.h: the rest of the malloc family: argument checks on top of alloc.h. Layer 5.
 */
#ifndef QYI_FAMILY_H
#define QYI_FAMILY_H

#include "base.h"

void *qyi_reallocarray(void *p, size_t count, size_t bytes);
void *qyi_aligned_alloc(size_t align, size_t bytes);
int qyi_posix_memalign(void **out, size_t align, size_t bytes);
void *qyi_memalign(size_t align, size_t bytes);
void *qyi_valloc(size_t bytes);
void *qyi_pvalloc(size_t bytes);

#endif

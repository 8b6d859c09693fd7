/*
 * slices.h: many slices at once, for chains and builders. Layer 6.
 */
#ifndef QYI_SLICES_H
#define QYI_SLICES_H

#include "base.h"

#include "quarry/slice.h"

/* None of the slices below is empty. */

/* Add a reference to each. 0; or -1 and errno, and none has been added. */
int qyi_slices_retain(const qy_slice *slices, size_t count);

/* Drop their references and leave the array as it is. */
void qyi_slices_release(const qy_slice *slices, size_t count);

/* The slices follow each other in one block: together they are one. */
bool qyi_slices_are_one(const qy_slice *slices, size_t count);

#endif

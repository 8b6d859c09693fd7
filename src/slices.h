/*
 * slices.h: many slices at once, for chains and builders. Layer 6.
 */
#ifndef QYI_SLICES_H
#define QYI_SLICES_H

#include "base.h"

#include "quarry/slice.h"

/* Drop the references of these slices and leave the array as it is. */
void qyi_slices_release(const qy_slice *slices, size_t count);

/* The slices, none of them empty, follow each other in one block: together they are one. */
bool qyi_slices_are_one(const qy_slice *slices, size_t count);

#endif

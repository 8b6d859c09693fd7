/*
 * map.h: the heap as a picture: one character for a granule. Layer 6.
 *
 *     .   free, not resident          L        a large block
 *     ~   free, resident until purged P        buffers of a pool or an arena
 *                                     0 to 9   a slab with that many tenths of its blocks in use
 *
 * What is in magazines counts as in use. A blank is a granule that cannot be told.
 */
#ifndef QYI_MAP_H
#define QYI_MAP_H

#include "base.h"
#include "region.h"

/* Frames of QYI_FRAME_BYTES that have been made accessible. */
uint32_t qyi_map_frame_count(void);

/* Draw one of them, the first being 0: QYI_FRAME_GRANULES characters, no terminator. Takes the region lock for a short time. */
void qyi_map_frame(uint32_t frame, char *characters);

#endif

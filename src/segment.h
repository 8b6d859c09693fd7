/*
 * segment.h: slices that are parts of files, and the files behind them. Layer 6.
 */
#ifndef QYI_SEGMENT_H
#define QYI_SEGMENT_H

#include "quarry/slice.h"

#include "base.h"
#include "region.h"

struct qyi_segment {
    int fd; /* open as long as the slice is */
    int64_t offset;
    bool whole; /* the slice is all of the segment that qy_slice_file made */
};

bool qyi_segment_find_slow(const qy_slice *slice, struct qyi_segment *segment);

/* False: the slice is not part of a file, or of one that nothing is known about. */
QYI_INLINE bool qyi_segment_find(const qy_slice *slice, struct qyi_segment *segment)
{
    return slice->iov_len != 0 && QYI_UNLIKELY(!qyi_region_has(qyi_region_offset(slice->iov_base))) &&
           qyi_segment_find_slow(slice, segment);
}

#endif

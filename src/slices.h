/*
 * slices.h: many slices at once, and the block that they share. Layer 6.
 */
#ifndef QYI_SLICES_H
#define QYI_SLICES_H

#include "ref.h"

#include "quarry/slice.h"

/* The block around a pointer: bytes from start on, none for memory that is not ours; and its cell, if a slab's with cells. */
struct qyi_block {
    const char *start;
    size_t bytes;
    struct qyi_cell *cell;
    uint64_t entry;
};

/* The block around p if it is a slab's with cells, which most that are shared are. to_share: the cell is for adding references;
 * false while these would be too early (C0). */
QYI_INLINE bool qyi_block_find(const void *p, bool to_share, struct qyi_block *block)
{
    size_t offset;
    struct qyi_counted counted;
    const uint64_t entry = qyi_ref_entry(p, &offset);
    if (QYI_UNLIKELY((entry & QYI_ENTRY_COUNTED) == 0) ||
        QYI_UNLIKELY(!(to_share ? qyi_counted_to_share(&counted, offset) : qyi_counted_at(&counted, offset))))
        return false;
    block->bytes = counted.counts->block_bytes;
    block->start = (const char *)p - (counted.bytes - counted.block * block->bytes);
    block->cell = qyi_counted_cell(&counted);
    block->entry = entry;
    return true;
}

/* Less than block->bytes for pointers into the block, and for no others. */
QYI_INLINE size_t qyi_block_offset(const struct qyi_block *block, const void *p)
{
    return (size_t)((const char *)p - block->start);
}

/* Of a block with a cell, p in it. */
QYI_INLINE void qyi_block_retain(const struct qyi_block *block, const void *p, size_t count)
{
    if (QYI_UNLIKELY(!qyi_count_add(block->cell, (uint32_t)count)))
        qyi_too_many_references(p);
}

/* None of the slices below is empty. */

/* Add a reference to each. 0; or -1 and errno, and none has been added. */
int qyi_slices_retain(const qy_slice *slices, size_t count);

/* Drop their references and leave the array as it is. */
void qyi_slices_release(const qy_slice *slices, size_t count);

/* How many of them, from the first on, follow each other in one block, and so are one slice in pieces: at least 1. */
size_t qyi_slices_following(const qy_slice *slices, size_t count);

#endif

/*
 * count.h: reference counts of slabs' blocks. Layer 3.
 *
 *     entry with the counted flag  ->  cells of the slab: one per block, in pages of their own
 *
 * A cell holds the references beyond the first: 0 means a sole owner, so zero-filled memory is correct as it stands, and a
 * slab needs no cells before the first of its blocks is retained (qyi_heap_count_slab). Cells of small blocks are
 * neighbours; those of larger ones have a cache line each, so that two threads with a block each do not share one.
 *
 * The protocol (tests/models/count.pml; C0: cells.pml):
 *
 *     C0  a slab gets cells:          in all its granules the counted flag, then, in all of them, leave to share (release)
 *     C1  an owner adds a reference:  extra += n                        relaxed: it has one already
 *     C2  an owner drops one:         extra == 0 (acquire)?             it is the last: nobody else can change the cell
 *     C3                              else old = fetch_sub(extra, 1)    release
 *     C4                              old == 0?                         two saw 1 in C2 and both subtracted; this is the last: extra = 0
 *
 * After Boost's and the kernel's counters: an addition needs no order, since the block was handed over by other means; what an
 * owner did to the block comes before its release, and the acquire of the last one makes all of it visible before reuse.
 * While the process has one thread, plain loads and stores do.
 *
 * C0 in two rounds, because a block can lie in several granules: who releases it by way of a granule without the flag takes
 * himself for its only owner. So nobody adds a reference by way of any granule (C1) before all have the flag.
 */
#ifndef QYI_COUNT_H
#define QYI_COUNT_H

#include "base.h"
#include "region.h"
#include "sizeclass.h"

#include <sys/single_threaded.h>

struct qyi_cell {
    _Atomic uint32_t extra;
};

enum { QYI_COUNT_MAX = INT32_MAX };

/* Cells of small blocks are neighbours; those of larger ones have a cache line each. */
enum { QYI_CELL_DENSE_BYTES = sizeof(struct qyi_cell), QYI_CELL_SPREAD_BYTES = QYI_CACHE_LINE };

static_assert(QYI_SLAB_BLOCKS_MAX * QYI_CELL_DENSE_BYTES + QYI_CACHE_LINE <= QYI_CELLS_BYTES, "dense cells fit");
static_assert((QYI_GRANULE_BYTES >> QYI_OWN_LOG2) * QYI_CELL_SPREAD_BYTES + QYI_CACHE_LINE <= QYI_CELLS_BYTES,
              "spread cells fit");

/* What slabs are given along with their cells: the counted flag, or the tracked one. Constant but for the start. */
extern QYI_HIDDEN uint64_t qyi_count_flag;

/* Where a pointer into a slab points to. */
struct qyi_place {
    const struct qyi_interior *interior;
    size_t slab;    /* the slab's offset in the region */
    uint32_t bytes; /* from the slab's start */
    uint32_t block; /* the block's number; at least interior->block_count in the slab's unused rest */
};

/* p's granule has this entry, a slab's. */
QYI_INLINE struct qyi_place qyi_place_of(const void *p, uint64_t entry)
{
    const size_t offset = qyi_region_offset(p);
    struct qyi_place place;
    place.interior =
        (const struct qyi_interior *)((const char *)qyi_interiors + (entry & 0xff << QYI_ENTRY_CLASS_SHIFT));
    place.slab = ((offset >> QYI_GRANULE_SHIFT) - qyi_entry_offset(entry)) << QYI_GRANULE_SHIFT;
    place.bytes = (uint32_t)(offset - place.slab);
    place.block = qyi_block_around(place.interior, place.bytes);
    return place;
}

QYI_INLINE bool qyi_place_is_block(const struct qyi_place *place)
{
    return QYI_LIKELY(place->block < place->interior->block_count);
}

/* The start of the block. */
QYI_INLINE void *qyi_place_start(const struct qyi_place *place)
{
    return (char *)qyi_region.base + place->slab +
           (size_t)place->block * place->interior->bytes; /* NOLINT(performance-no-int-to-ptr) */
}

/*
 * At the start of the room of every granule of a slab that has cells: what finds a block's cell. It stands beside the cells and
 * not in a table of classes, so that it can be loaded at once and not only when the entry has arrived: between two atomic
 * instructions, it is the length of that chain that counts (retain plus release: 18.7 ns with the table, DESIGN's bare pair 11.5).
 */
struct qyi_counts {
    uint64_t start;      /* the slab's offset in the region */
    uint64_t reciprocal; /* of the class, see struct qyi_interior; as wide as what it is multiplied with */
    uint64_t cell_bytes; /* from one cell to the next */
    char *cells;         /* the slab's first */
    uint32_t block_bytes;
    uint32_t block_count;
    _Atomic uint32_t shareable; /* block_count when all granules of the slab have the counted flag; 0 before */
};

static_assert(sizeof(struct qyi_counts) <= QYI_CACHE_LINE, "the cells begin at the next line");

/* Granule is the one that the pointer points into. */
QYI_INLINE struct qyi_counts *qyi_counts_at(size_t granule)
{
    return (struct qyi_counts *)qyi_granule_cells(granule);
}

/* Write what finds the cells of a slab, into all of its granules; they can be accessed. Nothing is shareable yet. */
void qyi_counts_set(uint32_t first, unsigned class);

/* All granules of the slab have the counted flag: its blocks may be shared. */
void qyi_counts_open(uint32_t first, unsigned class);

/* That has been done. The first granule has the counted flag. */
bool qyi_counts_are_open(uint32_t first, unsigned class);

/* Where a pointer into a slab that has cells points to. */
struct qyi_counted {
    const struct qyi_counts *counts;
    uint64_t bytes; /* from the slab's start */
    uint64_t block; /* the block's number */
};

/* offset is the pointer's in the region. False: it is in none of so many blocks. */
QYI_INLINE bool qyi_counted_find(struct qyi_counted *counted, const struct qyi_counts *counts, size_t offset,
                                 uint32_t blocks)
{
    counted->counts = counts;
    counted->bytes = offset - counts->start;
    counted->block = counted->bytes * counts->reciprocal >> QYI_RECIPROCAL_SHIFT;
    return QYI_LIKELY(counted->block < blocks);
}

/* The pointer at offset is in a block; its granule has the counted flag. */
QYI_INLINE bool qyi_counted_at(struct qyi_counted *counted, size_t offset)
{
    const struct qyi_counts *counts = qyi_counts_at(offset >> QYI_GRANULE_SHIFT);
    return qyi_counted_find(counted, counts, offset, counts->block_count);
}

/* The same for who wants to add a reference; false also if the block is not shareable yet. */
QYI_INLINE bool qyi_counted_to_share(struct qyi_counted *counted, size_t offset)
{
    const struct qyi_counts *counts = qyi_counts_at(offset >> QYI_GRANULE_SHIFT);
    /* acquire: pairs with C0, so that whoever gets the new reference from us finds the flag in every granule */
    return qyi_counted_find(counted, counts, offset, atomic_load_explicit(&counts->shareable, memory_order_acquire));
}

QYI_INLINE struct qyi_cell *qyi_counted_cell(const struct qyi_counted *counted)
{
    return (struct qyi_cell *)(counted->counts->cells + counted->block * counted->counts->cell_bytes);
}

/* The cell of the block around p; NULL if p is in none. p's granule has the counted flag. */
QYI_INLINE struct qyi_cell *qyi_cell_of(const void *p)
{
    struct qyi_counted counted;
    return qyi_counted_at(&counted, qyi_region_offset(p)) ? qyi_counted_cell(&counted) : NULL;
}

/* False: there would be more than QYI_COUNT_MAX references. */
QYI_INLINE bool qyi_count_add(struct qyi_cell *cell, uint32_t count)
{
    if (QYI_LIKELY(__libc_single_threaded)) { /* likely: the others wait for the atomic instruction, not for a jump */
        uint32_t *extra = (uint32_t *)&cell->extra;
        *extra += count;
        return QYI_LIKELY(count <= QYI_COUNT_MAX && *extra <= QYI_COUNT_MAX);
    }
    const uint32_t old = atomic_fetch_add_explicit(&cell->extra, count, memory_order_relaxed); /* C1 */
    return QYI_LIKELY(old <= QYI_COUNT_MAX && count <= QYI_COUNT_MAX - old);
}

enum qyi_dropped {
    QYI_DROPPED,      /* others have references left */
    QYI_DROPPED_LAST, /* the cell is 0 again, and the block the caller's to free */
    QYI_DROPPED_MORE  /* than there were */
};

/* count is at least 1. */
QYI_INLINE enum qyi_dropped qyi_count_drop(struct qyi_cell *cell, uint32_t count)
{
    /* C2. acquire: pairs with the release of those who have dropped theirs */
    uint32_t old = atomic_load_explicit(&cell->extra, memory_order_acquire);
    if (old == count - 1) {
        if (count != 1)
            atomic_store_explicit(&cell->extra, 0, memory_order_relaxed); /* all references are the caller's */
        return QYI_DROPPED_LAST;
    }
    if (QYI_LIKELY(__libc_single_threaded))
        atomic_store_explicit(&cell->extra, old - count, memory_order_relaxed);
    else /* C3. release: pairs with the acquire in C2 and C4; acquire: C4 */
        old = atomic_fetch_sub_explicit(&cell->extra, count, memory_order_acq_rel);
    /* not just old >= count: it is "-1" between C3 and C4 of another */
    if (QYI_LIKELY(old - count <= QYI_COUNT_MAX))
        return QYI_DROPPED;
    if (QYI_UNLIKELY(old != count - 1))
        return QYI_DROPPED_MORE;
    atomic_store_explicit(&cell->extra, 0, memory_order_relaxed); /* C4 */
    return QYI_DROPPED_LAST;
}

#endif

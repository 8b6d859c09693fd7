/*
 * region.h: the one address range that holds every block, handed out in granules. Layer 2.
 *
 *     base                                                                                payload
 *      | zeros | entries | gap | records | gap | bitmaps | gap | cells | gap | frames | gap | metadata | gap |
 *        granule | granule | ... | frontier ... end
 *
 * Everything is found by index: granule number = (p - base) >> 15. The tables come first, so the address of the entries
 * is the base itself.
 *
 * An entry describes a granule, in one word that free reads and compares with its heap's key:
 *
 *      63        44 43     28 27    24 23         13 12        5 4   0
 *     | owner id   | sampled | flags  | offset in run | class    |  0  |
 *
 * sampled: of a slab, which hashes blocks in the heap profile have (qyi_slab_sampled_bit). offset in run: granules since the
 * start of the run (saturating: hop until 0). The class stands five bits up so that it comes out multiplied by the size of a
 * magazine. A free granule's entry is 0.
 */
#ifndef QYI_REGION_H
#define QYI_REGION_H

#include "base.h"
#include "lock.h"
#include "sizeclass.h"

enum {
    QYI_FRAME_SHIFT = 21, /* a huge page */
    QYI_FRAME_BYTES = 1 << QYI_FRAME_SHIFT,
    QYI_FRAME_GRANULES = QYI_FRAME_BYTES / QYI_GRANULE_BYTES, /* 64: a frame's granules are the bits of a word */

    QYI_ENTRY_CLASS_SHIFT = 5,
    QYI_ENTRY_OFFSET_SHIFT = 13,
    QYI_ENTRY_FLAGS_SHIFT = 24,
    QYI_ENTRY_SAMPLED_SHIFT = 28,
    QYI_ENTRY_OWNER_SHIFT = 44,
    QYI_ENTRY_OFFSET_MAX = (1 << (QYI_ENTRY_FLAGS_SHIFT - QYI_ENTRY_OFFSET_SHIFT)) - 1,
    QYI_ENTRY_SAMPLED_BITS = QYI_ENTRY_OWNER_SHIFT - QYI_ENTRY_SAMPLED_SHIFT,
};

#define QYI_ENTRY_LARGE ((uint64_t)1 << QYI_ENTRY_FLAGS_SHIFT)   /* a run that holds a single block */
#define QYI_ENTRY_COUNTED ((uint64_t)2 << QYI_ENTRY_FLAGS_SHIFT) /* a slab some of whose blocks have been retained */
#define QYI_ENTRY_POOLED ((uint64_t)4 << QYI_ENTRY_FLAGS_SHIFT)  /* buffers of a pool, see pooled.h; counted too */
#define QYI_ENTRY_TRACKED \
    ((uint64_t)8 << QYI_ENTRY_FLAGS_SHIFT) /* a counted slab, for the slow paths alone: see track.h */
#define QYI_ENTRY_SAMPLED                          \
    ((((uint64_t)1 << QYI_ENTRY_SAMPLED_BITS) - 1) \
     << QYI_ENTRY_SAMPLED_SHIFT) /* of a slab some of whose blocks are in the heap profile: see qyi_slab_sampled_bit */
#define QYI_ENTRY_HAS_CELLS (QYI_ENTRY_COUNTED | QYI_ENTRY_TRACKED)
#define QYI_ENTRY_SLAB_FLAGS (QYI_ENTRY_HAS_CELLS | QYI_ENTRY_SAMPLED) /* what an ordinary slab may have */
/* entry ^ key is below: ours, nothing unusual, and so the class alone, since a thread's own slabs are of one granule */
#define QYI_ENTRY_PLAIN_LIMIT ((uint64_t)1 << QYI_ENTRY_OFFSET_SHIFT)
#define QYI_ENTRY_OWNERS_MAX ((uint32_t)1 << (64 - QYI_ENTRY_OWNER_SHIFT))

/*
 * Beside its entry, a granule has a record of two cache lines and room for two bitmaps, whose contents the layers above
 * define. For a free granule both are all zero, except that a record may hold anything in its first line. They are
 * given back with the granule's frame.
 */
/* The base is followed by so many zeros, and these by the entries. */
enum { QYI_ZEROS_BYTES = 4096 };

/* As many that nobody writes: the region before the start, and the magazines of a thread that has none. */
extern QYI_HIDDEN char qyi_zeros[QYI_ZEROS_BYTES];

enum { QYI_RECORD_BYTES = 2 * QYI_CACHE_LINE, QYI_BITMAP_BYTES = 512 };

/* Room for reference counts, accessible when somebody needs it first, and purged like records: a line for what finds them, which may
 * hold anything, and 10 KiB of cells, all zero for a free granule. Equal blocks of many slabs are in different sets of the L1 cache. */
enum { QYI_CELLS_BYTES = (10 << 10) + QYI_CACHE_LINE };

struct qyi_region {
    /* constant once set; read without synchronisation: that happens before there is a second thread, for which malloc
     * is needed */
    uintptr_t base; /* before the start, of some zeros */
    size_t bytes;   /* of the whole range; every entry of it can be read */
    char *records;
    char *bitmaps;
    char *cells;
    uint32_t first; /* number of the first payload granule */
    /* written under the region lock; any thread may read it */
    _Atomic uint32_t end; /* number of the granule at the frontier */
};

extern QYI_HIDDEN struct qyi_region qyi_region;

/* What region.c keeps for itself: spans, frames, counters. */
extern QYI_HIDDEN const struct qyi_extent qyi_region_extent;

/* Reserve the address range and lay it out. Called once; false when not even the smallest range can be had. */
bool qyi_region_init(void);

QYI_INLINE size_t qyi_region_offset(const void *p)
{
    return (uintptr_t)p - qyi_region.base;
}

/* True for addresses of the region, whose entry can be read. False for all before the start. */
QYI_INLINE bool qyi_region_has(size_t offset)
{
    return offset < qyi_region.bytes;
}

QYI_INLINE _Atomic uint64_t *qyi_entry_at(size_t granule)
{
    return (_Atomic uint64_t *)(qyi_region.base + QYI_ZEROS_BYTES) + granule; /* NOLINT(performance-no-int-to-ptr) */
}

/* Acquire: what was written for the granule before its entry got a flag is there too. */
QYI_INLINE uint64_t qyi_entry_acquire(size_t granule)
{
    return atomic_load_explicit(qyi_entry_at(granule), memory_order_acquire);
}

/*
 * Relaxed: a thread that holds a pointer into a run got it, through whatever synchronisation the program uses, after
 * the entry was written.
 */
QYI_INLINE uint64_t qyi_entry(size_t granule)
{
    return atomic_load_explicit(qyi_entry_at(granule), memory_order_relaxed);
}

QYI_INLINE uint32_t qyi_entry_offset(uint64_t entry)
{
    return (uint32_t)(entry >> QYI_ENTRY_OFFSET_SHIFT) & QYI_ENTRY_OFFSET_MAX;
}

QYI_INLINE unsigned qyi_entry_class(uint64_t entry)
{
    return (unsigned)(entry >> QYI_ENTRY_CLASS_SHIFT) & 0xff;
}

QYI_INLINE uint32_t qyi_entry_owner(uint64_t entry)
{
    return (uint32_t)(entry >> QYI_ENTRY_OWNER_SHIFT);
}

static_assert((int)QYI_ENTRY_OFFSET_SHIFT <= (int)QYI_GRANULE_SHIFT, "an entry's offset is shifted up to bytes");

/* Bytes from the start of a slab to p, whose granule has this entry. */
QYI_INLINE uint32_t qyi_entry_bytes(uint64_t entry, const void *p)
{
    /* qyi_entry_offset(entry) << QYI_GRANULE_SHIFT, with one shift */
    const uint32_t before = ((uint32_t)entry & (QYI_ENTRY_OFFSET_MAX << QYI_ENTRY_OFFSET_SHIFT))
                            << (QYI_GRANULE_SHIFT - QYI_ENTRY_OFFSET_SHIFT);
    return (uint32_t)(qyi_region_offset(p) % QYI_GRANULE_BYTES) + before;
}

/* Of a slab, and without any flag. */
QYI_INLINE bool qyi_entry_is_plain(uint64_t entry)
{
    const uint64_t flags = QYI_ENTRY_LARGE | QYI_ENTRY_POOLED | QYI_ENTRY_SLAB_FLAGS;
    return (entry & flags) == 0 && qyi_entry_owner(entry) != 0;
}

/* The same but for blocks that came into the heap profile or went. */
QYI_INLINE bool qyi_entry_is(uint64_t entry, uint64_t before)
{
    return ((entry ^ before) & ~QYI_ENTRY_SAMPLED) == 0;
}

/* The first granule of the run that granule belongs to; granule's entry is not 0. */
uint32_t qyi_run_first(uint32_t granule);

QYI_INLINE char *qyi_granule_address(uint32_t granule)
{
    return (char *)qyi_region.base + ((size_t)granule << QYI_GRANULE_SHIFT); /* NOLINT(performance-no-int-to-ptr) */
}

QYI_INLINE void *qyi_granule_record(uint32_t granule)
{
    return qyi_region.records + (size_t)granule * QYI_RECORD_BYTES;
}

QYI_INLINE void *qyi_granule_bitmaps(uint32_t granule)
{
    return qyi_region.bitmaps + (size_t)granule * QYI_BITMAP_BYTES;
}

/* Accessible if the granule's entry has the counted flag. */
QYI_INLINE char *qyi_granule_cells(size_t granule)
{
    return qyi_region.cells + granule * QYI_CELLS_BYTES;
}

/* Make the cells of a run accessible, for good. False: out of memory. Takes the region lock. */
bool qyi_region_reach_cells(uint32_t first, size_t granules);

QYI_INLINE uint32_t qyi_record_granule(const void *record)
{
    return (uint32_t)((size_t)((const char *)record - qyi_region.records) / QYI_RECORD_BYTES);
}

/*
 * Take a run of granules, the first aligned to align granules (a power of two; counted in addresses, not in numbers).
 * The entries become entry plus the offset in the run. Returns the first granule, or 0 when the region is full or the
 * system refuses. *zeroed: the memory reads as zero.
 */
uint32_t qyi_run_take(size_t granules, size_t align, uint64_t entry, bool *zeroed);

/* Give a run, or its tail, back. The caller has the only use of it. */
void qyi_run_give(uint32_t first, size_t granules);

/* Give a large block's run back. False: somebody has done so meanwhile. */
bool qyi_run_give_large(uint32_t first, size_t granules);

/* Take the granules that follow a run, in place. False when they are not free. *zeroed as above, for the new part. */
bool qyi_run_extend(uint32_t first, size_t granules, size_t more, bool *zeroed);

/* Change the entries of a whole run (a slab gets another owner). Any thread may be reading them. */
void qyi_run_set_entries(uint32_t first, size_t granules, uint64_t entry);

/*
 * Give free memory back to the system: what has been free for age_ms at least, whole frames first. Returns the bytes
 * given back. Takes the region lock for short times only.
 */
size_t qyi_region_purge(uint64_t now_ms, uint64_t age_ms);

/* Purge without waiting what is dirty beyond a share of what is in use. Takes the region lock for short times only. */
void qyi_region_limit_dirty(uint64_t now_ms);

/* Of the frame that starts at this granule: a bit for each granule that is free and not resident. Takes the region lock. */
uint64_t qyi_region_clean(uint32_t first);

/* Bytes of free memory that may be resident. */
size_t qyi_region_dirty(void);

struct qyi_region_totals {
    size_t payload;  /* accessible payload bytes */
    size_t used;     /* in runs */
    size_t dirty;    /* free, not yet given back */
    size_t clean;    /* free, not resident */
    size_t tables;   /* entries, records, bitmaps and frames, accessible */
    uint64_t purges; /* calls that gave memory back, and their bytes since start */
    uint64_t purged_bytes;
};

void qyi_region_totals(struct qyi_region_totals *totals);

/* Bytes of payload and tables that have pages at this moment; 0 when the system does not say. Takes as long as there is
 * memory to look at. */
size_t qyi_region_resident(void);

/* The calling thread holds the region lock. */
bool qyi_region_is_mine(void);

/* The options are known now: apply the huge page policy to what is accessible already. */
void qyi_region_advise(void);

/* The process now has, or no longer wants, room for a reservation: address space is limited from here on. */
void qyi_region_unreserve(void);

/* In a forked child: true when the frames had to be rebuilt from the entries. */
bool qyi_region_after_fork(void);

/* Debug builds: abort unless frames, lists and entries agree. */
void qyi_region_validate(void);

#endif

/*
 * slab.h: a run of granules cut into equal blocks. Layer 3.
 *
 *     block   0 1 2 3 4 5 6 7 8 9 ...
 *     free    1 0 0 1 0 0 0 - - -        set: the block can be handed out
 *     remote  0 0 1 0 0 0 0 - - -        set: another thread has freed it, and the owner does not know yet
 *                           ^ carved     blocks from here on have never been handed out
 *
 * A live block, or one in a magazine, has neither bit.
 *
 * A slab belongs to one heap at a time. Its record and its free bitmap are the owner's, under that heap's lock; the
 * remote part is everybody's, and has cache lines of its own.
 */
#ifndef QYI_SLAB_H
#define QYI_SLAB_H

#include "base.h"
#include "region.h"
#include "sizeclass.h"

enum {
    QYI_WORDS_INLINE =
        4, /* slabs of so few bitmap words (blocks of 256 bytes and more) need nothing beyond their record */
    QYI_WORDS_MAX = QYI_SLAB_BLOCKS_MAX / 64,
};

/* The record of a slab's first granule. */
struct qyi_slab {
    /* constant while the slab lives; any thread */
    uint8_t class;
    /* the owner, under its heap's lock */
    bool listed; /* in its heap's list of slabs with blocks to give */
    uint16_t carved;
    uint16_t free_count; /* bits set in free */
    int32_t unannounced; /* remote frees whose bits were seen before their announcement, see slab.c */
    uint32_t next, prev; /* in that list: first granules */
    uint64_t words;      /* bit w: free[w] may be non-zero */
    uint64_t free_inline[QYI_WORDS_INLINE];
    /* any thread */
    QYI_LINE_ALIGNED _Atomic uint32_t
        pending; /* blocks announced since the owner last looked; from 0 to more: goes on the notify list */
    _Atomic uint32_t notify_next; /* first granule of the next slab on the notify list */
    _Atomic uint64_t remote_inline[QYI_WORDS_INLINE];
    /* under the owner's heap's lock: blocks in the heap profile, by qyi_slab_sampled_hash; from the highest on they are not counted any
     * more. The entries say which are not 0 */
    uint8_t sampled[QYI_ENTRY_SAMPLED_BITS];
};

static_assert(sizeof(struct qyi_slab) <= QYI_RECORD_BYTES, "a slab's record is a granule's record");
static_assert(offsetof(struct qyi_slab, pending) == QYI_CACHE_LINE, "the owner's line and the others'");
static_assert(2 * QYI_WORDS_MAX * sizeof(uint64_t) <= QYI_BITMAP_BYTES, "both bitmaps of the smallest blocks");
static_assert(QYI_WORDS_MAX <= 64, "a bit of words per word of free");

QYI_INLINE struct qyi_slab *qyi_slab_at(uint32_t granule)
{
    return qyi_granule_record(granule);
}

/* Below QYI_ENTRY_SAMPLED_BITS. */
QYI_INLINE unsigned qyi_slab_sampled_hash(const void *p)
{
    static_assert(QYI_ENTRY_SAMPLED_BITS == 16, "four bits");
    return (unsigned)((uintptr_t)p * 0x9e3779b97f4a7c15 >> 60);
}

/* The bit of the slab's entries that is missing if the block is certainly not in the heap profile. */
QYI_INLINE uint64_t qyi_slab_sampled_bit(const void *p)
{
    return (uint64_t)1 << QYI_ENTRY_SAMPLED_SHIFT << qyi_slab_sampled_hash(p);
}

QYI_INLINE uint64_t qyi_owner_key(uint32_t owner)
{
    return (uint64_t)owner << QYI_ENTRY_OWNER_SHIFT;
}

/* The entry of the slabs of a heap and class, but for flags and the place in the run. */
QYI_INLINE uint64_t qyi_slab_entry(uint32_t owner, unsigned class)
{
    return qyi_owner_key(owner) | (uint64_t)class << QYI_ENTRY_CLASS_SHIFT;
}

QYI_INLINE uint32_t qyi_slab_granule(const struct qyi_slab *slab)
{
    return qyi_record_granule(slab);
}

/* The block of a slab that p points to: its number is >= carved if p is not the start of a block that was ever handed
 * out. */
QYI_INLINE uint32_t qyi_slab_block(const struct qyi_slab *slab, const void *p)
{
    const size_t offset = qyi_region_offset(p) - ((size_t)qyi_slab_granule(slab) << QYI_GRANULE_SHIFT);
    return qyi_block_number(&qyi_classes[slab->class], (uint32_t)offset);
}

/* The two bitmaps: in the record, or in the room beside it, on cache lines of their own. */
QYI_INLINE bool qyi_slab_is_inline(unsigned class)
{
    return qyi_classes[class].block_count <= QYI_WORDS_INLINE * 64;
}

QYI_INLINE uint64_t *qyi_slab_free_words(struct qyi_slab *slab)
{
    return qyi_slab_is_inline(slab->class) ? slab->free_inline : qyi_granule_bitmaps(qyi_slab_granule(slab));
}

/* The remote bitmap of a slab that has it not in its record. */
QYI_INLINE _Atomic uint64_t *qyi_slab_outer_remote(uint32_t granule)
{
    return (_Atomic uint64_t *)qyi_granule_bitmaps(granule) + QYI_WORDS_MAX;
}

/* A new slab of a class for the heap with this id, or NULL. Takes the region lock. */
struct qyi_slab *qyi_slab_new(unsigned class, uint32_t owner);

/* All blocks are free, qyi_slab_is_empty says so, and qyi_slab_is_posted that nothing is posted. */
void qyi_slab_delete(struct qyi_slab *slab);

/*
 * Take up to count blocks. The lowest address goes to top[-1], the next to top[-2] and so on, so that popping from the
 * top walks upwards through memory. Returns how many.
 */
unsigned qyi_slab_take(struct qyi_slab *slab, void **top, unsigned count);

/* Set the free bits of count blocks from first on. False: block *twice was free already. */
bool qyi_slab_put(struct qyi_slab *slab, uint32_t first, uint32_t count, uint32_t *twice);

/* Set the free bit of one block, among the slab's free words. False: it was free already. */
QYI_INLINE bool qyi_slab_put_one(struct qyi_slab *slab, uint64_t *free, uint32_t number)
{
    uint64_t *word = &free[number / 64];
    const uint64_t bit = (uint64_t)1 << number % 64;
    if (QYI_UNLIKELY((*word & bit) != 0))
        return false;
    *word |= bit;
    slab->words |= (uint64_t)1 << number / 64;
    slab->free_count++;
    return true;
}

QYI_INLINE unsigned qyi_slab_available(const struct qyi_slab *slab)
{
    return slab->free_count + (qyi_classes[slab->class].block_count - slab->carved);
}

/* No block is in use, and no other thread is still on its way to announce one. */
QYI_INLINE bool qyi_slab_is_empty(const struct qyi_slab *slab)
{
    return slab->free_count == slab->carved && slab->unannounced == 0;
}

enum qyi_posted {
    QYI_POSTED,             /* done */
    QYI_POSTED_FIRST,       /* done; the caller puts the slab on its owner's notify list */
    QYI_POSTED_FREE_ALREADY /* one of the blocks had been freed */
};

/*
 * Any thread: the blocks of one bitmap word, of a slab of this class at this first granule, are free now. *twice: those that had been freed
 * already. Touches only what is everybody's: the owner changes its own line all the time.
 */
enum qyi_posted qyi_slab_post(uint32_t granule, unsigned class, unsigned word, uint64_t bits, uint64_t *twice);

/* Any thread: it is going to post there soon. */
QYI_INLINE void qyi_slab_prefetch_post(uint32_t granule, unsigned class, unsigned word)
{
    qyi_prefetch_to_write(&qyi_slab_at(granule)->pending);
    if (!qyi_slab_is_inline(class))
        qyi_prefetch_to_write(qyi_slab_outer_remote(granule) + word);
}

/*
 * Blocks that others have freed and the owner has not collected, of a slab of this class; a guess unless the owner and
 * all others stand still. Reads only what is everybody's, so that it can be asked without the owner's lock, even of a
 * slab that has just gone.
 */
unsigned qyi_slab_uncollected(uint32_t granule, unsigned class);

/* Blocks have been posted that the owner has not collected; *block is the first. */
bool qyi_slab_is_posted(struct qyi_slab *slab, uint32_t *block);

/*
 * The owner, having taken the slab off the notify list: move remote bits to free. False: block *wrong was free already or, from carved
 * on, has never been handed out.
 */
bool qyi_slab_collect(struct qyi_slab *slab, uint32_t *wrong);

/* Debug builds: abort unless counts and bitmaps agree. */
void qyi_slab_validate(struct qyi_slab *slab);

#endif

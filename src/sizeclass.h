/*
 * sizeclass.h: block sizes and the arithmetic of slabs. Layer 1, pure.
 *
 * Classes are 16, 32, ... 128 bytes, then eight per doubling up to 64 KiB:
 *
 *     144 160 176 192 208 224 240 256   288 320 ... 512   ...   40960 ... 65536
 *
 * so beyond 128 bytes a block is at most 12.5 % larger than what was asked for. Every class is a multiple of 16; a
 * class that is a multiple of 2^k (up to the granule) has blocks aligned to 2^k, since slabs start at a granule.
 */
#ifndef QYI_SIZECLASS_H
#define QYI_SIZECLASS_H

#include "base.h"

enum {
    QYI_GRANULE_SHIFT = 15,
    QYI_GRANULE_BYTES = 1 << QYI_GRANULE_SHIFT,

    QYI_STEP_BYTES = 16,  /* the finest distance of classes, and the least alignment */
    QYI_FINE_BYTES = 128, /* up to here a class every QYI_STEP_BYTES */
    QYI_FINE_LOG2 = 7,
    QYI_FINE_COUNT = QYI_FINE_BYTES / QYI_STEP_BYTES,
    QYI_PER_DOUBLING_LOG2 = 3, /* from there eight classes per doubling */
    QYI_SMALL_LOG2 = 16,
    QYI_SMALL_BYTES = 1 << QYI_SMALL_LOG2, /* largest block that lives in a slab */
    QYI_CLASS_COUNT = QYI_FINE_COUNT + ((QYI_SMALL_LOG2 - QYI_FINE_LOG2) << QYI_PER_DOUBLING_LOG2),

    /*
     * Slabs of larger blocks belong to the common heap, for all threads: a slab a class and thread would be a lot of
     * memory for blocks that are rarely allocated, and the user spends more time on such a block than its way through a
     * lock takes.
     */
    QYI_OWN_LOG2 = 10,
    QYI_OWN_CLASS_COUNT = QYI_FINE_COUNT + ((QYI_OWN_LOG2 - QYI_FINE_LOG2) << QYI_PER_DOUBLING_LOG2),

    QYI_SLAB_BLOCKS_MAX = QYI_GRANULE_BYTES / QYI_STEP_BYTES, /* 2048 */
    QYI_SLAB_LEFT_OVER_SHARE = 4, /* at most a fourth of a slab is left over behind its last block */
};

static_assert(QYI_CLASS_COUNT <= 256, "a class number is a byte");

struct qyi_class {
    uint32_t bytes;        /* size of a block */
    uint32_t inverse;      /* of bytes >> shift, modulo 2^32 */
    uint16_t block_count;  /* blocks in a slab */
    uint16_t slots_first;  /* of a magazine when it is first used */
    uint16_t slots_max;    /* of the largest magazine */
    uint16_t refill_max;   /* blocks that a refill asks for, at most */
    uint8_t shift;         /* trailing zero bits of bytes */
    uint8_t granule_count; /* granules in a slab */
};

extern QYI_HIDDEN struct qyi_class qyi_classes[QYI_CLASS_COUNT];

/*
 * What finds a block from an interior pointer, and a block's size where a magazine is found too. Apart, so that the table that every flush reads stays
 * small; and 32 bytes, so that an entry's class, which stands five bits up, is an offset into it.
 */
struct qyi_interior {
    uint32_t reciprocal; /* ceil(2^35 / bytes) */
    uint32_t bytes;
    uint32_t block_count;
    uint32_t inverse; /* as in struct qyi_class, and shift */
    uint32_t shift;
    uint32_t unused[3];
};

enum { QYI_RECIPROCAL_SHIFT = 35 };
extern QYI_HIDDEN struct qyi_interior qyi_interiors[QYI_CLASS_COUNT];

void qyi_sizeclass_init(void);

QYI_INLINE bool qyi_class_is_common(unsigned class)
{
    return class >= QYI_OWN_CLASS_COUNT;
}

/* The smallest class that holds bytes; bytes is at most QYI_SMALL_BYTES. */
QYI_INLINE unsigned qyi_class_of(size_t bytes)
{
    if (bytes <= QYI_FINE_BYTES)
        return (unsigned)((bytes + (bytes == 0) - 1) / QYI_STEP_BYTES);
    const size_t last = bytes - 1;
    const unsigned log2 = qyi_log2(last);
    const unsigned step = (unsigned)(last >> (log2 - QYI_PER_DOUBLING_LOG2)) & ((1u << QYI_PER_DOUBLING_LOG2) - 1);
    return QYI_FINE_COUNT + ((log2 - QYI_FINE_LOG2) << QYI_PER_DOUBLING_LOG2) + step;
}

/*
 * The number of the block that starts offset bytes into a slab, or a number that is at least block_count when no block
 * starts there. Exact division by multiplication with the modular inverse: Granlund and Montgomery, "Division by
 * Invariant Integers using Multiplication" (1994), section 9; the rotation brings the remainder of the power of two to
 * the top.
 */
QYI_INLINE uint32_t qyi_block_number(const struct qyi_class *class, uint32_t offset)
{
    const uint32_t product = offset * class->inverse;
    return product >> class->shift | product << (-class->shift & 31);
}

/*
 * The number of the block that holds the byte offset bytes into a slab; at least block_count in the unused rest.
 * Exact, because the reciprocal is too large by less than bytes / 2^35, bytes is at most 2^16, and offset less than 2^18.
 */
QYI_INLINE uint32_t qyi_block_around(const struct qyi_interior *interior, uint32_t offset)
{
    return (uint32_t)((uint64_t)offset * interior->reciprocal >> QYI_RECIPROCAL_SHIFT);
}

/* A block starts offset bytes into a slab: see qyi_block_number. */
QYI_INLINE bool qyi_block_starts(const struct qyi_interior *interior, uint32_t offset)
{
    const uint32_t product = offset * interior->inverse;
    return (product >> interior->shift | product << (-interior->shift & 31)) < interior->block_count;
}

#endif

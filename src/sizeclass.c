/*
 * sizeclass.c: the table of size classes, computed at start. Layer 1.
 */
#include "sizeclass.h"

/*
 * Bounds of magazines. The largest is enough for 2047 blocks of 64 bytes, and little enough for a thread to keep; beyond
 * that size, room shrinks with the square of it, since there is more work to do on a larger block than to refill a magazine
 * with it. A refill asks for less: what is taken from slabs and then freed elsewhere is memory in circulation, and with
 * many threads and classes it adds up (8 threads that swap blocks: 28 MiB resident where now it is 12). Of the largest blocks, a few
 * slots spare their slabs coming and going; what they hold together has a bound of its own.
 */
static const size_t FIRST_BYTES = 8 << 10, REFILL_BYTES = 4 << 10;
static const size_t LEAST_SLOTS = 3, FIRST_SLOTS = 15, MOST_SLOTS = 2047; /* blocks */
static const size_t MOST_SLOTS_UP_TO = 64;

static size_t slots_max(size_t bytes)
{
    return (MOST_SLOTS + 1) * MOST_SLOTS_UP_TO * MOST_SLOTS_UP_TO / (bytes * bytes);
}

struct qyi_class qyi_classes[QYI_CLASS_COUNT];
struct qyi_interior qyi_interiors[QYI_CLASS_COUNT];

static uint32_t class_bytes(unsigned number)
{
    if (number < QYI_FINE_COUNT)
        return (number + 1) * QYI_STEP_BYTES;
    const unsigned beyond = number - QYI_FINE_COUNT;
    const unsigned per_doubling = 1u << QYI_PER_DOUBLING_LOG2;
    const unsigned log2 = QYI_FINE_LOG2 + beyond / per_doubling;
    return (per_doubling + beyond % per_doubling + 1) << (log2 - QYI_PER_DOUBLING_LOG2);
}

/* Newton's iteration: every step doubles the number of correct low bits; an odd number is its own inverse modulo 8. */
static uint32_t inverse_of_odd(uint32_t odd)
{
    uint32_t inverse = odd;
    for (unsigned bits = 3; bits < 32; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

static size_t within(size_t least, size_t n, size_t most)
{
    return qyi_max(least, qyi_min(n, most));
}

/*
 * The smallest slab of which not too much is left over: one to three granules. Larger slabs would save a few more bytes, if they
 * were full; but blocks of more than some KiB are few and of many sizes, and their slabs mostly empty.
 */
static size_t slab_granules(size_t bytes)
{
    size_t granules = qyi_div_up(bytes, QYI_GRANULE_BYTES);
    while (granules * QYI_GRANULE_BYTES % bytes > granules * QYI_GRANULE_BYTES / QYI_SLAB_LEFT_OVER_SHARE)
        granules++;
    return granules;
}

void qyi_sizeclass_init(void)
{
    for (unsigned number = 0; number < QYI_CLASS_COUNT; number++) {
        struct qyi_class *class = &qyi_classes[number];
        class->bytes = class_bytes(number);
        class->shift = (uint8_t)qyi_ctz(class->bytes);
        class->inverse = inverse_of_odd(class->bytes >> class->shift);
        class->granule_count = (uint8_t)slab_granules(class->bytes);
        class->block_count = (uint16_t)((size_t)class->granule_count * QYI_GRANULE_BYTES / class->bytes);
        class->slots_first = (uint16_t)within(LEAST_SLOTS, FIRST_BYTES / class->bytes, FIRST_SLOTS);
        class->slots_max = (uint16_t)within(class->slots_first, slots_max(class->bytes), MOST_SLOTS);
        class->refill_max = (uint16_t)within(1, REFILL_BYTES / class->bytes, MOST_SLOTS);
        qyi_interiors[number] = (struct qyi_interior){
            .reciprocal = (uint32_t)qyi_div_up((size_t)1 << QYI_RECIPROCAL_SHIFT, class->bytes),
            .bytes = class->bytes,
            .block_count = class->block_count,
            .inverse = class->inverse,
            .shift = class->shift,
        };
    }
}

/*
 * count.c: where the reference counts of a slab lie. Layer 3.
 */
#include "count.h"

uint64_t qyi_count_flag = QYI_ENTRY_COUNTED;

void qyi_counts_set(uint32_t first, unsigned class)
{
    const struct qyi_interior *interior = &qyi_interiors[class];
    for (uint32_t i = 0; i < qyi_classes[class].granule_count; i++) {
        struct qyi_counts *counts = qyi_counts_at(first + i);
        /* relaxed: comes before the counted flag. An earlier slab may have left something else here. */
        atomic_store_explicit(&counts->shareable, 0, memory_order_relaxed);
        counts->reciprocal = interior->reciprocal;
        counts->start = (uint64_t)first << QYI_GRANULE_SHIFT;
        counts->block_count = interior->block_count;
        counts->cell_bytes = qyi_class_is_common(class) ? QYI_CELL_SPREAD_BYTES : QYI_CELL_DENSE_BYTES;
        counts->block_bytes = interior->bytes;
        counts->cells = (char *)qyi_counts_at(first) + QYI_CACHE_LINE;
    }
}

void qyi_counts_open(uint32_t first, unsigned class)
{
    for (uint32_t i = 0; i < qyi_classes[class].granule_count; i++) /* release: pairs with qyi_counted_to_share */
        atomic_store_explicit(&qyi_counts_at(first + i)->shareable, qyi_interiors[class].block_count,
                              memory_order_release);
}

bool qyi_counts_are_open(uint32_t first, unsigned class)
{
    const struct qyi_counts *last = qyi_counts_at(first + qyi_classes[class].granule_count - 1u);
    return atomic_load_explicit(&last->shareable, memory_order_relaxed) != 0; /* under the heap's lock */
}

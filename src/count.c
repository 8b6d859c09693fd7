/*
 * count.c: where the reference counts of a slab lie. Layer 3.
 */
#include "count.h"

uint64_t qyi_count_flag = QYI_ENTRY_COUNTED;

void qyi_counts_set(uint32_t first, unsigned class)
{
    const struct qyi_interior *interior = &qyi_interiors[class];
    for (uint32_t i = 0; i < qyi_classes[class].granule_count; i++) {
        *qyi_counts_at(first + i) = (struct qyi_counts){
            .reciprocal = interior->reciprocal,
            .before = i << QYI_GRANULE_SHIFT,
            .block_count = interior->block_count,
            .cell_shift = qyi_class_is_common(class) ? QYI_CELL_SPREAD_SHIFT : QYI_CELL_DENSE_SHIFT,
            .cells = (char *)qyi_counts_at(first) + QYI_CACHE_LINE,
        };
    }
}

/*
 * map.c: the heap as a picture: one character for a granule. Layer 6.
 *
 * Slabs lie within a frame, so a frame can be drawn by itself; of a longer run, every granule's entry says what it is.
 */
#include "map.h"

#include "look.h"

uint32_t qyi_map_frame_count(void)
{
    return (atomic_load_explicit(&qyi_region.end, memory_order_relaxed) - qyi_region.first) / QYI_FRAME_GRANULES;
}

static char slab_character(uint32_t granule, unsigned class)
{
    const size_t live = qyi_look_out(qyi_look_slab(granule, class));
    return (char)('0' + qyi_min(9, live * 10 / qyi_classes[class].block_count));
}

static char character(uint32_t granule, bool dirty)
{
    const uint64_t entry = qyi_entry(granule);
    if (entry == 0)
        return dirty ? '~' : '.';
    if ((entry & QYI_ENTRY_POOLED) != 0)
        return 'P';
    if ((entry & QYI_ENTRY_LARGE) != 0)
        return 'L';
    const uint32_t first = granule - qyi_entry_offset(entry);
    if (first < qyi_region.first || qyi_entry_class(entry) >= QYI_CLASS_COUNT)
        return ' ';
    return slab_character(first, qyi_entry_class(entry));
}

void qyi_map_frame(uint32_t frame, char *characters)
{
    const uint32_t first = qyi_region.first + frame * QYI_FRAME_GRANULES;
    const uint64_t clean = qyi_region_clean(first);
    for (uint32_t i = 0; i < QYI_FRAME_GRANULES; i++)
        characters[i] = character(first + i, (clean >> i & 1) == 0);
}

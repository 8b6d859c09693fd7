/*
 * root.c: where everything is, for whoever looks at a process from outside. Layer 6.
 *
 * Data, and no code that the process itself would run: the loader fills in the addresses with all others.
 */
#include "root.h"

#include "count.h"
#include "heap.h"
#include "heaps.h"
#include "history.h"
#include "large.h"
#include "magazine.h"
#include "meta.h"
#include "options.h"
#include "page.h"
#include "pool.h"
#include "region.h"
#include "sizeclass.h"
#include "slab.h"
#include "stats.h"

#include <string.h>

static const struct qyi_extent region = {&qyi_region, sizeof qyi_region};
static const struct qyi_extent common = {&qyi_common, sizeof(struct qyi_heap *)};
static const struct qyi_extent past_calls = {qyi_heap_past_calls, sizeof qyi_heap_past_calls};
static const struct qyi_extent past = {&qyi_heap_past, sizeof qyi_heap_past};
static const struct qyi_extent classes = {qyi_classes, sizeof qyi_classes};
static const struct qyi_extent options = {&qyi_options, sizeof qyi_options};
static const struct qyi_extent history = {&qyi_history, sizeof qyi_history};

const struct qyi_root qy_root = {
    .magic = QYI_ROOT_MAGIC,
    .version = QYI_ROOT_VERSION,
    .root_bytes = sizeof(struct qyi_root),
    .library_version = QY_VERSION,
    .part_count = QYI_ROOT_PART_COUNT,
    .region_bytes = sizeof(struct qyi_region),
    .heap_bytes = sizeof(struct qyi_heap),
    .magazines_bytes = sizeof(struct qyi_magazines),
    .magazine_bytes = sizeof(struct qyi_magazine),
    .slab_bytes = sizeof(struct qyi_slab),
    .large_bytes = sizeof(struct qyi_large),
    .counts_bytes = sizeof(struct qyi_counts),
    .pool_bytes = sizeof(struct qy_pool),
    .pool_cache_bytes = sizeof(struct qyi_pool_cache),
    .class_bytes = sizeof(struct qyi_class),
    .options_bytes = sizeof(struct qyi_options),
    .history_bytes = sizeof(struct qyi_history),
    .stats_bytes = sizeof(struct qyi_stats),
    .page_bytes = sizeof(struct qyi_page),
    .granule_shift = QYI_GRANULE_SHIFT,
    .frame_shift = QYI_FRAME_SHIFT,
    .class_count = QYI_CLASS_COUNT,
    .zeros_bytes = QYI_ZEROS_BYTES,
    .record_bytes = QYI_RECORD_BYTES,
    .bitmap_bytes = QYI_BITMAP_BYTES,
    .cells_bytes = QYI_CELLS_BYTES,
    .magazines_span_bytes = QYI_MAGAZINES_BYTES,
    .part =
        {
            [QYI_ROOT_REGION] = &region,
            [QYI_ROOT_REGION_STATE] = &qyi_region_extent,
            [QYI_ROOT_META] = &qyi_meta_extent,
            [QYI_ROOT_REGISTRY] = &qyi_registry_extent,
            [QYI_ROOT_COMMON] = &common,
            [QYI_ROOT_PAST_CALLS] = &past_calls,
            [QYI_ROOT_PAST] = &past,
            [QYI_ROOT_LARGE_CALLS] = &qyi_large_extent,
            [QYI_ROOT_CLASSES] = &classes,
            [QYI_ROOT_OPTIONS] = &options,
            [QYI_ROOT_HISTORY] = &history,
            [QYI_ROOT_POOLS] = &qyi_pools_extent,
        },
};

enum qyi_root_fit qyi_root_fits(const struct qyi_root *other, size_t bytes)
{
    const size_t head = offsetof(struct qyi_root, part_count);
    if (bytes < head || memcmp(other->magic, qy_root.magic, sizeof qy_root.magic) != 0)
        return QYI_ROOT_NONE;
    if (other->version != qy_root.version || other->library_version != qy_root.library_version)
        return QYI_ROOT_OTHER_VERSION;
    if (bytes < sizeof qy_root || memcmp(other, &qy_root, offsetof(struct qyi_root, part)) != 0)
        return QYI_ROOT_OTHER_LAYOUT;
    return QYI_ROOT_FITS;
}

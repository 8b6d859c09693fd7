/*
 * root.h: where everything is, for whoever looks at a process from outside. Layer 6.
 *
 *     qy_root  ->  part  ->  { start, bytes }  ->  a variable of ours
 *
 * A reader finds `qy_root` by its name in the dynamic symbol table of libquarry.so (or in the symbol table of a program that
 * libquarry.a is part of), and reads from there on: in a running process, in a stopped one, or in its core file. The parts are the
 * variables from which all that qyi_stats_collect looks at can be found. A reader built from the same sources has the same parts in
 * its own qy_root, so it can put copies of the other's where its own are: tables of the region are copied to the same addresses, or
 * moved there by changing the pointers in the parts. What such a reader has to see to:
 *
 *     locks         of the copies (region, meta, registry, every heap) may be held by threads that the reader does not have
 *     purges        under way have granules that are neither free nor in use
 *     pools         lie in blocks, as others' data does: qyi_pools_sum reads them one by one
 *
 * I1  qy_root is constant, and complete before the first instruction of the process: there is no time at which it lies.
 * I2  `version` changes with every change of meaning; what changes a size is found by the sizes.
 */
#ifndef QYI_ROOT_H
#define QYI_ROOT_H

#include "quarry/quarry.h"

#include "base.h"

enum {
    QYI_ROOT_VERSION = 3,
    QYI_ROOT_MAGIC_BYTES = 8,
};

#define QYI_ROOT_MAGIC "QUARRY\0"

enum qyi_root_part {
    QYI_ROOT_REGION,       /* struct qyi_region qyi_region */
    QYI_ROOT_REGION_STATE, /* region.c: spans, frames, counters */
    QYI_ROOT_META,         /* meta.c */
    QYI_ROOT_REGISTRY,     /* heaps.c: the heaps by id */
    QYI_ROOT_COMMON,       /* struct qyi_heap *qyi_common */
    QYI_ROOT_PAST_CALLS,   /* qyi_heap_past_calls */
    QYI_ROOT_PAST,         /* qyi_heap_past */
    QYI_ROOT_LARGE_CALLS,  /* large.c: a counter */
    QYI_ROOT_CLASSES,      /* qyi_classes; all zero before the first call */
    QYI_ROOT_OPTIONS,      /* qyi_options */
    QYI_ROOT_HISTORY,      /* struct qyi_history qyi_history */
    QYI_ROOT_POOLS,        /* pool_cache.c: the pools' registry; NULL in a program that has no pools linked */
    QYI_ROOT_PART_COUNT
};

struct qyi_root {
    char magic[QYI_ROOT_MAGIC_BYTES]; /* QYI_ROOT_MAGIC */
    uint32_t version;                 /* QYI_ROOT_VERSION */
    uint32_t root_bytes;              /* of this struct */
    uint32_t library_version;         /* QY_VERSION of the library */
    uint32_t part_count;
    /* sizes of structures */
    uint32_t region_bytes, heap_bytes, magazines_bytes, magazine_bytes, slab_bytes, large_bytes, counts_bytes;
    uint32_t pool_bytes, pool_cache_bytes, class_bytes, options_bytes, history_bytes, stats_bytes, page_bytes;
    /* constants that a reader has compiled in */
    uint32_t granule_shift, frame_shift, class_count, zeros_bytes, record_bytes, bitmap_bytes, cells_bytes;
    uint32_t magazines_span_bytes; /* QYI_MAGAZINES_BYTES */
    /* The parts; every size is checked too, by who copies them. */
    const struct qyi_extent *part[QYI_ROOT_PART_COUNT];
};

static_assert(offsetof(struct qyi_root, part) % sizeof(void *) == 0 &&
                  sizeof(struct qyi_root) == offsetof(struct qyi_root, part) + QYI_ROOT_PART_COUNT * sizeof(void *),
              "no padding");

extern __attribute__((visibility("default"))) const struct qyi_root qy_root;

enum qyi_root_fit {
    QYI_ROOT_FITS,
    QYI_ROOT_NONE,          /* no Quarry there: another magic */
    QYI_ROOT_OTHER_VERSION, /* of the structure, or of the library */
    QYI_ROOT_OTHER_LAYOUT,  /* the same versions, built otherwise */
};

/* Whether the other's root, of which the first bytes have been read, describes what this one does. */
enum qyi_root_fit qyi_root_fits(const struct qyi_root *other, size_t bytes);

#endif

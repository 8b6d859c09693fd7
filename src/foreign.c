/*
 * foreign.c: the registry of memory of another origin. Layer 6.
 *
 * I1  index[0 .. count) are the live ranges, sorted by address; they do not overlap.
 * I2  `all` links every record that was ever made; live says which are ranges now. Both change by single stores, so that a
 *     forked child can make the index anew when the fork caught another thread in here.
 */
#include "foreign.h"

#include "alloc.h"
#include "count.h"
#include "fatal.h"
#include "fork.h"
#include "lock.h"
#include "region.h"

#include <errno.h>
#include <string.h>

struct range {
    uintptr_t start;
    size_t bytes;
    uint32_t references;
    enum qyi_foreign_kind kind;
    bool live;
    qyi_foreign_release_fn *release;
    void *context;
    struct range *next_made;  /* in all */
    struct range *next_spare; /* of those that are not live */
};

enum { INDEX_FIRST = 16 };

static struct {
    struct qyi_lock lock;
    struct range *all, *spare;
    struct range **index;
    size_t count, room;
    bool hooked;
} registry;

/* ---- the index ---- */

/* The number of ranges that start at or before address. */
static size_t rank_of(uintptr_t address)
{
    size_t low = 0;
    size_t high = registry.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (registry.index[middle]->start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct range *range_around(uintptr_t address)
{
    const size_t rank = rank_of(address);
    struct range *range = rank == 0 ? NULL : registry.index[rank - 1];
    return range != NULL && address - range->start < range->bytes ? range : NULL;
}

/* The first range that has a byte of [start, start + bytes), or NULL. */
static struct range *overlapping(uintptr_t start, size_t bytes)
{
    struct range *around = range_around(start);
    if (around != NULL)
        return around;
    const size_t rank = rank_of(start);
    return rank < registry.count && registry.index[rank]->start - start < bytes ? registry.index[rank] : NULL;
}

static bool reserve_one(void)
{
    if (registry.count < registry.room)
        return true;
    const size_t room = registry.room == 0 ? INDEX_FIRST : 2 * registry.room;
    struct range **index = qyi_malloc(room * sizeof *index);
    if (index == NULL)
        return false;
    if (registry.count != 0)
        memcpy(index, registry.index, registry.count * sizeof *index);
    struct range **old = registry.index;
    registry.index = index;
    registry.room = room;
    qyi_free(old);
    return true;
}

/* There is room for one. */
static void index_insert(struct range *range)
{
    const size_t rank = rank_of(range->start);
    memmove(&registry.index[rank + 1], &registry.index[rank], (registry.count - rank) * sizeof(struct range *));
    registry.index[rank] = range;
    registry.count++;
}

static void index_remove(struct range *range)
{
    const size_t rank = rank_of(range->start) - 1;
    registry.count--;
    memmove(&registry.index[rank], &registry.index[rank + 1], (registry.count - rank) * sizeof(struct range *));
}

/* ---- records ---- */

static struct range *take_record(void)
{
    struct range *range = registry.spare;
    if (range != NULL) {
        registry.spare = range->next_spare;
        return range;
    }
    range = qyi_calloc(1, sizeof *range);
    if (range != NULL) {
        range->next_made = registry.all;
        registry.all = range;
    }
    return range;
}

static void remove_range(struct range *range)
{
    index_remove(range);
    range->live = false;
    range->next_spare = registry.spare;
    registry.spare = range;
}

/* In a forked child whose parent had a thread in here: I2. */
static void rebuild(void)
{
    registry.spare = NULL;
    registry.index = NULL;
    registry.count = registry.room = 0;
    for (struct range *range = registry.all; range != NULL; range = range->next_made) {
        if (range->live && reserve_one()) {
            index_insert(range);
        } else {
            range->live = false;
            range->next_spare = registry.spare;
            registry.spare = range;
        }
    }
}

static void in_child(void)
{
    if (qyi_lock_after_fork(&registry.lock))
        rebuild();
}

/* ---- the interface ---- */

/* All ranges that have a byte of [start, start + bytes) are static. */
static bool only_static_overlap(uintptr_t start, size_t bytes)
{
    for (size_t i = rank_of(start + bytes - 1); i > 0; i--) {
        const struct range *range = registry.index[i - 1];
        if (range->start + range->bytes <= start)
            break;
        if (range->kind != QYI_FOREIGN_STATIC)
            return false;
    }
    return true;
}

/* Static ranges that overlap the new one become part of it. */
static void join_static(struct range *range)
{
    for (struct range *other; (other = overlapping(range->start, range->bytes)) != NULL; remove_range(other)) {
        const uintptr_t end = qyi_max(range->start + range->bytes, other->start + other->bytes);
        range->start = qyi_min(range->start, other->start);
        range->bytes = end - range->start;
    }
}

static int add(struct range wanted)
{
    const struct range *there = overlapping(wanted.start, wanted.bytes);
    if (there != NULL && (wanted.kind != QYI_FOREIGN_STATIC || !only_static_overlap(wanted.start, wanted.bytes)))
        return EINVAL;
    if (there != NULL && there->start <= wanted.start && wanted.start + wanted.bytes <= there->start + there->bytes)
        return 0;
    struct range *range = reserve_one() ? take_record() : NULL;
    if (range == NULL)
        return ENOMEM;
    join_static(&wanted);
    wanted.next_made = range->next_made;
    *range = wanted;
    range->live = true;
    index_insert(range);
    return 0;
}

int qyi_foreign_add(void *p, size_t bytes, enum qyi_foreign_kind kind, qyi_foreign_release_fn *release, void *context)
{
    const uintptr_t start = (uintptr_t)p;
    const bool wraps = start + bytes < start;
    if (bytes == 0 || wraps || (start + bytes > qyi_region.base && start < qyi_region.base + qyi_region.bytes))
        return EINVAL;
    const struct range wanted = {
        .start = start, .bytes = bytes, .references = 1, .kind = kind, .release = release, .context = context};
    qyi_fork_check();
    qyi_lock(&registry.lock);
    if (!registry.hooked) {
        registry.hooked = true;
        qyi_fork_add_hook(in_child);
    }
    const int error = add(wanted);
    qyi_unlock(&registry.lock);
    return error;
}

bool qyi_foreign_find(const void *p, struct qyi_foreign *found)
{
    qyi_fork_check();
    qyi_lock(&registry.lock);
    const struct range *range = range_around((uintptr_t)p);
    if (range != NULL)
        *found = (struct qyi_foreign){.base = (void *)range->start, /* NOLINT(performance-no-int-to-ptr) */
                                      .bytes = range->bytes,
                                      .references = range->references,
                                      .kind = range->kind,
                                      .release = range->release,
                                      .context = range->context};
    qyi_unlock(&registry.lock);
    return range != NULL;
}

bool qyi_foreign_retain(const void *p, uint32_t count)
{
    qyi_fork_check();
    qyi_lock(&registry.lock);
    struct range *range = range_around((uintptr_t)p);
    if (range != NULL && range->kind != QYI_FOREIGN_STATIC) {
        const uint32_t extra = range->references - 1;
        if (count > (uint32_t)QYI_COUNT_MAX - extra)
            qyi_fatal_pointer("qy_retain", p, 0, "too many references");
        range->references += count;
    }
    qyi_unlock(&registry.lock);
    return range != NULL;
}

bool qyi_foreign_release(const void *p, uint32_t count)
{
    struct range last = {0};
    qyi_fork_check();
    qyi_lock(&registry.lock);
    struct range *range = range_around((uintptr_t)p);
    if (range != NULL && range->kind != QYI_FOREIGN_STATIC) {
        if (range->references < count)
            qyi_fatal_pointer("qy_release", p, 0, "released more often than retained");
        range->references -= count;
        if (range->references == 0) {
            last = *range;
            remove_range(range);
        }
    }
    qyi_unlock(&registry.lock);
    if (last.release != NULL) {
        const int saved_errno = errno;
        last.release((void *)last.start, last.bytes, last.context); /* NOLINT(performance-no-int-to-ptr) */
        errno = saved_errno;
    }
    return range != NULL;
}

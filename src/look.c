/*
 * look.c: looking at slabs, runs and magazines that other threads change meanwhile. Layer 6.
 */
#include "look.h"

#include "large.h"
#include "magazine.h"
#include "remote.h"
#include "slab.h"

uint32_t qyi_look_length(uint32_t granule, uint32_t end)
{
    uint32_t granules = 1;
    while (granule + granules < end && qyi_entry_offset(qyi_entry(granule + granules)) != 0) /* 0 of free ones too */
        granules++;
    return granules;
}

QYI_RACY struct qyi_look_slab qyi_look_slab(uint32_t granule, unsigned class)
{
    const volatile struct qyi_slab *slab = qyi_slab_at(granule);
    struct qyi_look_slab counts = {0};
    counts.carved = qyi_min(slab->carved, qyi_classes[class].block_count);
    counts.free = qyi_min(slab->free_count, counts.carved);
    counts.uncollected = qyi_min(qyi_slab_uncollected(granule, class), counts.carved - counts.free);
    return counts;
}

QYI_RACY size_t qyi_look_large(uint32_t granule, size_t granules)
{
    const volatile struct qyi_large *large = qyi_granule_record(granule);
    return qyi_min(large->bytes, granules << QYI_GRANULE_SHIFT);
}

QYI_RACY bool qyi_look_has_magazines(const struct qyi_heap *heap)
{
    const volatile struct qyi_heap *seen = heap;
    return !seen->idle || seen->loaded;
}

/* As qyi_magazines_calls. While the owner is changing both parts of the number, calls is 0, or due changes: then again. */
static QYI_RACY uint64_t calls_of(const volatile struct qyi_magazines *magazines, unsigned class)
{
    if (qyi_class_is_common(class))
        return magazines->magazine[class].calls;
    uint64_t calls, due;
    unsigned tries = 100;
    do {
        due = magazines->due[class];
        /* acquire: pair with the releases in set_due of magazine.c */
        atomic_thread_fence(memory_order_acquire);
        calls = magazines->magazine[class].calls;
        atomic_thread_fence(memory_order_acquire);
    } while ((magazines->due[class] != due || (calls == 0 && due != 0)) && --tries != 0);
    return calls + due;
}

QYI_RACY struct qyi_look_magazine qyi_look_magazine(const struct qyi_heap *heap, unsigned class)
{
    const volatile struct qyi_magazine *magazine = &heap->magazines->magazine[class];
    void **slots = magazine->limit - heap->magazines->growth[class].capacity;
    void **top = magazine->top;
    struct qyi_look_magazine seen = {.calls = calls_of(heap->magazines, class)};
    if (slots != NULL && top > slots)
        seen.held = qyi_min((size_t)(top - slots), qyi_classes[class].slots_max);
    return seen;
}

QYI_RACY struct qyi_look_work qyi_look_work(const struct qyi_heap *heap)
{
    struct qyi_look_work work = {.drains = ((const volatile struct qyi_heap *)heap)->drains};
    const volatile struct qyi_magazines *magazines = heap->magazines;
    if (!qyi_look_has_magazines(heap))
        return work;
    work.refills = magazines->refills;
    work.flushes = magazines->flushes;
    work.remote_frees = magazines->remote_frees;
    return work;
}

QYI_RACY bool qyi_look_has_remote(const struct qyi_heap *heap)
{
    const volatile struct qyi_remote_buffer *buffer = &heap->magazines->remote;
    return buffer->used_count != 0;
}

QYI_RACY size_t qyi_look_remote(const struct qyi_heap *heap, unsigned place, uint64_t *entry)
{
    const volatile struct qyi_remote_word *word = &heap->magazines->remote.word[place];
    const uint64_t key = word->key;
    const uint64_t bits = word->bits;
    const uint32_t granule = (uint32_t)(key / QYI_WORDS_MAX); /* without the class */
    if (key == 0 || granule >= atomic_load_explicit(&qyi_region.end, memory_order_relaxed))
        return 0;
    *entry = qyi_entry(granule);
    if (*entry == 0 || !qyi_look_is_slab(*entry) || qyi_entry_class(*entry) >= QYI_CLASS_COUNT)
        return 0;
    return (size_t)qyi_popcount(bits);
}

/*
 * heap.c: the slabs of one thread. Layer 4.
 *
 *     available[class] -> slab <-> slab <-> slab        slabs with blocks to give: free ones or ones never carved
 *     notify           -> slab -> slab                  slabs with news from other threads
 *
 * A slab without blocks to give is on no list; it is found again through the entry of a block that is freed. The most
 * recently freed into comes first: its blocks are the warmest, and the others get time to become empty.
 *
 * I1  slab->listed  <=>  it is in available[] of its owner; a slab with blocks to give is listed, unless its owner is
 *     inside a critical section.
 * I2  a slab is on one notify list exactly while its `pending` is not 0, but for the instant before its announcer has
 *     pushed it.
 * I3  a slab's owner changes only under the locks of both heaps, and only when no thread runs with the old owner's key,
 *     so free's fast path never sees a key change under it. News that went to the old owner's list is passed on by
 *     qyi_heap_drain.
 */
#include "heap.h"

#include "count.h"
#include "fatal.h"
#include "heaps.h"
#include "region.h"
#include "slab.h"

/* ---- the lists of available slabs ---- */

/* Relaxed: the heap's lock orders all but the look that others take at the common heap's without it (take_common). */
static uint32_t first_available(const struct qyi_heap *heap, unsigned class)
{
    return atomic_load_explicit(&heap->available[class], memory_order_relaxed);
}

static void set_first(struct qyi_heap *heap, unsigned class, uint32_t granule)
{
    atomic_store_explicit(&heap->available[class], granule, memory_order_relaxed);
}

static void list_insert(struct qyi_heap *heap, struct qyi_slab *slab)
{
    const uint32_t first = first_available(heap, slab->class);
    slab->prev = 0;
    slab->next = first;
    if (first != 0)
        qyi_slab_at(first)->prev = qyi_slab_granule(slab);
    set_first(heap, slab->class, qyi_slab_granule(slab));
    slab->listed = true;
}

static void list_remove(struct qyi_heap *heap, struct qyi_slab *slab)
{
    if (slab->prev != 0)
        qyi_slab_at(slab->prev)->next = slab->next;
    else
        set_first(heap, slab->class, slab->next);
    if (slab->next != 0)
        qyi_slab_at(slab->next)->prev = slab->prev;
    slab->listed = false;
}

static _Noreturn void fail(unsigned class, const void *p, const char *reason)
{
    qyi_fatal_pointer("free", p, qyi_classes[class].bytes, reason);
}

/* Another thread has freed this block of the slab, which was not to be freed. */
static QYI_COLD _Noreturn void fail_posted(const struct qyi_slab *slab, uint32_t block)
{
    const char *p = qyi_granule_address(qyi_slab_granule(slab));
    fail(slab->class, p + (size_t)block * qyi_classes[slab->class].bytes,
         block < slab->carved ? "double free" : "not the start of a block that was handed out");
}

static void delete_slab(struct qyi_heap *heap, struct qyi_slab *slab)
{
    uint32_t block;
    if (QYI_UNLIKELY(qyi_slab_is_posted(slab, &block))) /* although all blocks are free already */
        fail_posted(slab, block);
    if (slab->listed)
        list_remove(heap, slab);
    heap->slab_count--;
    qyi_slab_delete(slab);
}

/*
 * An empty slab goes back to the region, unless it is a thread's last of its class: that would come and go. Larger blocks'
 * slabs always go: their pages, resident, serve the next class.
 */
static bool worth_keeping(const struct qyi_slab *slab)
{
    return slab->prev == 0 && slab->next == 0 && !qyi_class_is_common(slab->class);
}

/* Blocks of the slab have become free. */
static void slab_gained(struct qyi_heap *heap, struct qyi_slab *slab)
{
    if (!slab->listed && qyi_slab_available(slab) != 0)
        list_insert(heap, slab);
    if (qyi_slab_is_empty(slab) && !worth_keeping(slab))
        delete_slab(heap, slab);
}

/* ---- taking blocks ---- */

static void change_owner(struct qyi_slab *slab, struct qyi_heap *heap)
{
    const uint64_t flags = qyi_entry(qyi_slab_granule(slab)) & QYI_ENTRY_SLAB_FLAGS;
    qyi_run_set_entries(qyi_slab_granule(slab), qyi_classes[slab->class].granule_count,
                        qyi_slab_entry(heap->id, slab->class) | flags);
}

/* A slab with blocks to give from the common heap, or NULL. */
static struct qyi_slab *take_common(struct qyi_heap *heap, unsigned class)
{
    struct qyi_heap *common = qyi_common;
    if (heap == common || heap->apart)
        return NULL;
    const uint32_t hint = first_available(common, class); /* without the lock, so that the common case takes none */
    if ((hint == 0 && !qyi_heap_has_news(common)) || !qyi_lock_try(&common->lock))
        return NULL;
    if (qyi_heap_has_news(common))
        qyi_heap_drain(common);
    struct qyi_slab *slab = NULL;
    if (first_available(common, class) != 0) {
        slab = qyi_slab_at(first_available(common, class));
        list_remove(common, slab);
        common->slab_count--;
        change_owner(slab, heap);
        heap->slab_count++;
        list_insert(heap, slab);
    }
    qyi_unlock(&common->lock);
    return slab;
}

static struct qyi_slab *find_slab(struct qyi_heap *heap, unsigned class)
{
    if (first_available(heap, class) != 0)
        return qyi_slab_at(first_available(heap, class));
    struct qyi_slab *slab = take_common(heap, class);
    if (slab == NULL && (slab = qyi_slab_new(class, heap->id)) != NULL) {
        heap->slab_count++;
        list_insert(heap, slab);
    }
    return slab;
}

unsigned qyi_heap_take(struct qyi_heap *heap, unsigned class, void **top, unsigned count)
{
    unsigned taken = 0;
    while (taken < count) {
        if (taken != 0 && first_available(heap, class) == 0)
            break; /* enough for now: no new slab just to fill up */
        struct qyi_slab *slab = find_slab(heap, class);
        if (slab == NULL)
            break;
        taken += qyi_slab_take(slab, top - taken, count - taken);
        if (qyi_slab_available(slab) == 0)
            list_remove(heap, slab);
    }
    return taken;
}

void *qyi_common_take_one(unsigned class)
{
    struct qyi_heap *common = qyi_common_lock();
    void *block = NULL;
    if (qyi_heap_has_news(common))
        qyi_heap_drain(common);
    if (qyi_heap_take(common, class, &block + 1, 1) != 0)
        atomic_fetch_add_explicit(&qyi_heap_past_calls[class], 1, memory_order_relaxed); /* a counter */
    qyi_unlock(&common->lock);
    return block;
}

/* ---- giving blocks back ---- */

/* How many of blocks[0 .. max) follow each other in memory, starting with the first. */
static size_t stretch(void *const *blocks, size_t max, size_t bytes)
{
    const char *expected = (const char *)blocks[0] + bytes;
    size_t length = 1;
    while (length < max && blocks[length] == expected) {
        expected += bytes;
        length++;
    }
    return length;
}

/*
 * A block from a magazine whose entry is not what the heap's slabs of the class have: aborts if the pointer is in no slab of the class.
 * Otherwise the block's heap broke when the process forked, and the block has been freed on its own.
 */
static QYI_NOINLINE void put_elsewhere(unsigned class, const void *p, uint64_t entry)
{
    const uint32_t owner = qyi_entry_owner(entry);
    const uint32_t offset = qyi_entry_offset(entry);
    const uint64_t expected = qyi_slab_entry(owner, class);
    if ((entry ^ (uint64_t)offset << QYI_ENTRY_OFFSET_SHIFT) != expected || owner == 0 ||
        !qyi_heap_by_id(owner)->broken)
        fail(class, p, "double free");
    const uint32_t first = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT) - offset;
    const uint32_t number = qyi_slab_block(qyi_slab_at(first), p);
    if (number >= qyi_classes[class].block_count)
        fail(class, p, "not the start of a block");
    uint64_t twice;
    if (qyi_slab_post(first, class, number / 64, (uint64_t)1 << number % 64, &twice) == QYI_POSTED_FREE_ALREADY)
        fail(class, p, "double free");
}

/* The slab has gained blocks. */
QYI_INLINE void notice_gain(struct qyi_heap *heap, struct qyi_slab *slab)
{
    if (QYI_UNLIKELY(!slab->listed) || QYI_UNLIKELY(qyi_slab_is_empty(slab)))
        slab_gained(heap, slab);
}

/*
 * Put back the blocks at the front of the array that follow each other in memory, at least one; returns how many. A few masks do for many
 * blocks.
 */
static QYI_NOINLINE size_t put_stretch(struct qyi_heap *heap, unsigned class, void *const *blocks, size_t count)
{
    const struct qyi_class *info = &qyi_classes[class];
    const uint32_t granule = (uint32_t)(qyi_region_offset(blocks[0]) >> QYI_GRANULE_SHIFT);
    const uint64_t entry = qyi_entry(granule) & ~QYI_ENTRY_SLAB_FLAGS;
    const uint32_t offset = qyi_entry_offset(entry);
    const uint64_t expected = qyi_slab_entry(heap->id, class);
    if (QYI_UNLIKELY((entry ^ (uint64_t)offset << QYI_ENTRY_OFFSET_SHIFT) != expected)) {
        put_elsewhere(class, blocks[0], entry);
        return 1;
    }
    struct qyi_slab *slab = qyi_slab_at(granule - offset);
    const uint32_t number = qyi_slab_block(slab, blocks[0]);
    if (QYI_UNLIKELY(number >= slab->carved))
        fail(class, blocks[0], "not the start of a block");
    const size_t length = stretch(blocks, qyi_min(count, slab->carved - number), info->bytes);
    uint32_t twice;
    if (QYI_UNLIKELY(!qyi_slab_put(slab, number, (uint32_t)length, &twice)))
        fail(class, qyi_granule_address(granule - offset) + (size_t)twice * info->bytes, "double free");
    notice_gain(heap, slab);
    return length;
}

void qyi_heap_put(struct qyi_heap *heap, unsigned class, void *const *blocks, size_t count)
{
    /* In registers: for all that the compiler knows, the stores below change the class. */
    const struct qyi_class info = qyi_classes[class];
    const bool is_inline = qyi_slab_is_inline(class);
    const uint64_t expected = qyi_slab_entry(heap->id, class);
    while (count > 0) {
        const char *p = blocks[0];
        const size_t offset = qyi_region_offset(p);
        const uint32_t granule = (uint32_t)(offset >> QYI_GRANULE_SHIFT);
        /* Programs free in order as often as not. If not, one block at a time, in a slab's first granule; put_stretch looks at the rest. */
        if ((count > 2 && blocks[2] == p + (size_t)2 * info.bytes) ||
            QYI_UNLIKELY((qyi_entry(granule) & ~QYI_ENTRY_SLAB_FLAGS) != expected)) {
            const size_t done = put_stretch(heap, class, blocks, count);
            blocks += done;
            count -= done;
            continue;
        }
        struct qyi_slab *slab = qyi_slab_at(granule);
        uint64_t *free = is_inline ? slab->free_inline : qyi_granule_bitmaps(granule);
        const uint32_t number = qyi_block_number(&info, (uint32_t)(offset % QYI_GRANULE_BYTES));
        if (QYI_UNLIKELY(number >= slab->carved))
            fail(class, p, "not the start of a block");
        if (QYI_UNLIKELY(!qyi_slab_put_one(slab, free, number)))
            fail(class, p, "double free");
        notice_gain(heap, slab);
        blocks++;
        count--;
    }
}

/* ---- news from other threads ---- */

void qyi_heap_notify(uint32_t owner, uint32_t granule)
{
    struct qyi_heap *heap = qyi_heap_by_id(owner);
    struct qyi_slab *slab = qyi_slab_at(granule);
    uint32_t head = atomic_load_explicit(&heap->notify, memory_order_relaxed);
    do {
        atomic_store_explicit(&slab->notify_next, head, memory_order_relaxed);
        /* release: notify_next is visible to whoever takes the list; pairs with the exchange in qyi_heap_drain */
    } while (!atomic_compare_exchange_weak_explicit(&heap->notify, &head, granule, memory_order_release,
                                                    memory_order_relaxed));
}

void qyi_heap_drain(struct qyi_heap *heap)
{
    /* acquire: pairs with the release in qyi_heap_notify */
    uint32_t granule = atomic_exchange_explicit(&heap->notify, 0, memory_order_acquire);
    heap->drains++;
    while (granule != 0) {
        struct qyi_slab *slab = qyi_slab_at(granule);
        /* Read before qyi_slab_collect: after that, another thread may put the slab on a list again. */
        const uint32_t next = atomic_load_explicit(&slab->notify_next, memory_order_relaxed);
        if (next != 0)
            qyi_prefetch_to_write(&qyi_slab_at(next)->pending);
        const uint32_t owner = qyi_entry_owner(qyi_entry(granule));
        if (owner != heap->id) {
            if (QYI_UNLIKELY(owner == 0)) /* it has been deleted while somebody freed one of its blocks again */
                qyi_fatal_pointer("free", qyi_granule_address(granule), 0,
                                  "double free, of a block somewhere behind this address");
            qyi_heap_notify(owner, granule); /* it has moved since: I3 */
        } else if (!heap->broken) {
            uint32_t wrong;
            if (QYI_UNLIKELY(!qyi_slab_collect(slab, &wrong)))
                fail_posted(slab, wrong);
            slab_gained(heap, slab);
        }
        granule = next;
    }
}

/* ---- reference counts ---- */

QYI_COLD bool qyi_heap_count_slab(uint32_t granule)
{
    for (;;) {
        const uint32_t owner = qyi_entry_owner(qyi_entry(granule));
        struct qyi_heap *heap = qyi_heap_by_id(owner);
        qyi_lock(&heap->lock);
        const uint64_t entry = qyi_entry(granule);
        const bool found = qyi_entry_owner(entry) == owner; /* I3: now it stays so */
        const unsigned class = qyi_entry_class(entry);
        const size_t granules = qyi_classes[class].granule_count;
        const bool done = found && qyi_region_reach_cells(granule, granules);
        /* A fork may have caught somebody between the flag and the opening: then it is done again. */
        if (done && ((entry & qyi_count_flag) == 0 || !qyi_counts_are_open(granule, class))) {
            qyi_counts_set(granule, class);
            /* Its stores are releases, which pair with qyi_entry_acquire: who sees the flag sees what was set. */
            qyi_run_set_entries(granule, granules, (entry & ~QYI_ENTRY_HAS_CELLS) | qyi_count_flag);
            qyi_counts_open(granule, class);
        }
        qyi_unlock(&heap->lock);
        if (found)
            return done;
    }
}

/* ---- the heap profile ---- */

void qyi_heap_sample_slab(uint32_t granule, const void *block, bool more)
{
    for (;;) {
        const uint32_t owner = qyi_entry_owner(qyi_entry(granule));
        struct qyi_heap *heap = qyi_heap_by_id(owner);
        qyi_lock(&heap->lock);
        const uint64_t entry = qyi_entry(granule);
        const bool found = qyi_entry_owner(entry) == owner; /* I3: now it stays so */
        if (found) {
            struct qyi_slab *slab = qyi_slab_at(granule);
            uint8_t *sampled = &slab->sampled[qyi_slab_sampled_hash(block)];
            if (*sampled < UINT8_MAX && (more || *sampled > 0))
                *sampled = (uint8_t)(more ? *sampled + 1 : *sampled - 1);
            const uint64_t bit = qyi_slab_sampled_bit(block);
            const uint64_t wanted = *sampled != 0 ? entry | bit : entry & ~bit;
            if (wanted != entry)
                qyi_run_set_entries(granule, qyi_classes[slab->class].granule_count, wanted);
        }
        qyi_unlock(&heap->lock);
        if (found)
            return;
    }
}

/* ---- the end of a thread, and trimming ---- */

void qyi_heap_trim_class(struct qyi_heap *heap, unsigned class)
{
    uint32_t granule = first_available(heap, class);
    while (granule != 0) {
        struct qyi_slab *slab = qyi_slab_at(granule);
        granule = slab->next;
        if (qyi_slab_is_empty(slab))
            delete_slab(heap, slab);
    }
}

void qyi_heap_trim(struct qyi_heap *heap)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        qyi_heap_trim_class(heap, class);
}

void qyi_heap_disown(struct qyi_heap *heap)
{
    qyi_heap_trim(heap);
    struct qyi_heap *common = qyi_common_lock();
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        while (first_available(heap, class) != 0) {
            struct qyi_slab *slab = qyi_slab_at(first_available(heap, class));
            list_remove(heap, slab);
            heap->slab_count--;
            change_owner(slab, common);
            common->slab_count++;
            list_insert(common, slab);
        }
    }
    qyi_unlock(&common->lock);
}

/*
 * track.c: who made, retained and released buffers. Layer 5.
 *
 *     bucket -> block -> block           by the address of its start
 *                 |
 *                 `-> reference -> reference      each: where it was made, and for which bytes
 *
 * The library counts references and does not know them apart: a release says which byte it is for, and no more. So it
 * is matched with a reference that begins at the same byte; else the shortest one around that byte; else the
 * oldest; the oldest also among equals. That names the right place when a copy was forgotten while the original was released.
 * A block from malloc has its allocator's reference besides, which only a call of free, or the last release, drops.
 *
 * Buffers that are made while tracking come from slabs of a heap that nobody else takes blocks from: a block of theirs
 * that is not live has not become anybody else's, and a release of it is one too many.
 *
 * I1  a block is in the table as long as it lives, and afterwards until the room is needed: so what was released last is known.
 * I2  a block that is not live has no references, and is in the queue of dead ones.
 * I3  Whoever calls an event owns a reference, but for a release too many: so a live block does not change under it.
 *
 * One lock; it comes after all others but that for meta, and nothing is called with it held but qyi_meta_take.
 */
#include "track.h"

#include "count.h"
#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "lock.h"
#include "meta.h"
#include "options.h"
#include "sizeclass.h"
#include "slab.h"
#include "thread.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

size_t qyi_slice_fast_max = QYI_TABLE_BYTES;

enum {
    BUCKET_SHIFT = 15,
    CHUNK_RECORDS = 1024,
    CHUNKS = 256, /* of each: at most 256 K records, 40 MiB together */
    LOCK_TRY_COUNT = 1000,
};

/* Records that are never given back, numbered from 1. */
struct pool {
    char *chunk[CHUNKS];
    size_t record_bytes;
    uint32_t count; /* in use, or once in use */
    uint32_t spare; /* a list of those not in use any more, by their first field */
};

static struct {
    struct qyi_lock lock;
    struct pool blocks, references;
    uint32_t *bucket;
    uint32_t newest_dead, oldest_dead;
    uint32_t epoch;
    uint64_t lost, forgotten;
    struct qyi_heap *_Atomic heap; /* of slabs for buffers alone */
    char *scratch;
    size_t scratch_bytes;
} track;

/* ---- records ---- */

static void *record_at(const struct pool *pool, uint32_t number)
{
    number--;
    return pool->chunk[number / CHUNK_RECORDS] + number % CHUNK_RECORDS * pool->record_bytes;
}

/* 0: no room. */
static uint32_t take_record(struct pool *pool)
{
    uint32_t number = pool->spare;
    if (number != 0) {
        memcpy(&pool->spare, record_at(pool, number), sizeof pool->spare);
        return number;
    }
    const uint32_t chunk = pool->count / CHUNK_RECORDS;
    if (chunk >= CHUNKS)
        return 0;
    if (pool->chunk[chunk] == NULL)
        pool->chunk[chunk] = qyi_meta_take(CHUNK_RECORDS * pool->record_bytes);
    return pool->chunk[chunk] == NULL ? 0 : ++pool->count;
}

static void give_record(struct pool *pool, uint32_t number)
{
    memcpy(record_at(pool, number), &pool->spare, sizeof pool->spare);
    pool->spare = number;
}

static struct qyi_tracked *block_at(uint32_t number)
{
    return record_at(&track.blocks, number);
}

static struct qyi_reference *reference_at(uint32_t number)
{
    return record_at(&track.references, number);
}

/* ---- the table ---- */

static uint32_t *bucket_of(const void *start)
{
    const uint64_t hash = (uintptr_t)start / QYI_STEP_BYTES * 0x9e3779b97f4a7c15; /* see site.c */
    return &track.bucket[hash >> (64 - BUCKET_SHIFT)];
}

/* 0: not in the table. */
static uint32_t find(const void *start)
{
    uint32_t number = *bucket_of(start);
    while (number != 0 && block_at(number)->start != (uintptr_t)start)
        number = block_at(number)->next;
    return number;
}

static void queue_dead(uint32_t number)
{
    struct qyi_tracked *block = block_at(number);
    block->live = false;
    block->older = track.newest_dead;
    block->newer = 0;
    if (track.newest_dead != 0)
        block_at(track.newest_dead)->newer = number;
    else
        track.oldest_dead = number;
    track.newest_dead = number;
}

static void unqueue_dead(uint32_t number)
{
    struct qyi_tracked *block = block_at(number);
    if (block->older != 0)
        block_at(block->older)->newer = block->newer;
    else
        track.oldest_dead = block->newer;
    if (block->newer != 0)
        block_at(block->newer)->older = block->older;
    else
        track.newest_dead = block->older;
}

/* Take the block that has been dead for longest out of the table. 0: there is none. */
static uint32_t evict(void)
{
    const uint32_t number = track.oldest_dead;
    if (number == 0)
        return 0;
    const struct qyi_tracked *block = block_at(number);
    uint32_t *link = bucket_of((const void *)block->start); /* NOLINT(performance-no-int-to-ptr) */
    unqueue_dead(number);
    while (*link != number)
        link = &block_at(*link)->next;
    *link = block->next;
    return number;
}

/* A live record for a block that has none; NULL: no room. */
static struct qyi_tracked *insert(void *start, size_t bytes, qyi_site made)
{
    uint32_t number = find(start);
    if (number != 0) {
        unqueue_dead(number);
    } else {
        number = take_record(&track.blocks);
        if (number == 0)
            number = evict();
        if (number == 0) {
            track.lost++;
            return NULL;
        }
        uint32_t *bucket = bucket_of(start);
        *block_at(number) = (struct qyi_tracked){.next = *bucket, .start = (uintptr_t)start};
        *bucket = number;
    }
    struct qyi_tracked *block = block_at(number);
    block->bytes = bytes;
    block->made = made;
    block->epoch = track.epoch;
    block->references = 0;
    block->implicit = false;
    block->live = true;
    memset(block->release, 0, sizeof block->release);
    return block;
}

static struct qyi_tracked *find_live(const void *start)
{
    const uint32_t number = find(start);
    return number != 0 && block_at(number)->live ? block_at(number) : NULL;
}

/* ---- references of a block ---- */

static void add_reference(struct qyi_tracked *block, const void *p, size_t length, uint32_t count, qyi_site site)
{
    uint32_t *link = &block->references;
    for (; *link != 0; link = &reference_at(*link)->next) {
        struct qyi_reference *reference = reference_at(*link);
        if (reference->site == site && reference->start == (uintptr_t)p && reference->length == length &&
            reference->epoch == track.epoch) {
            reference->count += count;
            return;
        }
    }
    const uint32_t number = take_record(&track.references);
    if (number == 0) {
        track.lost++;
        return;
    }
    *reference_at(number) = (struct qyi_reference){
        .site = site, .count = count, .epoch = track.epoch, .start = (uintptr_t)p, .length = length};
    *link = number;
}

/* How little a release of p fits this reference. */
static size_t misfit(const struct qyi_reference *reference, const void *p)
{
    const size_t offset = (uintptr_t)p - reference->start;
    if (offset == 0)
        return 0;
    return offset < reference->length ? reference->length : SIZE_MAX;
}

/* The link to the reference that a release of p is for; NULL: there is none. */
static uint32_t *best_reference(struct qyi_tracked *block, const void *p)
{
    uint32_t *best = NULL;
    size_t least = SIZE_MAX;
    for (uint32_t *link = &block->references; *link != 0; link = &reference_at(*link)->next) {
        const size_t much = misfit(reference_at(*link), p);
        const bool younger = best != NULL && reference_at(*link)->epoch > reference_at(*best)->epoch;
        if (best == NULL || much < least || (much == least && younger)) { /* a child's own before the parent's */
            best = link;
            least = much;
        }
    }
    return best;
}

/* Returns how many were there, of count. */
static uint32_t remove_from(uint32_t *link, uint32_t count)
{
    const uint32_t number = *link;
    struct qyi_reference *reference = reference_at(number);
    const uint32_t removed = (uint32_t)qyi_min(count, reference->count);
    reference->count -= removed;
    if (reference->count == 0) {
        *link = reference->next;
        give_record(&track.references, number);
    }
    return removed;
}

static void remove_references(struct qyi_tracked *block, const void *p, uint32_t count)
{
    while (count != 0) {
        uint32_t *link = best_reference(block, p);
        if (link == NULL)
            break;
        count -= remove_from(link, count);
    }
    if (count != 0)
        block->implicit = false;
}

/* ---- the heap for buffers ---- */

static struct qyi_heap *buffer_heap(void)
{
    struct qyi_heap *heap = atomic_load_explicit(&track.heap, memory_order_acquire);
    if (heap != NULL && !heap->broken)
        return heap;
    struct qyi_heap *fresh = qyi_heap_make_apart(); /* not an idle one, with blocks that are no buffers */
    if (fresh == NULL)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&track.heap, &heap, fresh, memory_order_acq_rel, memory_order_acquire))
        return fresh;
    fresh->apart = fresh->magazines->forks = false;
    qyi_heap_retire(fresh, false);
    return heap;
}

void *qyi_track_take(size_t align, size_t bytes)
{
    if (bytes > QYI_SMALL_BYTES || align > QYI_GRANULE_BYTES || !qyi_start())
        return NULL;
    unsigned class = qyi_class_of(qyi_max(bytes, align));
    while (class < QYI_CLASS_COUNT && qyi_classes[class].bytes % align != 0)
        class++;
    qyi_fork_check();
    struct qyi_heap *heap = class == QYI_CLASS_COUNT ? NULL : buffer_heap();
    if (heap == NULL)
        return NULL;
    void *block = NULL;
    qyi_lock(&heap->lock);
    if (qyi_heap_has_news(heap))
        qyi_heap_drain(heap);
    if (qyi_heap_take(heap, class, &block + 1, 1) != 0)
        atomic_fetch_add_explicit(&qyi_heap_past_calls[class], 1, memory_order_relaxed); /* a counter */
    qyi_unlock(&heap->lock);
    return block;
}

/* ---- events ---- */

static bool is_apart(const void *start)
{
    const uint64_t entry = qyi_entry(qyi_region_offset(start) >> QYI_GRANULE_SHIFT);
    return (entry & QYI_ENTRY_LARGE) == 0 && qyi_entry_owner(entry) != 0 &&
           qyi_heap_by_id(qyi_entry_owner(entry))->apart;
}

/* The slab's blocks go by the slow paths from here on. Large blocks do so anyway. */
static bool flag_slab(const void *start)
{
    const uint32_t granule = (uint32_t)(qyi_region_offset(start) >> QYI_GRANULE_SHIFT);
    const uint64_t entry = qyi_entry_acquire(granule);
    return (entry & (QYI_ENTRY_LARGE | QYI_ENTRY_TRACKED)) != 0 ||
           qyi_heap_count_slab(granule - qyi_entry_offset(entry));
}

static void lose_one(void)
{
    qyi_lock(&track.lock);
    track.lost++;
    qyi_unlock(&track.lock);
}

void qyi_track_made(void *start, size_t block_bytes, size_t length)
{
    if ((qyi_entry(qyi_region_offset(start) >> QYI_GRANULE_SHIFT) & QYI_ENTRY_POOLED) != 0)
        return; /* a pool's, or an arena's: their own affair */
    const qyi_site site = qyi_site_here();
    if (!flag_slab(start)) {
        lose_one();
        return;
    }
    qyi_lock(&track.lock);
    struct qyi_tracked *block = find_live(start);
    if (block == NULL) {
        block = insert(start, block_bytes, site);
    } else if (block->made == 0) { /* retained before it was adopted */
        block->made = site;
    }
    if (block != NULL && (block->references == 0 || block->implicit))
        add_reference(block, start, length, 1, site);
    if (block != NULL)
        block->implicit = false;
    qyi_unlock(&track.lock);
}

void qyi_track_retained(void *start, size_t block_bytes, const void *p, size_t length, uint32_t count)
{
    const qyi_site site = qyi_site_here();
    if (count == 0)
        return;
    qyi_lock(&track.lock);
    struct qyi_tracked *block = find_live(start);
    if (block == NULL && (block = insert(start, block_bytes, 0)) != NULL)
        block->implicit = true;
    if (block != NULL)
        add_reference(block, p, length, count, site);
    qyi_unlock(&track.lock);
}

void qyi_track_resized(void *start, const void *p, const void *other, size_t length)
{
    qyi_lock(&track.lock);
    struct qyi_tracked *block = find_live(start);
    uint32_t *link = block == NULL ? NULL : best_reference(block, p);
    if (link != NULL && reference_at(*link)->count == 1 && misfit(reference_at(*link), p) != SIZE_MAX) {
        reference_at(*link)->start = (uintptr_t)other;
        reference_at(*link)->length = length;
    }
    qyi_unlock(&track.lock);
}

/*
 * free, in a forked child: the link to a reference of its own to its parent's block, which goes before the one that malloc gave the
 * parent; NULL: there is none that begins there, nor one without a length, of qy_retain.
 */
static uint32_t *own_reference(struct qyi_tracked *block, const void *p)
{
    if (block->epoch == track.epoch)
        return NULL;
    for (uint32_t *link = &block->references; *link != 0; link = &reference_at(*link)->next) {
        const struct qyi_reference *reference = reference_at(*link);
        if (reference->epoch == track.epoch && (reference->length == 0 || misfit(reference, p) != SIZE_MAX))
            return link;
    }
    return NULL;
}

static void note_release(struct qyi_tracked *block, qyi_site site, uint32_t count)
{
    struct qyi_track_release *release = block->release;
    unsigned i = 0;
    while (i + 1 < QYI_TRACK_RELEASES && release[i].site != site && release[i].count != 0)
        i++;
    struct qyi_track_release own = release[i];
    if (own.site != site)
        own = (struct qyi_track_release){.site = site};
    own.count += count;
    memmove(&release[1], &release[0], i * sizeof *release);
    release[0] = own;
    block->before_last = block->last;
    block->last = site;
}

void qyi_track_released(void *start, const void *p, uint32_t count, bool by_free)
{
    qyi_lock(&track.lock);
    bool known = find(start) != 0;
    qyi_unlock(&track.lock);
    if (!known)
        return; /* it shares a slab with buffers */
    const qyi_site site = qyi_site_here();
    qyi_lock(&track.lock);
    const uint32_t number = find(start);
    struct qyi_tracked *block = number == 0 ? NULL : block_at(number);
    bool live = true;
    if (block != NULL) {
        live = block->live;
        note_release(block, site, count);
        uint32_t *own = by_free && block->implicit ? own_reference(block, p) : NULL;
        if (own != NULL)
            remove_from(own, 1);
        else if (by_free && block->implicit)
            block->implicit = false;
        else if (live)
            remove_references(block, p, count);
    }
    qyi_unlock(&track.lock);
    if (!live && is_apart(start))
        qyi_fatal_pointer(by_free ? "free" : "qy_release", p, 0, "released more often than retained");
}

/* The first block around p that is remembered, live or dead; NULL. */
static struct qyi_tracked *around(const void *p)
{
    for (uint32_t number = 1; number <= track.blocks.count; number++) {
        struct qyi_tracked *block = block_at(number);
        if ((uintptr_t)p - block->start < block->bytes)
            return block;
    }
    return NULL;
}

bool qyi_track_released_gone(const void *p, uint32_t count)
{
    const qyi_site site = qyi_site_here();
    qyi_lock(&track.lock);
    struct qyi_tracked *block = around(p);
    if (block != NULL)
        note_release(block, site, count);
    qyi_unlock(&track.lock);
    return block != NULL;
}

void qyi_track_freed(void *start)
{
    qyi_lock(&track.lock);
    const uint32_t number = find(start);
    if (number != 0 && block_at(number)->live) {
        remove_references(block_at(number), start, UINT32_MAX);
        queue_dead(number);
    }
    qyi_unlock(&track.lock);
}

void qyi_track_moved(void *from, void *to, size_t block_bytes)
{
    qyi_lock(&track.lock);
    const uint32_t number = find(from);
    if (number != 0 && block_at(number)->live) {
        struct qyi_tracked *old = block_at(number);
        struct qyi_tracked *block = find_live(to) == NULL ? insert(to, block_bytes, old->made) : NULL;
        if (block != NULL) {
            block->implicit = old->implicit;
            block->references = old->references;
            old->references = 0;
            for (uint32_t i = block->references; i != 0; i = reference_at(i)->next)
                reference_at(i)->start += (uintptr_t)to - (uintptr_t)from;
        }
        remove_references(old, from, UINT32_MAX);
        queue_dead(number);
    }
    qyi_unlock(&track.lock);
}

/* ---- start and fork ---- */

/* A record that another thread was changing when the process forked may be anything: forget them all. */
static void forget(void)
{
    track.forgotten += track.blocks.count;
    memset(track.bucket, 0, sizeof *track.bucket << BUCKET_SHIFT);
    track.newest_dead = track.oldest_dead = 0;
    track.blocks.count = track.blocks.spare = 0;
    track.references.count = track.references.spare = 0;
}

/* What the parent has made and retained is its own affair. */
static void in_child(void)
{
    qyi_site_after_fork();
    if (qyi_lock_after_fork(&track.lock))
        forget();
    track.epoch++;
}

QYI_ONCE void qyi_track_start(void)
{
    if (qyi_options.buf_track == QYI_TRACK_OFF)
        return;
    track.blocks.record_bytes = sizeof(struct qyi_tracked);
    track.references.record_bytes = sizeof(struct qyi_reference);
    track.bucket = qyi_meta_take(sizeof *track.bucket << BUCKET_SHIFT);
    if (track.bucket == NULL) {
        qyi_message("buf_track: no memory, references are not tracked");
        return;
    }
    if (!qyi_site_start(qyi_options.buf_track == QYI_TRACK_FULL ? QYI_SITE_FRAMES : 1))
        qyi_message("buf_track: libgcc_s.so.1 is not there: places will not be known");
    qyi_fork_register();
    qyi_fork_add_hook(in_child);
    qyi_count_flag = QYI_ENTRY_TRACKED;
    qyi_slice_fast_max = 0;
}

/* ---- reports ---- */

bool qyi_track_lock(void)
{
    if (!qyi_is_tracking() || qyi_lock_is_mine(&track.lock))
        return false;
    for (unsigned tries = 0; tries < LOCK_TRY_COUNT; tries++) {
        if (qyi_lock_try(&track.lock))
            return true;
        sched_yield();
    }
    return false;
}

void qyi_track_unlock(void)
{
    qyi_unlock(&track.lock);
}

uint32_t qyi_track_block_count(void)
{
    return track.blocks.count;
}

bool qyi_track_find(const void *p, struct qyi_tracked *found)
{
    const struct qyi_tracked *block = around(p);
    if (block != NULL)
        *found = *block;
    return block != NULL;
}

const struct qyi_tracked *qyi_track_block(uint32_t number)
{
    return block_at(number);
}

const struct qyi_reference *qyi_track_reference(uint32_t number)
{
    return reference_at(number);
}

uint32_t qyi_track_epoch(void)
{
    return track.epoch;
}

void qyi_track_totals(struct qyi_track_totals *totals)
{
    *totals = (struct qyi_track_totals){.lost = track.lost + qyi_site_lost(), .forgotten = track.forgotten};
    for (uint32_t number = 1; number <= track.blocks.count; number++) {
        const struct qyi_tracked *block = block_at(number);
        size_t referenced = 0;
        size_t references = 0;
        if (!block->live)
            continue;
        for (uint32_t i = block->references; i != 0; i = reference_at(i)->next) {
            const struct qyi_reference *reference = reference_at(i);
            const size_t length = reference->length == 0 ? block->bytes : reference->length;
            references += reference->count;
            referenced += length;
        }
        if (references == 0)
            continue;
        totals->blocks++;
        totals->references += references + block->implicit;
        totals->bytes += block->bytes;
        totals->referenced += block->implicit ? block->bytes : qyi_min(referenced, block->bytes);
    }
}

void *qyi_track_scratch(size_t bytes)
{
    if (track.scratch_bytes < bytes) {
        track.scratch = qyi_meta_take(bytes);
        track.scratch_bytes = track.scratch == NULL ? 0 : bytes;
    }
    return track.scratch;
}

/*
 * alloc.c: the slow half of malloc and free, and their relatives. Layer 5.
 *
 *     bytes <= 1 KiB       magazine by table                 (inline)
 *     bytes <= 64 KiB      magazine by arithmetic
 *     beyond               a run of granules
 *     no magazines         the common heap, one block at a time
 *     a pool's buffer      goes back to the pool
 */
#include "alloc.h"

#include "count.h"
#include "fatal.h"
#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "large.h"
#include "os.h"
#include "pooled.h"
#include "reclaim.h"
#include "remote.h"
#include "sample.h"
#include "sizeclass.h"
#include "slab.h"
#include "thread.h"
#include "track.h"

#include <errno.h>
#include <string.h>

static void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* With the heap profile: the same as qyi_magazines_take, and the block may be sampled. */
static QYI_NOINLINE void *take_metered(struct qyi_magazines *mine, unsigned class, bool *slow)
{
    void *block;
    bool sampled = false;
    if (qyi_class_is_common(class)) {
        block = qyi_magazines_take(mine, class, slow);
        if (block != NULL)
            qyi_sample_pass(block, qyi_classes[class].bytes);
        return block;
    }
    block = qyi_magazines_take_metered(mine, class, slow, &sampled);
    if (sampled)
        qyi_sample_taken(block, qyi_classes[class].bytes);
    return block;
}

static void *take_common(unsigned class)
{
    void *block = qyi_common_take_one(class);
    if (qyi_is_profiling() && block != NULL)
        qyi_sample_pass(block, qyi_classes[class].bytes);
    return block;
}

/* One try; NULL when there is no memory. */
static void *take_block(unsigned class)
{
    struct qyi_magazines *mine = qyi_thread_is_attached() ? qyi_my_magazines() : qyi_thread_attach(false);
    if (mine == NULL)
        return qyi_start() ? take_common(class) : NULL;
    bool slow;
    void *block = qyi_is_profiling() ? take_metered(mine, class, &slow) : qyi_magazines_take(mine, class, &slow);
    if (slow)
        qyi_reclaim_tick(mine);
    return block;
}

/* A block of a class; NULL and ENOMEM when there is none even after everything free has been gathered. */
static QYI_NOINLINE void *take_block_hard(unsigned class)
{
    void *block = take_block(class);
    if (QYI_LIKELY(block != NULL))
        return block;
    qyi_reclaim_all();
    block = take_block(class);
    return block != NULL ? block : out_of_memory();
}

/* One of the larger blocks that a thread has at hand for the first few of a class, or NULL. */
static void *borrow(unsigned class)
{
    if (qyi_class_is_common(class) || !qyi_thread_is_attached() || qyi_is_profiling())
        return NULL;
    return qyi_magazines_borrow(qyi_my_magazines(), class);
}

static QYI_NOINLINE void *borrow_or_take(unsigned class)
{
    void *block = borrow(class);
    return block != NULL ? block : take_block_hard(class);
}

static void *take_large(size_t bytes, size_t align, bool zero)
{
    if (bytes > QYI_SIZE_LIMIT || !qyi_start())
        return out_of_memory();
    qyi_fork_check();
    void *p = qyi_large_take(bytes, align, zero);
    if (p == NULL) {
        qyi_reclaim_all();
        p = qyi_large_take(bytes, align, zero);
    }
    qyi_reclaim_tick_now(NULL);
    if (qyi_is_profiling() && p != NULL)
        qyi_sample_pass(p, qyi_large_at(p, "malloc")->bytes);
    return p != NULL ? p : out_of_memory();
}

QYI_LINE_ALIGNED QYI_NOINLINE void *qyi_malloc_slow(size_t bytes)
{
    if (QYI_UNLIKELY(bytes > QYI_SMALL_BYTES))
        return take_large(bytes, 1, false);
    void *block;
    const unsigned class = qyi_class_of(bytes);
    return QYI_LIKELY(qyi_malloc_common(class, &block)) ? block : borrow_or_take(class);
}

/* The entry of p's granule; aborts if p cannot be a block. */
QYI_INLINE uint64_t entry_of(const void *p, const char *function)
{
    const size_t offset = qyi_region_offset(p);
    if (!qyi_region_has(offset))
        qyi_fatal_pointer(function, p, 0, "not a pointer from this allocator");
    const uint64_t entry = qyi_entry_acquire(offset >> QYI_GRANULE_SHIFT);
    if (entry == 0)
        qyi_fatal_pointer(function, p, 0, "nothing is allocated there: freed already, or never allocated");
    return entry;
}

QYI_INLINE bool is_large(uint64_t entry)
{
    return (entry & QYI_ENTRY_LARGE) != 0;
}

/* The entry is a slab's. Blocks of the common heap's own classes are anybody's. */
QYI_INLINE bool belongs_to_others(const struct qyi_magazines *mine, uint64_t entry)
{
    if ((entry ^ mine->key) < QYI_ENTRY_PLAIN_LIMIT)
        return false;
    return !qyi_class_is_common(qyi_entry_class(entry)) || qyi_entry_owner(entry) != qyi_common->id;
}

/* Size of the block that p, in a slab, is the start of; aborts if it is not. */
QYI_INLINE size_t slab_block_bytes(const void *p, uint64_t entry, const char *function)
{
    const struct qyi_class *class = &qyi_classes[qyi_entry_class(entry)];
    if (QYI_UNLIKELY(qyi_block_number(class, qyi_entry_bytes(entry, p)) >= class->block_count))
        qyi_fatal_pointer(function, p, class->bytes, "not the start of a block");
    return class->bytes;
}

/* Of the block whose start p is, and which has class_bytes as in qyi_fatal_pointer. True: it was the last reference. */
QYI_INLINE bool drop_counted(struct qyi_cell *cell, const void *p, size_t class_bytes)
{
    const enum qyi_dropped dropped = qyi_count_drop(cell, 1);
    if (QYI_UNLIKELY(dropped == QYI_DROPPED_MORE)) /* another thread has the last one, and is just freeing it */
        qyi_fatal_pointer("free", p, class_bytes, "double free");
    return dropped == QYI_DROPPED_LAST;
}

static QYI_COLD bool drop_tracked(void *p, uint64_t entry)
{
    struct qyi_cell *cell = NULL;
    size_t class_bytes = 1;
    if (is_large(entry))
        cell = &qyi_large_at(p, "free")->cell;
    else if ((entry & QYI_ENTRY_POOLED) != 0)
        class_bytes = qyi_pooled_at(p, entry, "free")->stride;
    else
        class_bytes = slab_block_bytes(p, entry, "free");
    if ((entry & QYI_ENTRY_HAS_CELLS) != 0)
        cell = qyi_cell_of(p);
    qyi_track_released(p, p, 1, true);
    const bool last = cell == NULL || drop_counted(cell, p, class_bytes);
    if (last)
        qyi_track_freed(p);
    return last;
}

/* Drop one reference to a block that may have others. True: it was the last. */
static bool drop_reference(void *p, uint64_t entry)
{
    if (qyi_is_tracking())
        return drop_tracked(p, entry);
    if (is_large(entry))
        return drop_counted(&qyi_large_at(p, "free")->cell, p, 1);
    if ((entry & QYI_ENTRY_COUNTED) == 0)
        return true;
    const size_t bytes =
        (entry & QYI_ENTRY_POOLED) != 0 ? qyi_pooled_at(p, entry, "free")->stride : slab_block_bytes(p, entry, "free");
    return drop_counted(qyi_cell_of(p), p, bytes);
}

/* The functions below return 0, as qyi_free_last does. */

/* Any block without other references. */
static QYI_NOINLINE int free_rest(void *p, uint64_t entry)
{
    qyi_fork_check();
    if (is_large(entry)) {
        qyi_large_give(p);
        qyi_reclaim_tick_now(NULL);
        return 0;
    }
    struct qyi_magazines *mine = qyi_thread_is_attached() ? qyi_my_magazines() : qyi_thread_attach(true);
    /* Again: the heap that the thread has now, by this call or a handler's, may have been the slab's owner when it was read, and no more. */
    entry = qyi_entry(qyi_region_offset(p) >> QYI_GRANULE_SHIFT) & ~QYI_ENTRY_SLAB_FLAGS;
    if (mine == NULL)
        qyi_remote_free_now(p, entry);
    else if (belongs_to_others(mine, entry))
        return qyi_remote_free(mine, p, entry);
    else if (!qyi_magazines_give(mine, qyi_entry_class(entry), p))
        return 0;
    qyi_reclaim_tick(mine);
    return 0;
}

static QYI_NOINLINE int free_unusual(void *p, uint64_t entry)
{
    if ((entry & QYI_ENTRY_POOLED) != 0) {
        qyi_pooled_end(qyi_pooled_of(p, entry), p);
        return 0;
    }
    qyi_sample_freed(p);
    return qyi_free_last(p, entry & ~QYI_ENTRY_SLAB_FLAGS);
}

/* The usual cases at once: of a thread that is in full swing, a block that goes to a magazine, or another thread's. */
QYI_LINE_ALIGNED QYI_NOINLINE int qyi_free_plain(void *p, uint64_t entry)
{
    struct qyi_magazines *mine = qyi_my_magazines();
    const unsigned class = qyi_entry_class(entry);
    if (QYI_UNLIKELY(mine->key == 0)) /* there are none */
        return free_rest(p, entry);
    if (belongs_to_others(mine, entry))
        return qyi_remote_free(mine, p, entry);
    if (QYI_LIKELY(qyi_class_is_common(class) ? qyi_magazines_push_common(mine, class, p)
                                              : qyi_magazine_push(&mine->magazine[class], p)))
        return 0;
    return free_rest(p, entry);
}

QYI_NOINLINE int qyi_free_last(void *p, uint64_t entry)
{
    if (QYI_UNLIKELY((entry & (QYI_ENTRY_POOLED | QYI_ENTRY_SAMPLED)) != 0) &&
        (entry & (QYI_ENTRY_POOLED | qyi_slab_sampled_bit(p))) != 0)
        return free_unusual(p, entry);
    entry &= ~QYI_ENTRY_SLAB_FLAGS;
    return QYI_UNLIKELY(is_large(entry)) ? free_rest(p, entry) : qyi_free_plain(p, entry);
}

/*
 * Not a plain block of this thread's own. It is one with the heap profile, if only others of its slab are sampled; else often another
 * thread's, or the common heap's.
 */
QYI_NOINLINE void qyi_free_marked(void *p, uint64_t difference)
{
    const uint64_t plain = difference & ~QYI_ENTRY_SAMPLED;
    if (plain < QYI_ENTRY_PLAIN_LIMIT) {
        if ((difference & qyi_slab_sampled_bit(p)) == 0 && QYI_LIKELY(qyi_magazine_push(qyi_my_magazine_by(plain), p)))
            return;
    } else {
        /* Read again: a signal's handler may have given the thread another key since. */
        const uint64_t entry = qyi_entry(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
        if (qyi_entry_is_plain(entry)) {
            (void)qyi_free_plain(p, entry);
            return;
        }
    }
    qyi_free_slow(p);
}

QYI_NOINLINE void qyi_free_slow(void *p)
{
    if (p == NULL)
        return;
    const uint64_t entry = entry_of(p, "free");
    if (QYI_LIKELY((entry & (QYI_ENTRY_HAS_CELLS | QYI_ENTRY_LARGE)) == 0) || drop_reference(p, entry))
        qyi_free_last(p, entry);
}

void *qyi_calloc(size_t count, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes))
        return out_of_memory();
    if (bytes > QYI_SMALL_BYTES)
        return take_large(bytes, 1, true);
    void *block = qyi_malloc(bytes);
    return block == NULL ? NULL : memset(block, 0, bytes);
}

void *qyi_aligned(size_t align, size_t bytes)
{
    if (align <= QYI_STEP_BYTES)
        return qyi_malloc(bytes);
    if (bytes > QYI_SIZE_LIMIT || align > QYI_SIZE_LIMIT)
        return out_of_memory();
    if (bytes <= QYI_SMALL_BYTES && align <= QYI_GRANULE_BYTES) {
        /* slabs start at a granule, so a class that is a multiple of the alignment has aligned blocks */
        for (unsigned class = qyi_class_of(qyi_max(bytes, align)); class < QYI_CLASS_COUNT; class++) {
            if (qyi_classes[class].bytes % align == 0)
                return take_block_hard(class);
        }
    }
    return take_large(bytes, align, false);
}

size_t qyi_usable_size(const void *p, const char *function)
{
    if (p == NULL)
        return 0;
    const uint64_t entry = entry_of(p, function);
    if (is_large(entry))
        return qyi_large_at(p, function)->bytes;
    if ((entry & QYI_ENTRY_POOLED) != 0)
        return qyi_pooled_at(p, entry, function)->stride;
    return slab_block_bytes(p, entry, function);
}

/* NULL if target is: p stays then. */
QYI_INLINE void *move_into(void *target, void *p, size_t old_bytes, size_t bytes)
{
    if (target == NULL)
        return NULL;
    memcpy(target, p, qyi_min(old_bytes, bytes));
    qyi_free(p);
    return target;
}

static void *move_block(void *p, size_t old_bytes, size_t bytes)
{
    return move_into(qyi_malloc(bytes), p, old_bytes, bytes);
}

/* Somebody else has a reference too. */
static bool is_shared(const void *p, uint64_t entry)
{
    struct qyi_cell *cell = is_large(entry)                      ? &qyi_large_at(p, "realloc")->cell
                            : (entry & QYI_ENTRY_HAS_CELLS) != 0 ? qyi_cell_of(p)
                                                                 : NULL;
    /* acquire: pairs with the release of those who have dropped theirs */
    return cell != NULL && atomic_load_explicit(&cell->extra, memory_order_acquire) != 0;
}

/* The block is large enough, and at least half of it remains in use, or would of that of a block of their own. */
QYI_INLINE bool suits(size_t usable, size_t bytes)
{
    return bytes <= usable && bytes != 0 && (QYI_LIKELY(bytes >= usable / 2) || qyi_good_size(bytes) >= usable / 2);
}

static QYI_NOINLINE void *realloc_slow(void *p, size_t bytes)
{
    const uint64_t entry = entry_of(p, "realloc");
    if (bytes == 0) {
        qyi_free(p);
        return NULL;
    }
    if (bytes > QYI_SIZE_LIMIT)
        return out_of_memory();
    const size_t usable = qyi_usable_size(p, "realloc");
    if (is_shared(p, entry)) /* the others keep the bytes as they are */
        return move_block(p, usable, bytes);
    if (!is_large(entry) || bytes <= QYI_SMALL_BYTES / 2)
        return !is_large(entry) && suits(usable, bytes) ? p : move_block(p, usable, bytes);
    void *resized = qyi_large_resize(p, bytes);
    if (resized == NULL) {
        qyi_reclaim_all();
        resized = qyi_large_resize(p, bytes);
    }
    if (qyi_is_profiling() && resized != NULL)
        qyi_sample_resized(resized, usable, qyi_large_at(resized, "realloc")->bytes);
    qyi_reclaim_tick_now(NULL);
    return resized != NULL ? resized : out_of_memory();
}

static QYI_NOINLINE void *try_slow(size_t bytes)
{
    void *block;
    const unsigned class = qyi_class_of(bytes);
    if (qyi_malloc_common(class, &block))
        return block;
    block = borrow(class);
    return block != NULL ? block : take_block(class);
}

/* The same as malloc, for at most QYI_SMALL_BYTES, but free memory is not gathered for it, and NULL is no error. */
QYI_INLINE void *try_malloc(size_t bytes)
{
    void *block;
    if (QYI_LIKELY(bytes <= QYI_TABLE_BYTES) && QYI_LIKELY(qyi_magazine_pop(qyi_my_magazine(bytes), &block)))
        return block;
    return try_slow(bytes);
}

/*
 * Move a block of a slab, for more bytes or for fewer. Who appends a few bytes at a time would move at every class, eight times until
 * the block has doubled; with a quarter in reserve it is three times. Who asks for more than that has a plan of his own; and
 * blocks above some KiB are to end as small as they were asked to, since they are long-lived buffers of a fixed size more
 * often than they are strings.
 */
static void *move_small(void *p, size_t usable, size_t bytes)
{
    const size_t creeping_limit = 4 << 10;
    const size_t reserved = usable + usable / 4;
    void *target = NULL;
    if (bytes > usable && bytes < reserved && usable < creeping_limit)
        target = try_malloc(reserved);
    return move_into(target != NULL ? target : qyi_malloc(bytes), p, usable, bytes);
}

/* A block of a slab, never retained, of which it is not yet certain that it stays as it is. */
static QYI_NOINLINE void *realloc_small(void *p, size_t usable, size_t bytes)
{
    if (suits(usable, bytes))
        return p;
    if (QYI_LIKELY(bytes - 1 < QYI_SMALL_BYTES)) /* not 0 */
        return move_small(p, usable, bytes);
    return realloc_slow(p, bytes);
}

/* The usual cases at once: nothing (some programs allocate by realloc alone), or a block that has the right size already. */
void *qyi_realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return qyi_malloc(bytes);
    const size_t offset = qyi_region_offset(p);
    if (QYI_LIKELY(qyi_region_has(offset))) {
        const uint64_t entry = qyi_entry(offset >> QYI_GRANULE_SHIFT);
        if (QYI_LIKELY(entry != 0 && (entry & (QYI_ENTRY_LARGE | QYI_ENTRY_HAS_CELLS | QYI_ENTRY_POOLED)) == 0)) {
            const size_t usable = slab_block_bytes(p, entry, "realloc");
            return QYI_LIKELY(bytes <= usable && bytes > usable / 2) ? p : realloc_small(p, usable, bytes);
        }
    }
    return realloc_slow(p, bytes);
}

size_t qyi_good_size(size_t bytes)
{
    if (!qyi_start() || bytes > QYI_SIZE_LIMIT)
        return 0;
    if (bytes <= QYI_SMALL_BYTES)
        return qyi_classes[qyi_class_of(bytes)].bytes;
    return qyi_align_up(bytes, qyi_os_page_bytes);
}

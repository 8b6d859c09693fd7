/*
 * magazine.c: the slow half of the magazines: growth, refill, flush. Layer 4.
 *
 * A magazine starts with 15 slots (of large classes, with fewer) and grows fourfold, to 63, 255, 1023 and 2047, if slow calls
 * follow each other so closely that the program must be allocating or freeing in bursts. Its class bounds it in bytes, and all of
 * a thread's magazines share an allowance of bytes. A refill asks for half of the capacity at most; an overflow that does not
 * grow flushes the lower half, the blocks freed longest ago. Slots lie in the thread's own pages; those that were outgrown stay
 * unused until all are dropped together.
 *
 * All of it happens under the heap's lock, although nobody else touches a thread's magazines: a forked child looks at
 * the lock to learn whether a thread that it does not have stood in here, and if not, takes its magazines apart.
 *
 * I1  slots <= top <= limit == slots + capacity; top - slots is the number of blocks. Of n, n - 1 stand in slots[1] and behind, the last
 *     is next; slots[0] is NULL. Without any, next is NULL. slots[-1] is NULL and the magazine's too: in a signal's handler that
 *     interrupts the fast paths, top may be there, and next is NULL then; so it is next that says whether there is a block.
 * I2  every block in a magazine is of the magazine's class and belongs to the thread's heap, or the common heap if the
 *     class does.
 */
#include "magazine.h"

#include "fatal.h"
#include "fork.h"
#include "heap.h"
#include "heaps.h"
#include "meter.h"
#include "os.h"

#include <string.h>

enum { GROWTH_FACTOR = 4 };

/* Of a refill, with threads that free each other's blocks. */
enum { PREFETCHED_MAX = 32 };

/* How many blocks of larger classes a class hands out before it is opened, and how much larger. */
enum { BORROWED_MAX = 4, BORROWED_FACTOR = 2 };

/* Fewer calls than this many times the capacity between two slow ones make a burst. */
enum { BURST_CAPACITIES = 2 };

/* Up to these bytes of blocks, a magazine grows without a burst too. */
static const size_t SMALL_MAGAZINE_BYTES = 4 << 10;

/* What all magazines of a thread may hold, in bytes of blocks, beyond their first few slots. */
static const size_t ROOM_BYTES = 2 << 20;

__thread size_t qyi_my_offset __attribute__((tls_model("initial-exec")));

/* Never written: they have no block to give and no room for one. All of them look alike, whatever key a first one goes with. */
#define NONE ((struct qyi_magazine *)qyi_zeros)
static_assert(QYI_CLASS_COUNT * sizeof(struct qyi_magazine) <= QYI_ZEROS_BYTES, "enough zeros");

#define FOUR(x) x, x, x, x
#define SIXTEEN(x) FOUR(x), FOUR(x), FOUR(x), FOUR(x)
static_assert(QYI_TABLE_BYTES / QYI_STEP_BYTES == 64, "as many values as for_size has before the last");
__thread struct qyi_paths qyi_my_paths
    __attribute__((tls_model("initial-exec"))) = {.first = NONE, .for_size = {FOUR(SIXTEEN(NONE)), NONE}};

/* A signal's handler may come at any time: with this key, it finds those of its blocks, or none. */
static void set_paths(uint64_t key, struct qyi_magazine *first)
{
    struct qyi_paths *paths = &qyi_my_paths;
    unsigned class = 0;
    paths->key = 0;
    atomic_signal_fence(memory_order_seq_cst);
    paths->first = first;
    for (size_t i = 0; i < sizeof paths->for_size / sizeof paths->for_size[0]; i++) {
        if (key != 0 && i * QYI_STEP_BYTES > qyi_classes[class].bytes)
            class++;
        paths->for_size[i] = first + class;
    }
    atomic_signal_fence(memory_order_seq_cst);
    paths->key = key;
}

void qyi_magazines_make_mine(struct qyi_magazines *mine)
{
    if (mine == NULL) {
        set_paths(0, NONE);
        qyi_my_offset = 0;
        return;
    }
    qyi_my_offset = qyi_region_offset(mine); /* first: until there are paths to them, a handler goes the slow way */
    set_paths(mine->key, mine->magazine);
}

void qyi_magazines_open(struct qyi_magazines *mine, struct qyi_heap *heap, uint32_t heap_id)
{
    mine->key = (uint64_t)heap_id << QYI_ENTRY_OWNER_SHIFT;
    mine->heap = heap;
    mine->room_bytes = ROOM_BYTES;
}

static void **slots_of(const struct qyi_magazines *mine, unsigned class)
{
    return mine->magazine[class].limit - mine->growth[class].capacity;
}

/*
 * After a handler's slow path in the middle of a fast one, top may lead to outgrown slots, or behind them: what the magazine holds is
 * lost then, and the next flush leads top back.
 */
static bool is_astray(const struct qyi_magazines *mine, unsigned class)
{
    const struct qyi_magazine *magazine = &mine->magazine[class];
    return magazine->next != NULL && (size_t)(magazine->top - slots_of(mine, class)) > mine->growth[class].capacity;
}

static size_t count_in(const struct qyi_magazines *mine, unsigned class)
{
    const struct qyi_magazine *magazine = &mine->magazine[class];
    return magazine->next == NULL || is_astray(mine, class) ? 0 : (size_t)(magazine->top - slots_of(mine, class));
}

/* The blocks in a row: puts the last one there too. Of an open magazine. */
static void **row_of(struct qyi_magazines *mine, unsigned class)
{
    *mine->magazine[class].top = mine->magazine[class].next;
    return slots_of(mine, class) + 1;
}

/* The reverse: so many blocks stand in the row. */
static void set_count(struct qyi_magazines *mine, unsigned class, size_t count)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    magazine->top = slots_of(mine, class) + count;
    magazine->next = *magazine->top;
}

/*
 * Slots for so many blocks, or NULL; there is always room for those that magazines start with, and reserve is what must be left for
 * them.
 */
static void **cut_slots(struct qyi_magazines *mine, unsigned capacity, unsigned reserve)
{
    if (mine->slots_used + QYI_SLOTS_MORE + capacity + reserve > QYI_SLOTS_COUNT)
        return NULL;
    void **slots = &mine->slots[mine->slots_used + 1];
    mine->slots_used += QYI_SLOTS_MORE + capacity;
    return slots;
}

/*
 * With the heap profile: which call of the class is to be sampled next; calls counts up to it. Whoever reads meanwhile sees that calls
 * is 0, or that due has changed (look.c).
 */
static void set_due(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    const uint64_t calls = qyi_magazines_calls(mine, class);
    const uint64_t more = qyi_meter_calls(mine->heap, qyi_classes[class].bytes);
    magazine->calls = 0;
    /* release: pairs with the acquires in calls_of of look.c */
    atomic_thread_fence(memory_order_release);
    mine->due[class] = calls + more;
    atomic_thread_fence(memory_order_release);
    magazine->calls = -more;
}

static void open_class(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    const unsigned capacity = qyi_classes[class].slots_first;
    magazine->top = cut_slots(mine, capacity, 0);
    magazine->limit = magazine->top + capacity;
    mine->growth[class].capacity = (uint16_t)capacity;
    if (qyi_meter_rate != 0 && !qyi_class_is_common(class))
        set_due(mine, class); /* now: free may fill it so that malloc finds it empty never */
}

/* Give the magazine more slots if it may have them. Keeps its blocks. */
static bool grow(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    struct qyi_magazine_growth *growth = &mine->growth[class];
    const unsigned old = growth->capacity;
    if (old == 0) {
        open_class(mine, class);
        return true;
    }
    const unsigned capacity = (unsigned)qyi_min(qyi_classes[class].slots_max, (old + 1) * GROWTH_FACTOR - 1);
    const size_t more_bytes = (size_t)(capacity - old) * qyi_classes[class].bytes;
    if (capacity == old || more_bytes > mine->room_bytes)
        return false;
    void **slots = cut_slots(mine, capacity, QYI_CLASS_COUNT * (QYI_SLOTS_MORE + QYI_SLOTS_FIRST));
    if (slots == NULL)
        return false;
    mine->room_bytes -= more_bytes;
    const size_t count = count_in(mine, class);
    memcpy(slots + 1, row_of(mine, class), count * sizeof(void *));
    magazine->limit = slots + capacity;
    growth->capacity = (uint16_t)capacity;
    set_count(mine, class, count);
    return true;
}

void *qyi_magazines_borrow(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_magazine_growth *growth = &mine->growth[class];
    const size_t bytes = qyi_classes[class].bytes;
    const size_t most_bytes = bytes * BORROWED_FACTOR;
    const size_t align = bytes & -bytes; /* of the class's blocks: callers rely on it */
    if (growth->capacity != 0 || growth->borrowed == BORROWED_MAX)
        return NULL;
    for (unsigned c = class + 1; !qyi_class_is_common(c) && qyi_classes[c].bytes <= most_bytes; c++) {
        void *block;
        if (qyi_classes[c].bytes % align == 0 && mine->growth[c].capacity != 0 &&
            qyi_magazine_pop(&mine->magazine[c], &block)) {
            growth->borrowed++;
            return block;
        }
    }
    return NULL;
}

/* A refill or an overflow: give the magazine slots if it has none, or more if it is worth while. True: it has grown. */
static bool adapt(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_magazine_growth *growth = &mine->growth[class];
    const uint32_t calls = (uint32_t)qyi_magazines_calls(mine, class);
    const bool burst = calls - growth->calls < BURST_CAPACITIES * growth->capacity;
    const bool small = growth->capacity * qyi_classes[class].bytes < SMALL_MAGAZINE_BYTES;
    growth->calls = calls;
    growth->used = true;
    return (growth->capacity == 0 || burst || small) && grow(mine, class);
}

/* The heap that a class's blocks come from, locked; the thread's own heap is locked already. */
static struct qyi_heap *lock_source(struct qyi_magazines *mine, unsigned class)
{
    struct qyi_heap *source = qyi_class_is_common(class) ? qyi_common_lock() : mine->heap;
    if (qyi_heap_has_news(source))
        qyi_heap_drain(source);
    return source;
}

static void unlock_source(struct qyi_magazines *mine, struct qyi_heap *source)
{
    if (source != mine->heap)
        qyi_unlock(&source->lock);
}

static unsigned take(struct qyi_magazines *mine, unsigned class, void **top, unsigned count)
{
    struct qyi_heap *source = lock_source(mine, class);
    const unsigned taken = qyi_heap_take(source, class, top, count);
    unlock_source(mine, source);
    return taken;
}

/* What other threads have freed, their processors have: ask for the blocks that are handed out first, which the program will write to. */
static void prefetch_blocks(void *const *row, unsigned count)
{
    for (unsigned i = 0; i < qyi_min(count, PREFETCHED_MAX); i++)
        qyi_prefetch_to_write(row[count - 1 - i]);
}

/* False: out of memory. */
static bool refill(struct qyi_magazines *mine, unsigned class)
{
    qyi_fork_check();
    qyi_lock(&mine->heap->lock);
    mine->refills++;
    mine->growth[class].used = true;
    if (mine->growth[class].capacity / 2 < qyi_classes[class].refill_max) /* or it would serve overflows only */
        adapt(mine, class);
    const unsigned wanted = (unsigned)qyi_min(qyi_classes[class].refill_max, (mine->growth[class].capacity + 1u) / 2);
    void **row = row_of(mine, class);
    const unsigned got = take(mine, class, row + wanted, wanted);
    if (got < wanted)
        memmove(row, row + (wanted - got), got * sizeof(void *));
    set_count(mine, class, got);
    if (qyi_class_is_common(class))
        mine->common_bytes += (size_t)got * qyi_classes[class].bytes;
    const bool others_free = mine->heap->drains != 0;
    qyi_unlock(&mine->heap->lock);
    if (others_free)
        prefetch_blocks(row, got);
    return got != 0;
}

/* A block, whose call is not counted yet. */
static void *take_uncounted(struct qyi_magazines *mine, unsigned class, bool *slow)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    *slow = magazine->next == NULL;
    if (*slow && !refill(mine, class))
        return NULL;
    if (qyi_class_is_common(class))
        mine->common_bytes -= qyi_classes[class].bytes;
    void *block = magazine->next;
    magazine->next = *--magazine->top;
    return block;
}

void *qyi_magazines_take(struct qyi_magazines *mine, unsigned class, bool *slow)
{
    void *block = take_uncounted(mine, class, slow);
    if (block != NULL)
        mine->magazine[class].calls++;
    return block;
}

/* ---- the heap profile ---- */

void *qyi_magazines_take_metered(struct qyi_magazines *mine, unsigned class, bool *slow, bool *sampled)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    qyi_fork_check(); /* before a lock is taken */
    if (mine->due[class] == 0)
        set_due(mine, class);
    const bool counted = magazine->calls == 0; /* by the fast path */
    void *block = take_uncounted(mine, class, slow);
    *sampled = block != NULL && (counted || ++magazine->calls == 0);
    if (*sampled)
        set_due(mine, class);
    else if (counted)
        magazine->calls--; /* the next call is due */
    return block;
}

void qyi_magazines_meter(struct qyi_magazines *mine)
{
    for (unsigned class = 0; class < QYI_OWN_CLASS_COUNT; class++) {
        if (mine->growth[class].capacity != 0)
            set_due(mine, class);
    }
}

/* ---- giving back ---- */

/* Give back up to count blocks, those at the bottom. The caller holds the heap's lock. */
static void flush_lower(struct qyi_magazines *mine, unsigned class, size_t count)
{
    const size_t held = count_in(mine, class);
    count = qyi_min(count, held);
    if (count == 0) {
        if (QYI_UNLIKELY(is_astray(mine, class)))
            set_count(mine, class, 0);
        return;
    }
    void **row = row_of(mine, class);
    struct qyi_heap *source = lock_source(mine, class);
    qyi_heap_put(source, class, row, count);
    unlock_source(mine, source);
    if (qyi_class_is_common(class))
        mine->common_bytes -= count * qyi_classes[class].bytes;
    if (held != count)
        memmove(row, row + count, (held - count) * sizeof(void *));
    set_count(mine, class, held - count);
}

static void overflow(struct qyi_magazines *mine, unsigned class, void *p)
{
    struct qyi_magazine *magazine = &mine->magazine[class];
    qyi_fork_check();
    qyi_lock(&mine->heap->lock);
    if (!adapt(mine, class)) {
        mine->flushes++;
        flush_lower(mine, class, (mine->growth[class].capacity + 1u) / 2);
    }
    *magazine->top++ = magazine->next;
    magazine->next = p;
    qyi_unlock(&mine->heap->lock);
}

/*
 * Make room for a block of the class among what the common classes' magazines may hold. What other classes have goes first, all of it, for
 * nobody knows what is still wanted. True: something had to go.
 */
static bool make_room(struct qyi_magazines *mine, unsigned class)
{
    const size_t most_bytes = QYI_COMMON_BYTES_MAX - qyi_classes[class].bytes;
    if (mine->common_bytes <= most_bytes)
        return false;
    qyi_lock(&mine->heap->lock);
    mine->flushes++;
    mine->growth[class].used = true;
    const size_t own_bytes = count_in(mine, class) * qyi_classes[class].bytes;
    for (unsigned other = QYI_OWN_CLASS_COUNT; mine->common_bytes != own_bytes && other < QYI_CLASS_COUNT; other++) {
        if (other != class)
            flush_lower(mine, other, SIZE_MAX);
    }
    if (mine->common_bytes > most_bytes) {
        flush_lower(mine, class, SIZE_MAX);
        mine->common_bytes = 0; /* some may have been lost, see count_in */
    }
    qyi_unlock(&mine->heap->lock);
    return true;
}

bool qyi_magazines_give(struct qyi_magazines *mine, unsigned class, void *p)
{
    bool slow = false;
    if (mine->magazine[class].next == p) /* now: it may be what makes room */
        qyi_fatal_pointer("free", p, qyi_classes[class].bytes, "double free");
    if (qyi_class_is_common(class)) {
        slow = make_room(mine, class);
        mine->common_bytes += qyi_classes[class].bytes;
    }
    if (qyi_magazine_push(&mine->magazine[class], p))
        return slow;
    overflow(mine, class, p);
    return true;
}

static void flush_all(struct qyi_magazines *mine)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        flush_lower(mine, class, SIZE_MAX);
}

void qyi_magazines_flush(struct qyi_magazines *mine)
{
    qyi_lock(&mine->heap->lock);
    flush_all(mine);
    qyi_unlock(&mine->heap->lock);
}

void qyi_magazines_check(struct qyi_magazines *mine)
{
    if (qyi_lock_try(&mine->heap->lock)) {
        flush_all(mine);
        qyi_unlock(&mine->heap->lock);
    }
}

/* Close all magazines, which are empty; the slots are all zero again, and their pages given back. */
static void close_all(struct qyi_magazines *mine)
{
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_magazine *magazine = &mine->magazine[class];
        magazine->next = NULL;
        magazine->top = magazine->limit = NULL;
        mine->growth[class].capacity = 0;
    }
    char *start = (char *)mine->slots;
    char *end = (char *)&mine->slots[mine->slots_used];
    char *pages = (char *)mine + qyi_align_up(offsetof(struct qyi_magazines, slots), qyi_os_page_bytes);
    char *pages_end = (char *)mine + qyi_align_down(offsetof(struct qyi_magazines, remote), qyi_os_page_bytes);
    if (pages < end && pages < pages_end && qyi_os_purge(pages, (size_t)(pages_end - pages))) {
        if (pages_end < end)
            memset(pages_end, 0, (size_t)(end - pages_end));
        end = pages;
    }
    memset(start, 0, (size_t)(end - start));
    mine->slots_used = 0;
    mine->common_bytes = 0;
    mine->room_bytes = ROOM_BYTES;
}

void qyi_magazines_shrink(struct qyi_magazines *mine)
{
    qyi_lock(&mine->heap->lock);
    flush_all(mine);
    close_all(mine);
    qyi_unlock(&mine->heap->lock);
}

void qyi_magazines_sweep(struct qyi_magazines *mine)
{
    qyi_lock(&mine->heap->lock);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_magazine_growth *growth = &mine->growth[class];
        if (!growth->used) {
            flush_lower(mine, class, SIZE_MAX);
            qyi_heap_trim_class(mine->heap, class);
        }
        growth->used = false;
    }
    qyi_unlock(&mine->heap->lock);
}

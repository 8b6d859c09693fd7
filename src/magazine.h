/*
 * magazine.h: a thread's pools of free blocks, one per size class, and the fast paths on them. Layer 4.
 *
 *     slots[0]  ...  block  block   |               |  capacity          next: the block that malloc returns next, NULL: none
 *       NULL                        ^ top           ^ limit
 *
 * malloc takes next, puts what is below it in its place, and counts; free does the reverse. Nothing else happens on the fast paths: no
 * lock, no atomic instruction, no access to the block or to its slab. The last block stands by itself because what the program writes to it
 * first holds back loads behind for as long as its address is not known, which is one load away and not two (src/README.md).
 *
 * With the heap profile, the count is negative, and reaches 0 with the call that is to be sampled (meter.h); the test for it costs malloc
 * an instruction, and saves the profile from a malloc of its own. A thread without magazines has paths to one that is empty and full at
 * once, and a key that matches no block, so the fast paths need no test of their own for that state.
 */
#ifndef QYI_MAGAZINE_H
#define QYI_MAGAZINE_H

#include "base.h"
#include "region.h"
#include "remote.h"
#include "sizeclass.h"

struct qyi_heap;

struct qyi_magazine {
    void *next;
    void **top;
    void **limit;
    uint64_t calls; /* blocks handed out; of a class with a `due`, less that. Frees are derived from it */
};

static_assert(sizeof(struct qyi_magazine) == 1 << QYI_ENTRY_CLASS_SHIFT,
              "an entry's class is an offset into magazines");

/* What only the slow paths need. */
struct qyi_magazine_growth {
    uint32_t calls;    /* the magazine's count at the last refill or overflow */
    uint16_t capacity; /* the most blocks; 0: closed */
    bool used;         /* refilled or flushed since the last sweep */
    uint8_t borrowed;  /* blocks of larger classes handed out for this one, before it was opened */
};

enum {
    QYI_SLOTS_FIRST = 15,            /* at most */
    QYI_SLOTS_MORE = 2,              /* than blocks: a NULL below them, and one for handlers (I1) */
    QYI_MAGAZINES_BYTES = 128 << 10, /* of address space; touched as far as it is used */
    QYI_SLOTS_COUNT = 15 << 10,      /* of all magazines of a thread */
};

struct qyi_magazines {
    uint64_t key; /* qyi_owner_key of the heap */
    struct qyi_heap *heap;
    size_t room_bytes; /* by how much the magazines may still grow, in bytes of blocks */
    struct qyi_magazine magazine[QYI_CLASS_COUNT];
    struct qyi_magazine_growth growth[QYI_CLASS_COUNT];
    uint64_t due[QYI_OWN_CLASS_COUNT]; /* number of the call that belongs into the heap profile next; 0: not known */
    size_t common_bytes;               /* held in magazines of common classes */
    uint64_t slow_calls;               /* the clock is looked at once in a while */
    _Atomic bool flush_wanted;         /* another thread asks for everything to be given back */
    uint64_t refills, flushes, remote_frees;
    bool registered; /* the thread's end will be noticed */
    bool forks;      /* the thread is inside fork */
    uint32_t slots_used;
    void *slots[QYI_SLOTS_COUNT];    /* cut from here one after another, as magazines are opened and grow */
    struct qyi_remote_buffer remote; /* last, since a program with one thread never touches it */
};

static_assert(sizeof(struct qyi_magazines) <= QYI_MAGAZINES_BYTES, "room for the slots");

static_assert(offsetof(struct qyi_magazines, growth) <= QYI_ZEROS_BYTES,
              "what a thread without magazines finds, all zero");

/*
 * Where the thread's magazines are, for the slow paths: counted from the region's base; 0 before the first call and after the last. Zero
 * and not an address, since the loader calls malloc (in IFUNC resolvers) before it has given thread-local variables their values.
 */
extern QYI_HIDDEN __thread size_t qyi_my_offset __attribute__((tls_model("initial-exec")));

/*
 * What the fast paths need of the thread's magazines, by address. Before the first call and after the last they lead to a magazine that
 * is empty and full at once; so that they do this early too, the shared library has a resolver of its own (interpose.c).
 */
enum { QYI_TABLE_BYTES = 1024 };
struct qyi_paths {
    uint64_t key; /* of struct qyi_magazines; 0: matches no block */
    struct qyi_magazine *first;
    struct qyi_magazine *for_size[QYI_TABLE_BYTES / QYI_STEP_BYTES + 1]; /* in steps */
};
extern QYI_HIDDEN __thread struct qyi_paths qyi_my_paths __attribute__((tls_model("initial-exec")));

/* Make these the calling thread's magazines; NULL: it has none any more. */
void qyi_magazines_make_mine(struct qyi_magazines *mine);

QYI_INLINE bool qyi_thread_is_attached(void)
{
    return qyi_my_offset != 0;
}

/* The thread's magazines, or zeros. */
QYI_INLINE struct qyi_magazines *qyi_my_magazines(void)
{
    return (struct qyi_magazines *)(qyi_region.base + qyi_my_offset); /* NOLINT(performance-no-int-to-ptr) */
}

/* The magazine for a request of at most QYI_TABLE_BYTES bytes. */
QYI_INLINE struct qyi_magazine *qyi_my_magazine(size_t bytes)
{
    return qyi_my_paths.for_size[(bytes + QYI_STEP_BYTES - 1) / QYI_STEP_BYTES];
}

/* The thread's magazine of a class, given an entry's difference from its key. */
QYI_INLINE struct qyi_magazine *qyi_my_magazine_by(uint64_t difference)
{
    return (struct qyi_magazine *)((char *)qyi_my_paths.first + difference);
}

/*
 * A signal's handler that allocates and frees in the middle of one of these, without a slow path, leaves the magazine as it found it:
 * hence the order of the stores. top is loaded and stored, since with one instruction that does both (an addition to memory), the same
 * loop took 5.5 or 9 ns a pair by chance.
 */

/* False when the magazine is empty, or the call is to be sampled: then it is counted already, and calls is 0. */
QYI_INLINE bool qyi_magazine_pop(struct qyi_magazine *magazine, void **block)
{
    void *next = magazine->next;
#if defined(__x86_64__)
    __asm__("" : "+a"(next)); /* where malloc returns it: a compiler may find that out late */
#endif
    if (QYI_UNLIKELY(next == NULL) || QYI_UNLIKELY(++magazine->calls == 0))
        return false;
    void **top = magazine->top - 1;
    void *below = *top;
    magazine->top = top;
    atomic_signal_fence(memory_order_seq_cst);
    magazine->next = below;
    *block = next;
    return true;
}

/* False when the magazine is full, or p is the block that was freed last. */
QYI_INLINE bool qyi_magazine_push(struct qyi_magazine *magazine, void *p)
{
    void **top = magazine->top;
    if (QYI_UNLIKELY(top >= magazine->limit))
        return false;
    void *next = magazine->next;
    if (QYI_UNLIKELY(next == p))
        return false;
    *top = next;
    magazine->next = p;
    atomic_signal_fence(memory_order_seq_cst);
    magazine->top = top + 1;
    return true;
}

/* A block of any class from the thread's magazines, refilled if need be; NULL when out of memory. *slow: it had to be
 * refilled. */
void *qyi_magazines_take(struct qyi_magazines *mine, unsigned class, bool *slow);

/*
 * What the magazines of common classes may hold together. They are many, and rarely used; with a bound for each, eight
 * threads that swap blocks of up to 64 KiB kept 12 MiB.
 */
enum { QYI_COMMON_BYTES_MAX = 128 << 10 };

/* A block of a common class. False: a case for qyi_magazines_take. */
QYI_INLINE bool qyi_magazines_pop_common(struct qyi_magazines *mine, unsigned class, void **block)
{
    if (QYI_UNLIKELY(!qyi_magazine_pop(&mine->magazine[class], block)))
        return false;
    mine->common_bytes -= qyi_interiors[class].bytes; /* found by the same shift as the magazine */
    return true;
}

/* The reverse. False: a case for qyi_magazines_give. */
QYI_INLINE bool qyi_magazines_push_common(struct qyi_magazines *mine, unsigned class, void *p)
{
    const size_t bytes = mine->common_bytes + qyi_interiors[class].bytes;
    if (QYI_UNLIKELY(bytes > QYI_COMMON_BYTES_MAX) || QYI_UNLIKELY(!qyi_magazine_push(&mine->magazine[class], p)))
        return false;
    mine->common_bytes = bytes;
    return true;
}

/*
 * For the first few blocks of one of the thread's own classes, one of a larger class that it has at hand; NULL: none is. A page for
 * each of the sizes that a small program asks for once or twice would be most of its heap.
 */
void *qyi_magazines_borrow(struct qyi_magazines *mine, unsigned class);

/* The same with the heap profile, for a class of the threads' own. *sampled: the block belongs into the profile. */
void *qyi_magazines_take_metered(struct qyi_magazines *mine, unsigned class, bool *slow, bool *sampled);

/* The profile begins: know of every class with calls which one is to be sampled. */
void qyi_magazines_meter(struct qyi_magazines *mine);

/* Blocks of the class that were handed out. */
QYI_INLINE uint64_t qyi_magazines_calls(const struct qyi_magazines *mine, unsigned class)
{
    return mine->magazine[class].calls + (qyi_class_is_common(class) ? 0 : mine->due[class]);
}

/* Take back a block of any class that belongs in a magazine of the thread. Aborts if it was freed just before. True: it
 * was slow. */
bool qyi_magazines_give(struct qyi_magazines *mine, unsigned class, void *p);

/* Make all-zero memory of QYI_MAGAZINES_BYTES the magazines of a heap. */
void qyi_magazines_open(struct qyi_magazines *mine, struct qyi_heap *heap, uint32_t heap_id);

/* Give every block back to the heap. */
void qyi_magazines_flush(struct qyi_magazines *mine);

/* The same at the end of the process, but nothing if the thread stands in a slow path: exit was called in a signal
 * handler. */
void qyi_magazines_check(struct qyi_magazines *mine);

/* The same as flush, and close all magazines: they open again with few slots when they are needed. */
void qyi_magazines_shrink(struct qyi_magazines *mine);

/* Give back the blocks of magazines that were not needed since the last sweep. */
void qyi_magazines_sweep(struct qyi_magazines *mine);

#endif

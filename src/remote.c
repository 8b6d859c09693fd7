/*
 * remote.c: freeing blocks that belong to another heap, in batches. Layer 4.
 *
 * A thread that frees others' blocks does not tell their owners one by one: it gathers the bits of one bitmap word in a
 * small hash table, and one atomic OR announces up to 64 blocks. A word leaves the table when another one wants its
 * place, when the table holds too many bytes, and when the thread refills a magazine after a while, becomes idle, or
 * ends. The blocks themselves are not touched.
 */
#include "remote.h"

#include "fatal.h"
#include "heap.h"
#include "magazine.h"
#include "reclaim.h"
#include "slab.h"

/* What the table may keep from its owners. */
static const size_t HELD_BYTES_MAX = 64 << 10;

/* A flush posts to lines that their owners have; so early does it ask for them. */
enum { POSTS_AHEAD = 3 };

static _Noreturn void fail(const void *p, unsigned class, const char *reason)
{
    qyi_fatal_pointer("free", p, qyi_classes[class].bytes, reason);
}

/*
 * A word of a slab's bitmap: where it is, and the slab's class, so that a slab that has gone meanwhile, which takes somebody's error, is
 * noticed unless one of the same class has come.
 */
enum { KEY_CLASS_SHIFT = 48 };

QYI_INLINE uint64_t key_of(unsigned class, uint32_t granule, uint32_t word)
{
    return (uint64_t)class << KEY_CLASS_SHIFT | ((uint64_t)granule * QYI_WORDS_MAX + word);
}

QYI_INLINE unsigned class_of(uint64_t key)
{
    return (unsigned)(key >> KEY_CLASS_SHIFT);
}

QYI_INLINE uint32_t granule_of(uint64_t key)
{
    return (uint32_t)(key / QYI_WORDS_MAX); /* without the class */
}

static QYI_COLD _Noreturn void fail_twice(uint64_t key, uint64_t bits)
{
    const unsigned class = class_of(key);
    const size_t block = (size_t)(key % QYI_WORDS_MAX) * 64 + qyi_ctz(bits);
    fail(qyi_granule_address(granule_of(key)) + block * qyi_classes[class].bytes, class, "double free");
}

static void announce(uint64_t key, uint64_t bits)
{
    const uint32_t granule = granule_of(key);
    /* Read first: afterwards the slab may be gone. Should it have moved to another heap since, the old owner passes the
     * news on. */
    const uint64_t entry = qyi_entry(granule) & ~QYI_ENTRY_SLAB_FLAGS;
    const uint32_t owner = qyi_entry_owner(entry);
    const unsigned class = class_of(key);
    /* owner 0: a free granule's entry is what a slab of class 0 and owner 0 would have */
    if (QYI_UNLIKELY(owner == 0 || entry != qyi_slab_entry(owner, class)))
        fail_twice(key, bits);
    uint64_t twice;
    switch (qyi_slab_post(granule, class, key % QYI_WORDS_MAX, bits, &twice)) {
    case QYI_POSTED: break;
    case QYI_POSTED_FIRST: qyi_heap_notify(owner, granule); break;
    case QYI_POSTED_FREE_ALREADY: fail_twice(key, twice);
    }
}

static void announce_word(struct qyi_magazines *mine, unsigned place)
{
    struct qyi_remote_word *word = &mine->remote.word[place];
    const uint64_t key = word->key;
    const uint64_t bits = word->bits;
    word->key = 0;
    if (key == 0)
        return;
    mine->remote_frees += (uint64_t)qyi_popcount(bits);
    announce(key, bits);
}

QYI_NOINLINE void qyi_remote_flush(struct qyi_magazines *mine)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    for (uint32_t i = 0; i < buffer->used_count; i++) {
        if (i + POSTS_AHEAD < buffer->used_count) {
            const uint64_t key = buffer->word[buffer->used[i + POSTS_AHEAD]].key;
            qyi_slab_prefetch_post(granule_of(key), class_of(key), key % QYI_WORDS_MAX);
        }
        announce_word(mine, buffer->used[i]);
    }
    buffer->used_count = 0;
    buffer->held_bytes = 0;
}

/* The buffer holds what it may: announce it. Returns 0, as qyi_remote_free does. */
static QYI_NOINLINE int flush_full(struct qyi_magazines *mine)
{
    qyi_remote_flush(mine);
    qyi_reclaim_tick(mine);
    return 0;
}

/* Blocks of so many bytes have come in. */
QYI_INLINE int hold(struct qyi_magazines *mine, size_t bytes)
{
    const size_t held_bytes = mine->remote.held_bytes + bytes;
    mine->remote.held_bytes = held_bytes;
    return QYI_LIKELY(held_bytes < HELD_BYTES_MAX) ? 0 : flush_full(mine);
}

/* The place belongs to another word, or to none: start this one with a block of so many bytes. */
static QYI_NOINLINE int take_place(struct qyi_magazines *mine, unsigned place, struct qyi_remote_word new, size_t bytes)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    struct qyi_remote_word *word = &buffer->word[place];
    if (word->key == 0)
        buffer->used[buffer->used_count++] = (uint8_t)place;
    else
        announce_word(mine, place);
    word->bits = new.bits;
    atomic_signal_fence(memory_order_seq_cst); /* a handler that calls exit finds the bits of an older word, or these */
    word->key = new.key;
    return hold(mine, bytes);
}

/* Where a block is, as the owner's bitmaps see it; aborts if p is not the start of a block. */
struct position {
    uint32_t granule; /* the slab's first */
    uint32_t block;
};

QYI_INLINE struct position find(const void *p, uint64_t entry)
{
    const struct qyi_class *class = &qyi_classes[qyi_entry_class(entry)];
    const struct position position = {
        .granule = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT) - qyi_entry_offset(entry),
        .block = qyi_block_number(class, qyi_entry_bytes(entry, p)),
    };
    if (QYI_UNLIKELY(position.block >= class->block_count))
        fail(p, qyi_entry_class(entry), "not the start of a block");
    return position;
}

/* A word that has a place already, and a buffer with room; the other cases are tail calls, so that no register has to be saved. */
int qyi_remote_free(struct qyi_magazines *mine, void *p, uint64_t entry)
{
    const struct position at = find(p, entry);
    const size_t bytes = qyi_classes[qyi_entry_class(entry)].bytes;
    const struct qyi_remote_word new = {
        .key = key_of(qyi_entry_class(entry), at.granule, at.block / 64),
        .bits = (uint64_t)1 << at.block % 64,
    };
    const unsigned place = (unsigned)(new.key * 0x9e3779b97f4a7c15u >> (64 - QYI_REMOTE_WORDS_LOG2));
    struct qyi_remote_word *word = &mine->remote.word[place];
    if (QYI_UNLIKELY(word->key != new.key))
        return take_place(mine, place, new, bytes);
    const uint64_t bits = word->bits;
    if (QYI_UNLIKELY((bits & new.bits) != 0))
        fail(p, qyi_entry_class(entry), "double free");
    word->bits = bits | new.bits;
    return hold(mine, bytes);
}

void qyi_remote_free_now(void *p, uint64_t entry)
{
    const struct position at = find(p, entry);
    announce(key_of(qyi_entry_class(entry), at.granule, at.block / 64), (uint64_t)1 << at.block % 64);
}

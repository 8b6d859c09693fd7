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
#include "slab.h"

/* What the table may keep from its owners. */
static const size_t HELD_BYTES_MAX = 64 << 10;

static _Noreturn void fail(const void *p, unsigned class, const char *reason)
{
    qyi_fatal_pointer("free", p, qyi_classes[class].bytes, reason);
}

static void announce(uint32_t granule, unsigned number, uint64_t bits)
{
    struct qyi_slab *slab = qyi_slab_at(granule);
    /* Read first: afterwards the slab may be gone. Should it have moved to another heap since, the old owner passes the
     * news on. */
    const uint32_t owner = qyi_entry_owner(qyi_entry(granule));
    uint64_t twice;
    switch (qyi_slab_post(slab, number, bits, &twice)) {
    case QYI_POSTED: break;
    case QYI_POSTED_FIRST: qyi_heap_notify(owner, granule); break;
    case QYI_POSTED_FREE_ALREADY: {
        const size_t bytes = qyi_classes[slab->class].bytes;
        fail(qyi_granule_address(granule) + ((size_t)number * 64 + qyi_ctz(twice)) * bytes, slab->class, "double free");
    }
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
    announce((uint32_t)(key / QYI_WORDS_MAX), key % QYI_WORDS_MAX, bits);
}

QYI_NOINLINE void qyi_remote_flush(struct qyi_magazines *mine)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    for (uint32_t i = 0; i < buffer->used_count; i++)
        announce_word(mine, buffer->used[i]);
    buffer->used_count = 0;
    buffer->held_bytes = 0;
}

/* The place belongs to another word, or to none. */
static QYI_NOINLINE void take_place(struct qyi_magazines *mine, unsigned place, uint64_t key, uint64_t bit)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    struct qyi_remote_word *word = &buffer->word[place];
    if (word->key == 0)
        buffer->used[buffer->used_count++] = (uint8_t)place;
    else
        announce_word(mine, place);
    word->bits = bit;
    word->key = key;
}

/* Where a block is, as the owner's bitmaps see it; aborts if p is not the start of a block. */
struct position {
    uint32_t granule; /* the slab's first */
    uint32_t block;
};

QYI_INLINE struct position find(const void *p, uint64_t entry)
{
    const struct qyi_class *class = &qyi_classes[qyi_entry_class(entry)];
    const uint32_t granules = qyi_entry_offset(entry);
    const size_t offset = qyi_region_offset(p);
    const struct position position = {
        .granule = (uint32_t)(offset >> QYI_GRANULE_SHIFT) - granules,
        .block = qyi_block_number(class, (uint32_t)(offset % QYI_GRANULE_BYTES) + (granules << QYI_GRANULE_SHIFT)),
    };
    if (QYI_UNLIKELY(position.block >= class->block_count))
        fail(p, qyi_entry_class(entry), "not the start of a block");
    return position;
}

bool qyi_remote_free(struct qyi_magazines *mine, void *p, uint64_t entry)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    const struct position at = find(p, entry);
    const uint64_t key = (uint64_t)at.granule * QYI_WORDS_MAX + at.block / 64;
    const uint64_t bit = (uint64_t)1 << at.block % 64;
    const unsigned place = (unsigned)(key * 0x9e3779b97f4a7c15u >> (64 - QYI_REMOTE_WORDS_LOG2));
    struct qyi_remote_word *word = &buffer->word[place];
    if (QYI_LIKELY(word->key == key)) {
        if (QYI_UNLIKELY((word->bits & bit) != 0))
            fail(p, qyi_entry_class(entry), "double free");
        word->bits |= bit;
    } else {
        take_place(mine, place, key, bit);
    }
    buffer->held_bytes += qyi_classes[qyi_entry_class(entry)].bytes;
    if (QYI_LIKELY(buffer->held_bytes < HELD_BYTES_MAX))
        return false;
    qyi_remote_flush(mine);
    return true;
}

void qyi_remote_free_now(void *p, uint64_t entry)
{
    const struct position at = find(p, entry);
    announce(at.granule, at.block / 64, (uint64_t)1 << at.block % 64);
}

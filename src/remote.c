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

void qyi_remote_flush(struct qyi_magazines *mine)
{
    struct qyi_remote_buffer *buffer = &mine->remote;
    for (uint32_t i = 0; i < buffer->used_count; i++) {
        const unsigned place = buffer->used[i];
        const uint64_t bits = buffer->word[place].bits;
        buffer->word[place].bits = 0;
        announce(buffer->word[place].granule, buffer->word[place].number, bits);
    }
    buffer->used_count = 0;
    buffer->held_bytes = 0;
}

static unsigned hash(uint32_t granule, uint32_t number)
{
    return ((granule * 0x9e3779b1u) >> (32 - QYI_REMOTE_WORDS_LOG2) ^ number) % QYI_REMOTE_WORDS;
}

/* Gather the block with the others of its word. False: it is there already. */
static bool gather(struct qyi_remote_buffer *buffer, uint32_t granule, uint32_t number, uint64_t bit)
{
    const unsigned place = hash(granule, number);
    uint64_t bits = buffer->word[place].bits;
    if (bits == 0) {
        buffer->used[buffer->used_count++] = (uint8_t)place;
    } else if (buffer->word[place].granule != granule || buffer->word[place].number != number) {
        announce(buffer->word[place].granule, buffer->word[place].number, bits);
        bits = 0;
    }
    buffer->word[place].bits = bits | bit;
    buffer->word[place].granule = granule;
    buffer->word[place].number = number;
    return (bits & bit) == 0;
}

void qyi_remote_free(struct qyi_magazines *mine, void *p, uint64_t entry)
{
    const unsigned class = qyi_entry_class(entry);
    const uint32_t granule = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT) - qyi_entry_offset(entry);
    const size_t offset = qyi_region_offset(p) - ((size_t)granule << QYI_GRANULE_SHIFT);
    const uint32_t block = qyi_block_number(&qyi_classes[class], (uint32_t)offset);
    if (QYI_UNLIKELY(block >= qyi_classes[class].block_count))
        fail(p, class, "not the start of a block");
    const uint64_t bit = (uint64_t)1 << block % 64;
    if (mine == NULL) {
        announce(granule, block / 64, bit);
        return;
    }
    mine->remote_frees++;
    if (QYI_UNLIKELY(!gather(&mine->remote, granule, block / 64, bit)))
        fail(p, class, "double free");
    mine->remote.held_bytes += qyi_classes[class].bytes;
    if (mine->remote.held_bytes >= HELD_BYTES_MAX)
        qyi_remote_flush(mine);
}

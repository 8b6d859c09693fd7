/*
 * slab.c: taking blocks from a slab and giving them back, by the owner and by others. Layer 3.
 *
 * I1  free_count == number of bits set in free; no bit at or beyond carved is set.
 * I2  words has bit w set if free[w] != 0.
 * I3  a block's bit is never set in free and remote at once.
 *
 * The remote protocol (tests/models/remote.pml). A thread that frees blocks of a slab it does not own
 *
 *     R1  sets their bits:          old = fetch_or(bits[w], b)
 *     R2  announces them:           first = fetch_add(pending, n) == 0
 *     R3  if first, pushes the slab on the owner's notify list
 *
 * and never touches the slab again. The owner takes the whole list, and for each slab on it, having read notify_next,
 *
 *     O1  n = exchange(pending, 0)
 *     O2  takes every non-zero word: b = exchange(bits[w], 0); found += popcount(b)
 *     O3  unannounced += found - n
 *
 * O2 may find bits whose thread stands between R1 and R2. Their blocks can be handed out again, but the slab must not
 * go away under that thread: it goes only when unannounced is 0, that is, when everybody whose bits were found has
 * passed R2; whoever had to do R3 has done it, for the slab was on the list. If pending was 0 at R2, the slab is on no
 * list, so nobody else writes notify_next. It is never below 0, since R1 comes first, unless somebody has announced what
 * was never handed out: O2 looks at carved blocks only.
 */
#include "slab.h"

#include "fatal.h"

#include <string.h>

static unsigned word_count(const struct qyi_slab *slab)
{
    return (unsigned)qyi_div_up(qyi_classes[slab->class].block_count, 64);
}

static _Atomic uint64_t *remote_words(struct qyi_slab *slab)
{
    return qyi_slab_is_inline(slab->class) ? slab->remote_inline : qyi_slab_outer_remote(qyi_slab_granule(slab));
}

static char *first_block(const struct qyi_slab *slab)
{
    return qyi_granule_address(qyi_slab_granule(slab));
}

struct qyi_slab *qyi_slab_new(unsigned class, uint32_t owner)
{
    bool zeroed;
    /* Blocks whose size is a multiple of more than a granule, a power of two, are aligned to it (to as much as is promised). */
    const size_t align = qyi_max(1, (size_t)1 << qyi_classes[class].shift >> QYI_GRANULE_SHIFT);
    const uint32_t granule =
        qyi_run_take(qyi_classes[class].granule_count, align, qyi_slab_entry(owner, class), &zeroed);
    if (granule == 0)
        return NULL;
    struct qyi_slab *slab = qyi_slab_at(granule);
    memset(slab, 0, offsetof(struct qyi_slab, pending)); /* the rest is zero: see qyi_slab_delete */
    slab->class = (uint8_t)class;
    return slab;
}

void qyi_slab_delete(struct qyi_slab *slab)
{
    qyi_assert(qyi_slab_is_empty(slab));
    /* Every block's bit is in free by now and nothing is posted, so the remote words are zero. */
    memset(qyi_slab_free_words(slab), 0, qyi_div_up(slab->carved, 64) * sizeof(uint64_t));
    memset(slab->sampled, 0, sizeof slab->sampled); /* a profile may have lost samples */
    qyi_run_give(qyi_slab_granule(slab), qyi_classes[slab->class].granule_count);
}

/* ---- the owner ---- */

/* count addresses from block on, the lowest to top[-1]. */
static void **emit(void **top, char *block, size_t bytes, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        top[-(ptrdiff_t)i] = block;
        block += bytes;
    }
    return top - count;
}

static void **take_free(struct qyi_slab *slab, void **top, unsigned count)
{
    const size_t bytes = qyi_classes[slab->class].bytes;
    uint64_t *free = qyi_slab_free_words(slab);
    while (count > 0) {
        const unsigned w = qyi_ctz(slab->words);
        char *start = first_block(slab) + (size_t)w * 64 * bytes;
        uint64_t bits = free[w];
        if (bits == UINT64_MAX && count >= 64) { /* often: programs free in order */
            top = emit(top, start, bytes, 64);
            count -= 64;
            bits = 0;
        }
        for (; bits != 0 && count > 0; bits &= bits - 1, count--)
            *--top = start + qyi_ctz(bits) * bytes;
        free[w] = bits;
        if (bits == 0)
            slab->words &= slab->words - 1;
    }
    return top;
}

unsigned qyi_slab_take(struct qyi_slab *slab, void **top, unsigned count)
{
    const struct qyi_class *class = &qyi_classes[slab->class];
    const unsigned from_free = (unsigned)qyi_min(count, slab->free_count);
    top = take_free(slab, top, from_free);
    slab->free_count = (uint16_t)(slab->free_count - from_free);
    const unsigned fresh = (unsigned)qyi_min(count - from_free, (size_t)class->block_count - slab->carved);
    emit(top, first_block(slab) + (size_t)slab->carved * class->bytes, class->bytes, fresh);
    slab->carved = (uint16_t)(slab->carved + fresh);
    return from_free + fresh;
}

bool qyi_slab_put(struct qyi_slab *slab, uint32_t first, uint32_t count, uint32_t *twice)
{
    uint64_t *free = qyi_slab_free_words(slab);
    slab->free_count = (uint16_t)(slab->free_count + count);
    while (count > 0) {
        const uint32_t w = first / 64;
        const uint32_t length = (uint32_t)qyi_min(count, 64 - first % 64);
        const uint64_t bits = qyi_mask64(first % 64, length);
        if (QYI_UNLIKELY((free[w] & bits) != 0)) {
            *twice = w * 64 + qyi_ctz(free[w] & bits);
            return false;
        }
        free[w] |= bits;
        slab->words |= (uint64_t)1 << w;
        first += length;
        count -= length;
    }
    return true;
}

/* ---- other threads ---- */

enum qyi_posted qyi_slab_post(uint32_t granule, unsigned class, unsigned word, uint64_t bits, uint64_t *twice)
{
    struct qyi_slab *slab = qyi_slab_at(granule);
    _Atomic uint64_t *remote = qyi_slab_is_inline(class) ? slab->remote_inline : qyi_slab_outer_remote(granule);
    qyi_prefetch_to_write(&remote[word]); /* what follows would first fetch it to be read */
    /* R1. release: what this thread wrote to the blocks comes before their reuse; pairs with O2 */
    const uint64_t old = atomic_fetch_or_explicit(&remote[word], bits, memory_order_release);
    *twice = old & bits;
    if (QYI_UNLIKELY(*twice != 0))
        return QYI_POSTED_FREE_ALREADY;
    /* R2. release: R1 is visible to the owner who sees the count; acquire: the owner's reading of notify_next came
     * before; both pair with O1 */
    const uint32_t count = (uint32_t)qyi_popcount(bits);
    const uint32_t pending = atomic_fetch_add_explicit(&slab->pending, count, memory_order_acq_rel);
    return pending == 0 ? QYI_POSTED_FIRST : QYI_POSTED;
}

/* The first block, in word w or later, that others have freed and the owner has not seen; 0 if there is none. */
static uint32_t first_posted(struct qyi_slab *slab, unsigned w)
{
    for (; w < word_count(slab); w++) {
        const uint64_t bits = atomic_load_explicit(&remote_words(slab)[w], memory_order_relaxed);
        if (bits != 0)
            return w * 64 + qyi_ctz(bits);
    }
    return 0;
}

bool qyi_slab_is_posted(struct qyi_slab *slab, uint32_t *block)
{
    /* acquire: pairs with R2 */
    if (atomic_load_explicit(&slab->pending, memory_order_acquire) == 0)
        return false;
    *block = first_posted(slab, 0);
    return true;
}

bool qyi_slab_collect(struct qyi_slab *slab, uint32_t *wrong)
{
    uint64_t *free = qyi_slab_free_words(slab);
    _Atomic uint64_t *remote = remote_words(slab);
    /* O1. acquire and release: pairs with R2 */
    const uint32_t announced = atomic_exchange_explicit(&slab->pending, 0, memory_order_acq_rel);
    const unsigned words = (unsigned)qyi_div_up(slab->carved, 64);
    uint32_t found = 0;
    for (unsigned w = 0; w < words; w++) {
        if (atomic_load_explicit(&remote[w], memory_order_relaxed) == 0)
            continue;
        /* O2. acquire: pairs with R1 */
        const uint64_t bits = atomic_exchange_explicit(&remote[w], 0, memory_order_acquire);
        const uint64_t uncarved = slab->carved < w * 64 + 64 ? bits >> slab->carved % 64 << slab->carved % 64 : 0;
        const uint64_t refused = (free[w] & bits) | uncarved;
        if (QYI_UNLIKELY(refused != 0)) {
            *wrong = w * 64 + qyi_ctz(refused);
            return false;
        }
        free[w] |= bits;
        slab->words |= (uint64_t)1 << w;
        found += (uint32_t)qyi_popcount(bits);
    }
    slab->free_count = (uint16_t)(slab->free_count + found);
    slab->unannounced += (int32_t)(found - announced); /* O3 */
    /* R1 comes before R2: what was announced and not found stands in a word beyond */
    if (QYI_UNLIKELY(slab->unannounced < 0)) {
        *wrong = first_posted(slab, words);
        return false;
    }
    return true;
}

unsigned qyi_slab_uncollected(uint32_t granule, unsigned class)
{
    const unsigned words = (unsigned)qyi_div_up(qyi_classes[class].block_count, 64);
    _Atomic uint64_t *remote =
        words <= QYI_WORDS_INLINE ? qyi_slab_at(granule)->remote_inline : qyi_slab_outer_remote(granule);
    unsigned count = 0;
    for (unsigned w = 0; w < words; w++)
        count += qyi_popcount(atomic_load_explicit(&remote[w], memory_order_relaxed));
    return count;
}

void qyi_slab_validate(struct qyi_slab *slab)
{
    const uint64_t *free = qyi_slab_free_words(slab);
    const _Atomic uint64_t *remote = remote_words(slab);
    unsigned count = 0;
    for (unsigned w = 0; w < word_count(slab); w++) {
        count += qyi_popcount(free[w]);
        qyi_assert(free[w] == 0 || (slab->words >> w & 1) != 0);                             /* I2 */
        qyi_assert((free[w] & atomic_load_explicit(&remote[w], memory_order_relaxed)) == 0); /* I3 */
        const unsigned known = slab->carved <= w * 64 ? 0 : (unsigned)qyi_min(64, slab->carved - w * 64);
        qyi_assert(known == 64 || free[w] >> known == 0); /* I1 */
    }
    qyi_assert(count == slab->free_count); /* I1 */
}

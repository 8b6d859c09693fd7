/*
 * For the tests of references with many threads: parcels, slices that know what they must contain, travel through a board;
 * whoever takes one out of it owns it.
 */
#ifndef BLACKBOX_REFERENCES_H
#define BLACKBOX_REFERENCES_H

#include "blackbox.h"
#include "quarry/slice.h"
#include <malloc.h>
#include <stdatomic.h>

enum { BOARD = 256, CHECKED = 500, FOREIGN = 64, FOREIGN_BYTES = 2000 };

/* The bytes from `from` on of a block that was filled with the seed. */
struct parcel {
    qy_slice slice;
    uint64_t seed;
    size_t from;
};

static _Atomic(struct parcel *) board[BOARD];

/* Memory of another origin, and whether it is in use. */
static struct {
    unsigned char bytes[FOREIGN_BYTES];
    _Atomic bool used;
} foreign[FOREIGN];

static inline unsigned char parcel_byte(uint64_t seed, size_t i)
{
    return (unsigned char)(seed + i * 7 + (i >> 8));
}

static inline size_t parcel_next(size_t i)
{
    return i < CHECKED ? i + 1 : i + 997;
}

static void parcel_verify(const struct parcel *parcel)
{
    const unsigned char *bytes = parcel->slice.iov_base;
    for (size_t i = 0; i < parcel->slice.iov_len; i = parcel_next(i))
        CHECK(bytes[i] == parcel_byte(parcel->seed, parcel->from + i), "byte %zu of %zu, from %zu on", i,
              parcel->slice.iov_len, parcel->from);
}

static void foreign_release(void *p, size_t length, void *context)
{
    _Atomic bool *used = context;
    (void)length;
    memset(p, 0, length);
    CHECK(atomic_exchange(used, false), "registered memory was released twice");
}

static qy_slice foreign_new(uint64_t *state)
{
    const size_t k = bb_random(state) % FOREIGN;
    if (atomic_exchange(&foreign[k].used, true))
        return QY_SLICE_EMPTY; /* somebody has it */
    const qy_slice slice = qy_slice_foreign(foreign[k].bytes, FOREIGN_BYTES, foreign_release, &foreign[k].used);
    CHECK(slice.iov_len == FOREIGN_BYTES);
    return slice;
}

/* Blocks of all kinds: neighbours in a slab, such as lie across granules, large ones; now and then registered memory. */
static struct parcel *parcel_new(uint64_t *state)
{
    static const size_t MOST[] = {64, 64, 300, 300, 1000, 5000, 65000, 65000, 200000};
    struct parcel *parcel = malloc(sizeof *parcel);
    CHECK(parcel != NULL);
    parcel->slice = bb_random(state) % 16 == 0 ? foreign_new(state) : QY_SLICE_EMPTY;
    if (parcel->slice.iov_len == 0)
        parcel->slice = qy_slice_new(1 + bb_random(state) % MOST[bb_random(state) % BB_COUNT(MOST)]);
    CHECK(parcel->slice.iov_len != 0 && qy_is_unique(parcel->slice.iov_base));
    parcel->seed = bb_random(state);
    parcel->from = 0;
    unsigned char *bytes = parcel->slice.iov_base;
    const size_t length = parcel->slice.iov_len;
    memset(bytes, 0, length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = parcel_byte(parcel->seed, i);
    return parcel;
}

/* Another slice of the same block. */
static struct parcel *parcel_share(const struct parcel *parcel, uint64_t *state)
{
    struct parcel *other = malloc(sizeof *other);
    CHECK(other != NULL);
    const size_t offset = bb_random(state) % parcel->slice.iov_len;
    const size_t length = 1 + bb_random(state) % (parcel->slice.iov_len - offset);
    other->slice = qy_slice_sub(parcel->slice, offset, length);
    CHECK(other->slice.iov_len == length);
    other->seed = parcel->seed;
    other->from = parcel->from + offset;
    return other;
}

static void parcel_drop(struct parcel *parcel, uint64_t *state)
{
    if (parcel == NULL)
        return;
    parcel_verify(parcel);
    const size_t length = parcel->slice.iov_len;
    switch (bb_random(state) % 4) {
    case 0: CHECK(qy_release((char *)parcel->slice.iov_base + bb_random(state) % length) == 0); break;
    case 1: free(qy_slice_into_raw(&parcel->slice)); break;
    case 2: qy_slices_drop(&parcel->slice, 1); break;
    default: qy_slice_drop(&parcel->slice); break;
    }
    free(parcel);
}

/* Put it on the board, and drop what has lain there. */
static void parcel_put(struct parcel *parcel, uint64_t *state)
{
    parcel_drop(atomic_exchange(&board[bb_random(state) % BOARD], parcel), state);
}

static struct parcel *parcel_take(uint64_t *state)
{
    return atomic_exchange(&board[bb_random(state) % BOARD], NULL);
}

/* One of the things that owners do. */
static void parcel_trade(uint64_t *state)
{
    struct parcel *parcel = parcel_take(state);
    if (parcel == NULL || bb_random(state) % 4 == 0) {
        parcel_put(parcel_new(state), state);
        parcel_drop(parcel, state);
        return;
    }
    for (unsigned copies = (unsigned)(bb_random(state) % 4); copies > 0; copies--)
        parcel_put(parcel_share(parcel, state), state);
    switch (bb_random(state) % 4) {
    case 0: { /* several references in one go, and back */
        const uint32_t count = 1 + (uint32_t)(bb_random(state) % 5);
        CHECK(qy_retain_n(parcel->slice.iov_base, count) == 0);
        parcel_verify(parcel);
        CHECK(qy_release_n((char *)parcel->slice.iov_base + parcel->slice.iov_len - 1, count) == 0);
        break;
    }
    case 1: { /* cut it up, and put it together again */
        qy_slice frames[8];
        const size_t length = parcel->slice.iov_len;
        const ssize_t count = qy_slice_split_steps(&parcel->slice, 1 + length / 4, frames, 8);
        CHECK(count >= 1);
        for (ssize_t i = 1; i < count; i++)
            CHECK(qy_slice_unsplit(&frames[0], &frames[i]) == 0);
        CHECK(qy_slice_unsplit(&frames[0], &parcel->slice) == 0 && frames[0].iov_len == length);
        parcel->slice = frames[0];
        break;
    }
    default: break;
    }
    parcel_verify(parcel);
    parcel_put(parcel, state);
}
#endif

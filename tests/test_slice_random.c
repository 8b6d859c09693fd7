/*
 * test_slice_random.c: operations on slices at random, beside a shadow of what every block must contain and how many slices
 * lie in it.
 */
#include "unit_slices.h"

enum { BLOCKS_MAX = 40, SLICES_MAX = 120, SHADOW_BYTES = 200000 };

/* What a block must contain, and how many slices lie in it. */
static struct shadow {
    char *base; /* NULL: none */
    size_t bytes;
    unsigned slices;
    bool registered;
    unsigned char *content;
} shadows[BLOCKS_MAX];

static struct held {
    qy_slice slice;
    struct shadow *shadow;
} helds[SLICES_MAX];

static uint64_t dice;
static unsigned registered_live;

static void free_registered(void *p, size_t length, void *context)
{
    struct shadow *shadow = context;
    require(shadow->base == p && shadow->bytes == length && shadow->slices == 0);
    free(p);
    registered_live--;
}

static struct held *free_held(void)
{
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        if (is_empty(helds[i].slice))
            return &helds[i];
    }
    return NULL;
}

static struct held *any_held(void)
{
    const size_t start = unit_below(&dice, SLICES_MAX);
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        struct held *held = &helds[(start + i) % SLICES_MAX];
        if (!is_empty(held->slice))
            return held;
    }
    return NULL;
}

/* A slice that has a block for itself. The bytes are what they are. */
static void hold_new(struct held *held, qy_slice slice, bool registered)
{
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        struct shadow *shadow = &shadows[i];
        if (shadow->base != NULL)
            continue;
        shadow->base = qy_base(slice.iov_base);
        shadow->bytes = qy_capacity(slice.iov_base);
        require(shadow->base != NULL && shadow->bytes <= SHADOW_BYTES);
        memcpy(shadow->content, shadow->base, shadow->bytes);
        shadow->slices = 1;
        shadow->registered = registered;
        *held = (struct held){slice, shadow};
        return;
    }
    ck_abort_msg("too few shadows");
}

static bool has_free_shadow(void)
{
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        if (shadows[i].base == NULL)
            return true;
    }
    return false;
}

/* A slice is going to lose its reference. */
static void forget(struct held *held)
{
    held->shadow->slices--;
}

static void settle_shadow(struct shadow *shadow)
{
    if (shadow->slices == 0)
        shadow->base = NULL;
}

static void check_held(const struct held *held)
{
    if (is_empty(held->slice))
        return;
    const struct shadow *shadow = held->shadow;
    const size_t offset = (size_t)((char *)held->slice.iov_base - shadow->base);
    require(offset < shadow->bytes && held->slice.iov_len <= shadow->bytes - offset);
    require(qy_base(held->slice.iov_base) == shadow->base);
    require(qy_refcount(byte_at(held->slice, held->slice.iov_len - 1)) == shadow->slices);
    require(memcmp(held->slice.iov_base, shadow->content + offset, held->slice.iov_len) == 0);
}

static size_t random_length(void)
{
    static const size_t MOST[] = {16, 64, 200, 2000, 30000, 180000};
    return 1 + unit_below(&dice, MOST[unit_below(&dice, sizeof MOST / sizeof MOST[0])]);
}

static void fill_at_random(void *p, size_t length)
{
    const uint64_t value = unit_random(&dice);
    memset(p, (int)(value & 0xff), length);
    memcpy(p, &value, qyi_min(length, sizeof value));
    ((char *)p)[length - 1] = (char)(value >> 11);
}

static void op_make(void)
{
    struct held *held = free_held();
    if (held == NULL || !has_free_shadow())
        return;
    const size_t length = random_length();
    qy_slice slice;
    bool registered = false;
    switch (unit_below(&dice, 4)) {
    case 0: slice = qy_slice_new(length); break;
    case 1: slice = qy_slice_zeroed(length); break;
    case 2: slice = qy_slice_adopt(qyi_malloc(length), length); break;
    default:
        registered = true;
        struct shadow *shadow = shadows;
        while (shadow->base != NULL) /* hold_new will take the same */
            shadow++;
        slice = qy_slice_foreign(malloc(length), length, free_registered, shadow);
        registered_live++;
        break;
    }
    require(slice.iov_len == length);
    memset(qy_base(slice.iov_base), 0, qy_capacity(slice.iov_base));
    fill_at_random(slice.iov_base, length);
    hold_new(held, slice, registered);
}

static void op_share(void)
{
    const struct held *held = any_held();
    struct held *other = free_held();
    if (held == NULL || other == NULL)
        return;
    const size_t offset = unit_below(&dice, held->slice.iov_len);
    const size_t length = 1 + unit_below(&dice, held->slice.iov_len - offset);
    const unsigned way = (unsigned)unit_below(&dice, 3);
    other->slice = way == 0   ? qy_slice_clone(held->slice)
                   : way == 1 ? qy_slice_sub(held->slice, offset, length)
                              : qy_slice_from(byte_at(held->slice, offset), length);
    require(!is_empty(other->slice));
    other->shadow = held->shadow;
    other->shadow->slices++;
}

static void op_drop(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    forget(held);
    switch (unit_below(&dice, 4)) {
    case 0: qy_slice_drop(&held->slice); break;
    case 1: qy_slice_truncate(&held->slice, 0); break;
    case 2: require(qy_slice_advance(&held->slice, held->slice.iov_len) == 0); break;
    default: require(qy_release(byte_at(held->slice, unit_below(&dice, held->slice.iov_len))) == 0); break;
    }
    held->slice = QY_SLICE_EMPTY;
    settle_shadow(held->shadow);
}

static void op_cut(void)
{
    struct held *held = any_held();
    struct held *other = free_held();
    if (held == NULL || other == NULL)
        return;
    const size_t length = held->slice.iov_len;
    const size_t cut = unit_below(&dice, length + 1);
    const bool front = unit_below(&dice, 2) == 0;
    other->slice = front ? qy_slice_split_to(&held->slice, cut) : qy_slice_split_off(&held->slice, cut);
    require(held->slice.iov_len + other->slice.iov_len == length);
    require(other->slice.iov_len == (front ? cut : length - cut));
    other->shadow = held->shadow;
    held->shadow->slices += cut != 0 && cut != length;
}

static void op_shorten(void)
{
    struct held *held = any_held();
    if (held == NULL || held->slice.iov_len < 2)
        return;
    const size_t by = 1 + unit_below(&dice, held->slice.iov_len - 1);
    if (unit_below(&dice, 2) == 0)
        require(qy_slice_advance(&held->slice, by) == 0);
    else
        qy_slice_truncate(&held->slice, by);
}

static void op_join(void)
{
    struct held *front = any_held();
    if (front == NULL)
        return;
    struct held *back = any_held();
    for (unsigned i = 0; i < SLICES_MAX; i++) { /* chance alone would not find any */
        if (!is_empty(helds[i].slice) && helds[i].slice.iov_base == byte_at(front->slice, front->slice.iov_len))
            back = &helds[i];
    }
    if (back == front)
        return;
    const bool fits =
        front->shadow == back->shadow && byte_at(front->slice, front->slice.iov_len) == back->slice.iov_base;
    require((qy_slice_unsplit(&front->slice, &back->slice) == 0) == fits);
    require(is_empty(back->slice) == fits);
    errno = 0;
    front->shadow->slices -= fits;
}

static void op_write(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    const bool unique = held->shadow->slices == 1;
    if (unit_below(&dice, 2) == 0) {
        char *p = qy_slice_try_mut(&held->slice);
        require((p != NULL) == unique && (unique || errno == EBUSY));
        errno = 0;
        if (p == NULL)
            return;
    } else if (!unique && !has_free_shadow()) {
        return;
    } else {
        const qy_slice before = held->slice;
        require(qy_slice_make_mut(&held->slice) == held->slice.iov_base);
        require((before.iov_base == held->slice.iov_base) == unique && before.iov_len == held->slice.iov_len);
        if (!unique) {
            require(memcmp(before.iov_base, held->slice.iov_base, before.iov_len) == 0);
            forget(held);
            hold_new(held, held->slice, false);
        }
    }
    fill_at_random(held->slice.iov_base, held->slice.iov_len);
    memcpy(held->shadow->content + ((char *)held->slice.iov_base - held->shadow->base), held->slice.iov_base,
           held->slice.iov_len);
}

static void op_compact(void)
{
    struct held *held = any_held();
    if (held == NULL || !has_free_shadow())
        return;
    const unsigned percent = (unsigned)unit_below(&dice, 101);
    const qy_slice before = held->slice;
    struct shadow *shadow = held->shadow;
    const bool small = before.iov_len * 100 < shadow->bytes * percent;
    shadow->slices--; /* a release function looks */
    const int copied = qy_slice_compact(&held->slice, percent);
    require(copied == 0 || (copied == 1 && small));
    if (copied == 0) {
        require(same(held->slice, before));
        require(!small || shadow->bytes <= qyi_good_size(qyi_align_up(before.iov_len, 64)));
        shadow->slices++;
        return;
    }
    settle_shadow(shadow);
    hold_new(held, held->slice, false);
}

static void op_raw(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    struct shadow *shadow = held->shadow;
    const size_t offset = (size_t)((char *)held->slice.iov_base - shadow->base);
    const size_t length = held->slice.iov_len;
    forget(held);
    char *raw = qy_slice_into_raw(&held->slice);
    require(raw != NULL && is_empty(held->slice));
    require(memcmp(raw, shadow->content + offset, length) == 0);
    require((raw == shadow->base) == (!shadow->registered && (offset == 0 || shadow->slices == 0)));
    qyi_free(raw);
    settle_shadow(shadow);
}

/* Several at once, of any blocks. */
static void op_batch(void)
{
    qy_slice some[12];
    struct held *from[12];
    size_t count = 0;
    for (unsigned i = 0; i < 12; i++) {
        struct held *held = any_held();
        if (held == NULL)
            return;
        from[count] = held;
        some[count++] = unit_below(&dice, 6) == 0 ? QY_SLICE_EMPTY : held->slice;
    }
    require(qy_slices_retain(some, count) == 0);
    for (size_t i = 0; i < count; i++)
        from[i]->shadow->slices += some[i].iov_len != 0;
    for (size_t i = 0; i < count; i++)
        check_held(from[i]);
    for (size_t i = 0; i < count; i++)
        from[i]->shadow->slices -= some[i].iov_len != 0;
    qy_slices_drop(some, count);
}

static void op_frames(void)
{
    struct held *held = any_held();
    if (held == NULL)
        return;
    qy_slice frames[8];
    const size_t length = held->slice.iov_len;
    const size_t step = 1 + unit_below(&dice, length);
    const size_t max = 1 + unit_below(&dice, 8);
    const qy_slice before = held->slice;
    const ssize_t count = qy_slice_split_steps(&held->slice, step, frames, max);
    require(count == (ssize_t)qyi_min(length / step, max));
    held->shadow->slices += (unsigned)count - is_empty(held->slice);
    for (ssize_t i = 0; i < count; i++) {
        require(frames[i].iov_base == byte_at(before, (size_t)i * step) && frames[i].iov_len == step);
        check_held(&(struct held){frames[i], held->shadow});
    }
    held->shadow->slices -= (unsigned)count;
    qy_slices_drop(frames, (size_t)count);
    settle_shadow(held->shadow);
}

static void check_everything(void)
{
    for (unsigned i = 0; i < SLICES_MAX; i++)
        check_held(&helds[i]);
    uint64_t ours = 0;
    uint64_t registered = 0;
    for (unsigned i = 0; i < BLOCKS_MAX; i++) {
        if (shadows[i].base != NULL)
            ++*(shadows[i].registered ? &registered : &ours);
    }
    require(registered == registered_live);
    /* the registry has its index and records in blocks of its own */
    const uint64_t live = live_blocks();
    require(live >= ours && live <= ours + BLOCKS_MAX + 1);
}

START_TEST(test_operations_at_random)
{
    static void (*const OPERATIONS[])(void) = {op_make,  op_make,    op_share, op_share,   op_share, op_drop,
                                               op_drop,  op_cut,     op_cut,   op_shorten, op_join,  op_join,
                                               op_write, op_compact, op_raw,   op_batch,   op_frames};
    dice = (uint64_t)_i + 1;
    if (_i % 2 != 0)
        unit_become_threaded();
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        require((shadows[i].content = malloc(SHADOW_BYTES)) != NULL);
    const unsigned rounds = unit_rounds(40000);
    for (unsigned round = 0; round < rounds; round++) {
        OPERATIONS[unit_below(&dice, sizeof OPERATIONS / sizeof OPERATIONS[0])]();
        require(errno == 0);
        const struct held *held = any_held();
        if (held != NULL)
            check_held(held);
        if (round % 512 == 0)
            check_everything();
    }
    check_everything();
    while (any_held() != NULL)
        op_drop();
    require(registered_live == 0);
    check_everything();
    unit_check_runs();
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        free(shadows[i].content);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("slice_random");
    TCase *random = group(suite, "random");
    tcase_add_loop_test(random, test_operations_at_random, 0, 4);
    return unit_run(suite);
}

/*
 * sample.c: the heap profile's tables. Layer 5.
 *
 *     stack bucket -> stack -> stack            by the places of calls; for ever
 *     block bucket -> sample -> sample          by the block's address; while the block lives
 *                       `-> stack               sums: allocated, live, live at the peak
 *
 * A block belongs to whoever allocates or frees it, so nobody asks for its sample while it is being made or removed. That lets free
 * look for it without the lock. Its bit is missing in its slab's entries, or its bucket is empty: it has no sample. For nearly all
 * blocks, one of these is the answer.
 *
 * Peak. When the sum of what is live exceeds all that it has been, a new peak begins, and what every stack has live now is what it has
 * at the peak. Nothing is copied: a stack saves its number when it is first touched after a peak began (`peak` tells), and
 * until then the number is the live one itself.
 *
 * I1  stacks and places are complete before they are linked to, and never change or go but for their sums.
 * I2  a sample is in the table exactly while its block lives; its slab's `sampled` follows a little later.
 *
 * One lock. It comes after all others but that for meta, and nothing is called with it held but qyi_meta_take.
 */
#include "sample.h"

#include "fork.h"
#include "heap.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "slab.h"
#include "thread.h"
#include "unwind.h"

#include <errno.h>
#include <string.h>

#if HAVE_SYS_SDT_H
#include <sys/sdt.h>
#else
#define DTRACE_PROBE1(provider, name, a) ((void)(a))
#define DTRACE_PROBE3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

enum {
    BLOCK_BUCKET_SHIFT = 16,
    STACK_BUCKET_SHIFT = 12,
    CHUNK_RECORDS = 4096,
    CHUNKS = 2048, /* of each: 8 million */
    PLACES_MAX = 1 << 18,
    PLACE_BUCKETS = 2 * PLACES_MAX,
    STACK_CHUNK_BYTES = 64 << 10,
    PIN_BATCH = 256,
};

struct sample {
    uint32_t next; /* in the bucket, or of those not in use */
    bool live;
    uintptr_t start;
    size_t bytes;
    struct qyi_weight weight;
    struct qyi_stack *stack;
    uint64_t time_us;
};

static struct {
    struct qyi_lock lock;
    /* samples, numbered from 1 */
    struct sample *chunk[CHUNKS];
    uint32_t count; /* in use, or once in use */
    uint32_t spare;
    _Atomic uint32_t *block_bucket;
    /* stacks */
    struct qyi_stack **stack_bucket;
    struct qyi_stack *_Atomic newest;
    char *stack_room;
    size_t stack_room_bytes;
    /* places, numbered from 1 */
    uintptr_t *place;
    uint32_t *place_bucket;
    _Atomic uint32_t place_count;
    struct qyi_sample_totals totals;
    uint64_t peak; /* the number of the last one */
    struct qyi_weight class_weight[QYI_CLASS_COUNT];
} profile;

/* What the unwinder allocates, should it, is not sampled. */
static __thread bool busy;

/* ---- weights ---- */

static struct qyi_weight weight_of(size_t bytes)
{
    const double share = qyi_meter_share(bytes);
    return (struct qyi_weight){.objects = (uint64_t)((double)(1 << QYI_WEIGHT_SHIFT) / share + 0.5),
                               .bytes = (uint64_t)((double)bytes / share + 0.5)};
}

struct qyi_weight qyi_sample_weight(size_t bytes)
{
    if (bytes <= QYI_SMALL_BYTES) {
        const unsigned class = qyi_class_of(bytes);
        if (qyi_classes[class].bytes == bytes)
            return profile.class_weight[class];
    }
    return weight_of(bytes);
}

static void add(struct qyi_weight *sum, struct qyi_weight weight)
{
    sum->objects += weight.objects;
    sum->bytes += weight.bytes;
}

static void subtract(struct qyi_weight *sum, struct qyi_weight weight)
{
    sum->objects -= weight.objects;
    sum->bytes -= weight.bytes;
}

/* ---- stacks. The caller holds the lock ---- */

/* 0: no room. */
static uint32_t place_of(uintptr_t address)
{
    uint32_t bucket = (uint32_t)(address * 0x9e3779b97f4a7c15 >> 32) % PLACE_BUCKETS;
    for (; profile.place_bucket[bucket] != 0; bucket = (bucket + 1) % PLACE_BUCKETS) {
        if (profile.place[profile.place_bucket[bucket]] == address)
            return profile.place_bucket[bucket];
    }
    const uint32_t number = atomic_load_explicit(&profile.place_count, memory_order_relaxed) + 1;
    if (number >= PLACES_MAX)
        return 0;
    profile.place[number] = address;
    profile.place_bucket[bucket] = number;
    /* release: pairs with the acquire in qyi_sample_place_count */
    atomic_store_explicit(&profile.place_count, number, memory_order_release);
    return number;
}

static struct qyi_stack *new_stack(unsigned depth)
{
    const size_t bytes = qyi_align_up(sizeof(struct qyi_stack) + depth * sizeof(uint32_t), sizeof(void *));
    if (profile.stack_room_bytes < bytes) {
        char *room = qyi_meta_take(STACK_CHUNK_BYTES);
        if (room == NULL)
            return NULL;
        profile.stack_room = room;
        profile.stack_room_bytes = STACK_CHUNK_BYTES;
    }
    struct qyi_stack *stack = (struct qyi_stack *)profile.stack_room;
    profile.stack_room += bytes;
    profile.stack_room_bytes -= bytes;
    return stack;
}

static struct qyi_stack *stack_of(const struct qyi_unwound *unwound)
{
    uint32_t place[QYI_STACK_FRAMES];
    uint64_t hash = unwound->count;
    for (unsigned i = 0; i < unwound->count; i++) {
        place[i] = place_of(unwound->address[i]);
        hash = (hash ^ place[i]) * 0x9e3779b97f4a7c15; /* see site.c */
    }
    struct qyi_stack **bucket = &profile.stack_bucket[hash >> (64 - STACK_BUCKET_SHIFT)];
    for (struct qyi_stack *stack = *bucket; stack != NULL; stack = stack->next) {
        if (stack->depth == unwound->count && memcmp(stack->place, place, stack->depth * sizeof *place) == 0)
            return stack;
    }
    struct qyi_stack *stack = new_stack(unwound->count);
    if (stack == NULL)
        return NULL;
    stack->depth = unwound->count;
    memcpy(stack->place, place, stack->depth * sizeof *place);
    stack->next = *bucket;
    stack->older = atomic_load_explicit(&profile.newest, memory_order_relaxed);
    *bucket = stack;
    /* release: pairs with the acquire in qyi_sample_stacks */
    atomic_store_explicit(&profile.newest, stack, memory_order_release);
    return stack;
}

/* ---- sums. The caller holds the lock ---- */

/* Before the stack's live sum changes. */
static void touch(struct qyi_stack *stack)
{
    if (stack->peak != profile.peak) {
        stack->peak = profile.peak;
        stack->peak_bytes = stack->live.bytes;
    }
}

static void add_live(struct qyi_stack *stack, struct qyi_weight weight)
{
    touch(stack);
    add(&stack->live, weight);
    add(&profile.totals.live, weight);
    if (profile.totals.live.bytes > profile.totals.peak_bytes) {
        profile.totals.peak_bytes = profile.totals.live.bytes;
        profile.peak++;
    }
}

static void subtract_live(struct qyi_stack *stack, struct qyi_weight weight)
{
    touch(stack);
    subtract(&stack->live, weight);
    subtract(&profile.totals.live, weight);
}

static void add_allocated(struct qyi_stack *stack, struct qyi_weight weight)
{
    add(&stack->allocated, weight);
    add(&profile.totals.allocated, weight);
}

/* ---- samples. The caller holds the lock, but in bucket_of ---- */

static _Atomic uint32_t *bucket_of(const void *start)
{
    const uint64_t hash = (uintptr_t)start / QYI_STEP_BYTES * 0x9e3779b97f4a7c15;
    return &profile.block_bucket[hash >> (64 - BLOCK_BUCKET_SHIFT)];
}

static struct sample *sample_at(uint32_t number)
{
    return &profile.chunk[number / CHUNK_RECORDS][number % CHUNK_RECORDS];
}

/* 0: no room. */
static uint32_t new_sample(void)
{
    const uint32_t spare = profile.spare;
    if (spare != 0) {
        profile.spare = sample_at(spare)->next;
        return spare;
    }
    const uint32_t number = profile.count + 1;
    const uint32_t chunk = number / CHUNK_RECORDS;
    if (chunk == CHUNKS)
        return 0;
    if (profile.chunk[chunk] == NULL &&
        (profile.chunk[chunk] = qyi_meta_take(CHUNK_RECORDS * sizeof(struct sample))) == NULL)
        return 0;
    profile.count = number;
    return number;
}

/* False: no room. */
static bool insert(void *start, struct sample sample)
{
    const uint32_t number = new_sample();
    if (number == 0)
        return false;
    _Atomic uint32_t *bucket = bucket_of(start);
    sample.next = atomic_load_explicit(bucket, memory_order_relaxed);
    sample.start = (uintptr_t)start;
    sample.live = true;
    *sample_at(number) = sample;
    /* relaxed: whoever looks without the lock, looks for nothing else */
    atomic_store_explicit(bucket, number, memory_order_relaxed);
    profile.totals.live_samples++;
    sample.stack->samples++;
    return true;
}

/* Take the block's sample out of the table. False: it has none. */
static bool take_out(const void *start, struct sample *sample)
{
    _Atomic uint32_t *bucket = bucket_of(start);
    uint32_t before = 0;
    uint32_t number = atomic_load_explicit(bucket, memory_order_relaxed);
    while (number != 0 && sample_at(number)->start != (uintptr_t)start) {
        before = number;
        number = sample_at(number)->next;
    }
    if (number == 0)
        return false;
    *sample = *sample_at(number);
    if (before != 0)
        sample_at(before)->next = sample->next;
    else
        atomic_store_explicit(bucket, sample->next, memory_order_relaxed);
    sample_at(number)->live = false;
    sample_at(number)->next = profile.spare;
    profile.spare = number;
    profile.totals.live_samples--;
    sample->stack->samples--;
    return true;
}

/* ---- events ---- */

static uint64_t now_us(void)
{
    return qyi_os_now_ns() / 1000;
}

static void mark_slab(const void *p, bool more)
{
    const uint32_t granule = (uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
    const uint64_t entry = qyi_entry(granule);
    if ((entry & QYI_ENTRY_LARGE) == 0)
        qyi_heap_sample_slab(granule - qyi_entry_offset(entry), p, more);
}

/* The thread's memory of stacks; NULL: it has none. */
static struct qyi_unwind_memory *memory_of_stacks(void)
{
    struct qyi_meter *meter = qyi_thread_is_attached() ? qyi_meter_of(qyi_my_magazines()->heap) : NULL;
    if (meter == NULL)
        return NULL;
    if (meter->memory == NULL)
        meter->memory = qyi_meta_take(qyi_unwind_memory_bytes);
    return meter->memory;
}

/* The stack that ends in the function with this frame; NULL: no room. */
static QYI_NOINLINE struct qyi_stack *stack_now(struct qyi_unwind_memory *memory, const void *frame)
{
    struct qyi_unwound unwound;
    qyi_unwind(&unwound, frame);
    qyi_lock(&profile.lock);
    struct qyi_stack *stack = stack_of(&unwound);
    qyi_unlock(&profile.lock);
    if (memory != NULL && stack != NULL)
        qyi_unwind_remember(memory, frame, &unwound, stack);
    return stack;
}

QYI_NOINLINE void qyi_sample_taken(void *p, size_t bytes)
{
    const void *frame = __builtin_frame_address(0);
    if (busy)
        return;
    busy = true;
    qyi_fork_check();
    struct qyi_unwind_memory *memory = memory_of_stacks();
    struct qyi_stack *stack = memory == NULL ? NULL : qyi_unwind_recall(memory, frame);
    if (stack == NULL)
        stack = stack_now(memory, frame);
    const struct sample sample = {
        .bytes = bytes, .weight = qyi_sample_weight(bytes), .stack = stack, .time_us = now_us()};
    qyi_lock(&profile.lock);
    const bool kept = stack != NULL && insert(p, sample);
    if (kept) {
        profile.totals.samples++;
        add_allocated(stack, sample.weight);
        add_live(stack, sample.weight);
    } else {
        profile.totals.lost++;
    }
    qyi_unlock(&profile.lock);
    if (kept)
        mark_slab(p, true);
    busy = false;
    DTRACE_PROBE3(otel_memory, alloc, p, bytes, sample.weight.bytes);
}

QYI_NOINLINE void qyi_sample_pass(void *p, size_t bytes)
{
    qyi_fork_check(); /* before a lock is taken */
    struct qyi_meter *meter = qyi_thread_is_attached() ? qyi_meter_of(qyi_my_magazines()->heap) : NULL;
    if (QYI_UNLIKELY(meter != NULL ? qyi_meter_pass(meter, bytes) : qyi_meter_pass_shared(bytes)))
        qyi_sample_taken(p, bytes);
}

static void note_lifetime(const struct sample *sample)
{
    const uint64_t lived_us = now_us() - sample->time_us;
    profile.totals.lifetime[lived_us == 0 ? 0 : qyi_log2(lived_us)] += sample->weight.objects;
}

QYI_NOINLINE void qyi_sample_freed(void *p)
{
    struct sample sample;
    if (QYI_LIKELY(atomic_load_explicit(bucket_of(p), memory_order_relaxed) == 0))
        return;
    qyi_fork_check();
    qyi_lock(&profile.lock);
    const bool found = take_out(p, &sample);
    if (found) {
        subtract_live(sample.stack, sample.weight);
        note_lifetime(&sample);
    }
    qyi_unlock(&profile.lock);
    if (!found)
        return;
    mark_slab(p, false);
    DTRACE_PROBE1(otel_memory, free, p);
}

/* Of a sample that has been thrown over so many bytes: whether it also falls into the first of them. */
static bool falls_into(size_t part, size_t bytes)
{
    struct qyi_meter *meter = qyi_thread_is_attached() ? qyi_meter_of(qyi_my_magazines()->heap) : NULL;
    return meter == NULL || qyi_meter_random(meter) * qyi_meter_share(bytes) < qyi_meter_share(part);
}

void qyi_sample_moved(void *from, void *to)
{
    struct sample sample;
    qyi_fork_check();
    qyi_lock(&profile.lock);
    if (take_out(from, &sample))
        (void)insert(to, sample); /* there is room: the one that was taken out */
    qyi_unlock(&profile.lock);
}

/*
 * Points lie in bytes: those that are added are walked over as any others; those that are cut off take their points with them.
 * What is added counts as allocated.
 */
void qyi_sample_resized(void *p, size_t old_bytes, size_t bytes)
{
    struct sample sample;
    const struct qyi_weight weight = qyi_sample_weight(bytes);
    qyi_fork_check();
    qyi_lock(&profile.lock);
    const bool found = take_out(p, &sample);
    if (found)
        subtract_live(sample.stack, sample.weight);
    qyi_unlock(&profile.lock);
    if (!found) {
        if (bytes > old_bytes && (qyi_thread_is_attached() && qyi_meter_of(qyi_my_magazines()->heap) != NULL
                                      ? qyi_meter_pass(qyi_my_magazines()->heap->meter, bytes - old_bytes)
                                      : qyi_meter_pass_shared(bytes - old_bytes)))
            qyi_sample_taken(p, bytes);
        return;
    }
    if (bytes < old_bytes && !falls_into(bytes, old_bytes))
        return;
    const struct qyi_weight old = sample.weight;
    sample.weight = weight;
    sample.bytes = bytes;
    qyi_lock(&profile.lock);
    if (insert(p, sample)) {
        add_live(sample.stack, weight);
        if (weight.bytes > old.bytes)
            add_allocated(sample.stack, (struct qyi_weight){.bytes = weight.bytes - old.bytes});
    }
    qyi_unlock(&profile.lock);
}

/* ---- reports ---- */

bool qyi_sample_is_mine(void)
{
    return qyi_lock_is_mine(&profile.lock);
}

void qyi_sample_totals(struct qyi_sample_totals *totals)
{
    qyi_lock(&profile.lock);
    *totals = profile.totals;
    qyi_unlock(&profile.lock);
}

const struct qyi_stack *qyi_sample_stacks(void)
{
    return atomic_load_explicit(&profile.newest, memory_order_acquire); /* pairs with the release in stack_of */
}

void qyi_sample_read(const struct qyi_stack *stack, struct qyi_stack_values *values)
{
    qyi_lock(&profile.lock);
    *values = (struct qyi_stack_values){
        .allocated = stack->allocated,
        .live = stack->live,
        .samples = stack->samples,
        .pinned_bytes = stack->pinned_bytes,
        .peak_bytes = stack->peak != profile.peak ? stack->live.bytes : stack->peak_bytes,
    };
    qyi_unlock(&profile.lock);
}

uint32_t qyi_sample_place_count(void)
{
    return atomic_load_explicit(&profile.place_count, memory_order_acquire); /* pairs with the release in place_of */
}

uintptr_t qyi_sample_place(uint32_t number)
{
    return profile.place[number];
}

/*
 * The part of a slab's freed space that one of its live blocks keeps from others. The slab changes meanwhile, and may even be gone; the
 * numbers are clamped.
 */
static QYI_NOINLINE __attribute__((no_sanitize("thread"))) double slab_share(uintptr_t start)
{
    const size_t offset = start - qyi_region.base;
    const uint32_t granule = (uint32_t)(offset >> QYI_GRANULE_SHIFT);
    const uint64_t entry = qyi_entry(granule);
    if (entry == 0 || (entry & (QYI_ENTRY_LARGE | QYI_ENTRY_POOLED)) != 0 || qyi_entry_class(entry) >= QYI_CLASS_COUNT)
        return 0;
    const unsigned class = qyi_entry_class(entry);
    const uint32_t first = granule - qyi_entry_offset(entry);
    const volatile struct qyi_slab *slab = qyi_slab_at(first);
    const size_t carved = qyi_min(slab->carved, qyi_classes[class].block_count);
    const size_t freed = qyi_min(slab->free_count + qyi_slab_uncollected(first, class), carved);
    const size_t live = qyi_max(1, carved - freed);
    return (double)(freed * qyi_classes[class].bytes) / (double)live;
}

void qyi_sample_pin(void)
{
    qyi_lock(&profile.lock);
    for (struct qyi_stack *stack = profile.newest; stack != NULL; stack = stack->older)
        stack->pinned_bytes = 0;
    for (uint32_t number = 1; number <= profile.count; number++) {
        const struct sample *sample = sample_at(number);
        if (sample->live)
            sample->stack->pinned_bytes +=
                (uint64_t)((double)sample->weight.objects / (1 << QYI_WEIGHT_SHIFT) * slab_share(sample->start));
        if (number % PIN_BATCH == 0) { /* others want to go on */
            qyi_unlock(&profile.lock);
            qyi_lock(&profile.lock);
        }
    }
    qyi_unlock(&profile.lock);
}

/* ---- start and fork ---- */

/* A thread that is gone was changing the tables: what was live is not known any more. */
static void forget(void)
{
    memset(profile.block_bucket, 0, sizeof *profile.block_bucket << BLOCK_BUCKET_SHIFT);
    profile.totals.forgotten += profile.totals.live_samples;
    profile.totals.live_samples = 0;
    profile.totals.live = (struct qyi_weight){0};
    profile.count = profile.spare = 0;
    for (struct qyi_stack *stack = profile.newest; stack != NULL; stack = stack->older) {
        stack->live = (struct qyi_weight){0};
        stack->samples = 0;
    }
}

static void in_child(void)
{
    qyi_meter_after_fork();
    if (qyi_lock_after_fork(&profile.lock))
        forget();
}

QYI_ONCE bool qyi_sample_start(size_t rate, uint64_t seed)
{
    if (!qyi_unwind_start())
        return false;
    profile.block_bucket = qyi_meta_take(sizeof *profile.block_bucket << BLOCK_BUCKET_SHIFT);
    profile.stack_bucket = qyi_meta_take(sizeof *profile.stack_bucket << STACK_BUCKET_SHIFT);
    profile.place = qyi_meta_take(PLACES_MAX * sizeof *profile.place);
    profile.place_bucket = qyi_meta_take(PLACE_BUCKETS * sizeof *profile.place_bucket);
    if (profile.block_bucket == NULL || profile.stack_bucket == NULL || profile.place == NULL ||
        profile.place_bucket == NULL)
        return false;
    qyi_fork_register();
    qyi_fork_add_hook(in_child);
    qyi_meter_start(rate, seed);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        profile.class_weight[class] = weight_of(qyi_classes[class].bytes);
    if (qyi_thread_is_attached())
        qyi_magazines_meter(qyi_my_magazines());
    return true;
}

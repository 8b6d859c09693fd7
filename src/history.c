/*
 * history.c: the past of a process, as a few points in time. Layer 6.
 *
 *     ring   . . . . . . . . .         full:   every second point goes, the interval doubles        . . . . .
 *
 * A point tells how much is live, and nobody counts that on the way: all slabs and magazines have to be looked at. As this happens in
 * some thread's malloc, it is done in steps: a step looks at so much that it takes about a tenth of a millisecond, and large processes
 * need many. So the parts of a point are of slightly different moments, as are all numbers of a process that runs.
 *
 * I1  one thread at a time is in qyi_history_step: the tick sees to that.
 * I2  sequence is odd while the ring is written. Found odd by a writer, there was one that did not survive a fork: the ring starts anew.
 * I3  times in the ring ascend.
 */
#include "history.h"

#include "heap.h"
#include "heaps.h"
#include "large.h"
#include "look.h"
#include "magazine.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "region.h"
#include "stats.h"

#include <pthread.h>

enum {
    STEP_MS = 50,          /* between two steps for the same point */
    STEP_WORK = 64 << 10,  /* in granules that are free, of 1 ns each: see above */
    SLAB_WORK = 256,       /* its record and bitmaps are likely in no cache; measured: 0.5 us */
    HEAP_WORK = 16 * 1024, /* 80 magazines */
    READ_TRIES = 1000,
};

struct qyi_history qyi_history;

static struct {
    enum { WAITING, IN_RUNS, IN_HEAPS } phase;
    uint64_t due_ms;
    uint32_t next; /* granule or heap */
    size_t live, cached;
    uint64_t calls;
} pass;

/* ---- looking, step by step ---- */

/* The run that starts at the next granule, or a free one. Returns the work. */
static unsigned look_at_run(uint32_t end)
{
    const uint32_t granule = pass.next;
    const uint64_t entry = qyi_entry(granule);
    if (!qyi_look_starts(entry)) {
        pass.next++;
        return 1;
    }
    const uint32_t granules = qyi_look_length(granule, end);
    const unsigned class = qyi_entry_class(entry);
    size_t bytes = (size_t)granules << QYI_GRANULE_SHIFT; /* a pool's: in use as a whole */
    if ((entry & QYI_ENTRY_LARGE) != 0)
        bytes = qyi_look_large(granule, granules);
    else if ((entry & QYI_ENTRY_POOLED) == 0)
        bytes = qyi_min(bytes, qyi_look_out(qyi_look_slab(granule, class)) * qyi_classes[class].bytes);
    if (qyi_entry_is(qyi_entry(granule), entry))
        pass.live += bytes;
    pass.next += granules;
    return SLAB_WORK + granules;
}

static void look_at_heap(const struct qyi_heap *heap)
{
    if (!qyi_look_has_magazines(heap))
        return;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_look_magazine magazine = qyi_look_magazine(heap, class);
        pass.cached += magazine.held * qyi_classes[class].bytes;
        pass.calls += magazine.calls;
    }
    for (unsigned place = 0; place < QYI_REMOTE_WORDS && qyi_look_has_remote(heap); place++) {
        uint64_t entry;
        const size_t found = qyi_look_remote(heap, place, &entry);
        if (found != 0)
            pass.cached += found * qyi_classes[qyi_entry_class(entry)].bytes;
    }
}

/* False: there is more to look at. */
static bool look(void)
{
    unsigned work = 0;
    const uint32_t end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed);
    while (pass.phase == IN_RUNS && work < STEP_WORK) {
        if (pass.next < end) {
            work += look_at_run(end);
        } else {
            pass.phase = IN_HEAPS;
            pass.next = 1;
        }
    }
    for (; pass.phase == IN_HEAPS && work < STEP_WORK; work += HEAP_WORK) {
        if (pass.next > qyi_heap_count())
            return true;
        look_at_heap(qyi_heap_by_id(pass.next++));
    }
    return false;
}

static void begin(void)
{
    pass.phase = IN_RUNS;
    pass.next = qyi_region.first;
    pass.live = pass.cached = 0;
    pass.calls = 0;
}

/* It takes opening a file, which is not done unasked. */
static size_t resident(void)
{
    if (!qyi_options.stats && qyi_options.live == QYI_LIVE_OFF)
        return 0;
    int cancellation;
    const bool disabled = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation) == 0;
    const size_t bytes = qyi_stats_resident();
    if (disabled)
        pthread_setcancelstate(cancellation, NULL);
    return bytes;
}

static struct qyi_history_point point_of_pass(uint64_t now_ms)
{
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    uint64_t calls = pass.calls + qyi_large_calls();
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += atomic_load_explicit(&qyi_heap_past_calls[class], memory_order_relaxed);
    return (struct qyi_history_point){
        .time_ms = now_ms,
        .mapped = totals.payload + totals.tables + qyi_meta_committed(),
        .live = qyi_min(pass.live - qyi_min(pass.cached, pass.live), totals.used),
        .dirty = totals.dirty,
        .resident = resident(),
        .calls = calls,
    };
}

/* ---- the ring ---- */

/* Of two neighbours, the one with more in use stays: peaks are what one looks for. */
static void halve(struct qyi_history_ring *ring)
{
    for (unsigned i = 0; i < QYI_HISTORY_POINTS / 2; i++) {
        const struct qyi_history_point *pair = &ring->points[2 * (size_t)i];
        ring->points[i] = pair[pair[1].live >= pair[0].live];
    }
    ring->interval_ms *= 2;
    atomic_store_explicit(&ring->count, QYI_HISTORY_POINTS / 2, memory_order_relaxed);
}

static void add(struct qyi_history_ring *ring, struct qyi_history_point point)
{
    uint32_t sequence = atomic_load_explicit(&ring->sequence, memory_order_relaxed);
    if (sequence % 2 != 0) { /* I2 */
        atomic_store_explicit(&ring->count, 0, memory_order_relaxed);
    } else {
        atomic_store_explicit(&ring->sequence, ++sequence, memory_order_relaxed);
        /* release: who sees a change sees the odd number, too; pairs with the acquire fence in copy */
        atomic_thread_fence(memory_order_release);
    }
    if (atomic_load_explicit(&ring->count, memory_order_relaxed) >= QYI_HISTORY_POINTS)
        halve(ring);
    const uint32_t count = atomic_load_explicit(&ring->count, memory_order_relaxed);
    ring->points[count] = point;
    atomic_store_explicit(&ring->count, count + 1, memory_order_relaxed);
    /* release: pairs with the acquire in copy */
    atomic_store_explicit(&ring->sequence, sequence + 1, memory_order_release);
}

/* NULL: out of memory. */
static struct qyi_history_ring *get_ring(void)
{
    struct qyi_history_ring *ring = atomic_load_explicit(&qyi_history.ring, memory_order_relaxed);
    if (ring == NULL && (ring = qyi_meta_take(sizeof *ring)) != NULL) {
        ring->interval_ms = QYI_HISTORY_FIRST_MS;
        atomic_store_explicit(&qyi_history.ring, ring,
                              memory_order_release); /* pairs with the acquire in qyi_history_read */
    }
    return ring;
}

void qyi_history_start(void)
{
    if (qyi_history.started_ms == 0)
        qyi_history.started_ms = qyi_os_now_ms();
}

uint64_t qyi_history_step(uint64_t now_ms)
{
    if (pass.due_ms == 0) {
        qyi_history_start();
        pass.due_ms = qyi_history.started_ms + QYI_HISTORY_FIRST_MS;
    }
    if (now_ms < pass.due_ms)
        return pass.due_ms;
    if (pass.phase == WAITING)
        begin();
    if (!look())
        return pass.due_ms = now_ms + STEP_MS;
    pass.phase = WAITING;
    struct qyi_history_ring *ring = get_ring();
    if (ring != NULL)
        add(ring, point_of_pass(now_ms));
    return pass.due_ms = now_ms + (ring != NULL ? ring->interval_ms : QYI_HISTORY_FIRST_MS);
}

/* ---- reading ---- */

static QYI_RACY unsigned copy_points(const struct qyi_history_ring *ring, struct qyi_history_point *points)
{
    const unsigned count =
        (unsigned)qyi_min(atomic_load_explicit(&ring->count, memory_order_relaxed), QYI_HISTORY_POINTS);
    const volatile struct qyi_history_point *from = ring->points;
    for (unsigned i = 0; i < count; i++) {
        points[i].time_ms = from[i].time_ms;
        points[i].mapped = from[i].mapped;
        points[i].live = from[i].live;
        points[i].dirty = from[i].dirty;
        points[i].resident = from[i].resident;
        points[i].calls = from[i].calls;
    }
    return count;
}

static unsigned copy(const struct qyi_history_ring *ring, struct qyi_history_point *points)
{
    for (unsigned tries = 0;; tries++) {
        /* acquire: pairs with the release at the end of add */
        const uint32_t before = atomic_load_explicit(&ring->sequence, memory_order_acquire);
        const unsigned count = copy_points(ring, points);
        atomic_thread_fence(memory_order_acquire); /* pairs with the release fence in add */
        const uint32_t after = atomic_load_explicit(&ring->sequence, memory_order_relaxed);
        if ((before == after && before % 2 == 0) || tries == READ_TRIES)
            return count;
    }
}

unsigned qyi_history_read_ring(const struct qyi_history_ring *ring, uint64_t started_ms,
                               struct qyi_history_point points[QYI_HISTORY_POINTS])
{
    const unsigned count = copy(ring, points);
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) { /* one that was read in the middle of a change may break I3 */
        points[i].time_ms -= qyi_min(started_ms, points[i].time_ms);
        if (kept == 0 || points[i].time_ms > points[kept - 1].time_ms)
            points[kept++] = points[i];
    }
    return kept;
}

unsigned qyi_history_read(struct qyi_history_point points[QYI_HISTORY_POINTS])
{
    /* acquire: pairs with the release in get_ring */
    const struct qyi_history_ring *ring = atomic_load_explicit(&qyi_history.ring, memory_order_acquire);
    return ring == NULL ? 0 : qyi_history_read_ring(ring, qyi_history.started_ms, points);
}

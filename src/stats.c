/*
 * stats.c: counting what the memory is used for. Layer 6.
 *
 *     entries     -> runs: large blocks, slabs            under no lock: an entry is one word
 *     slabs       -> blocks carved, free, freed remotely  under the owning heap's lock
 *     magazines   -> blocks cached, calls                 under their heap's lock, but the owner pops and pushes
 * without it; blocks in remote buffers             and gathers without it region      -> pages dirty, clean, in runs
 * under the region lock
 *
 * A heap's lock is tried for a while and not waited for: its holder may be a thread that did not survive a fork, or
 * this one, when exit is called from a signal handler. Without it the numbers may be off, but nothing worse, see look.h:
 *
 * I1  a slab counts only if its granule's entry was the same before and after; every number is clamped by what holds
 *     it.
 * I2  live + free_in_slabs + cached is what the region says is in runs: the middle one is the rest.
 */
#include "stats.h"

#include "count.h"
#include "heap.h"
#include "heaps.h"
#include "history.h"
#include "large.h"
#include "lock.h"
#include "look.h"
#include "magazine.h"
#include "meta.h"
#include "os.h"
#include "region.h"
#include "report.h"
#include "slab.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum {
    LOCK_TRY_COUNT = 1000, /* others run between them: who lives releases a lock long before the last */
    RUN_TRY_COUNT = 3,     /* for a run that has just changed hands */
};

void (*_Atomic qyi_stats_count_pools)(struct qyi_stats_pools *);

/* ---- runs ---- */

struct walk {
    struct qyi_stats *stats;
    uint32_t stuck_owner; /* whose lock could not be had */
};

/* The heap that owns granules with this entry, locked; NULL if it could not be locked. */
static struct qyi_heap *lock_owner(struct walk *walk, uint32_t owner)
{
    if (owner == 0 || owner > qyi_heap_count())
        return NULL;
    struct qyi_heap *heap = qyi_heap_by_id(owner);
    unsigned tries = owner == walk->stuck_owner ? 1 : LOCK_TRY_COUNT;
    while (tries-- > 0) {
        if (qyi_lock_try(&heap->lock))
            return heap;
        sched_yield();
    }
    walk->stuck_owner = owner;
    return NULL;
}

static void unlock_owner(struct qyi_heap *heap)
{
    if (heap != NULL)
        qyi_unlock(&heap->lock);
}

/* Two that drop a reference at once may leave a cell below 0 for a moment (see count.h): then there is none. */
static QYI_RACY uint32_t read_cell(const struct qyi_cell *cell)
{
    const uint32_t extra = atomic_load_explicit(&cell->extra, memory_order_relaxed);
    return extra <= QYI_COUNT_MAX ? extra : 0;
}

static void count_extra(struct walk *walk, uint32_t extra, size_t block_bytes)
{
    if (extra == 0)
        return;
    walk->stats->shared_blocks++;
    walk->stats->extra_references += extra;
    walk->stats->pinned_bytes += block_bytes;
}

/* A block that is free has no references beyond the first, so all cells can be looked at. */
static void count_cells(struct walk *walk, uint32_t granule, unsigned class)
{
    const struct qyi_counts *counts = qyi_counts_at(granule);
    walk->stats->counted_slabs++;
    for (uint32_t block = 0; block < qyi_classes[class].block_count; block++) {
        const char *cell = counts->cells + block * counts->cell_bytes;
        count_extra(walk, read_cell((const struct qyi_cell *)cell), qyi_classes[class].bytes);
    }
}

/* False: the granule is no longer what the entry says. */
static bool count_slab(struct walk *walk, uint32_t granule, uint64_t entry)
{
    const unsigned class = qyi_entry_class(entry);
    struct qyi_heap *heap = lock_owner(walk, qyi_entry_owner(entry));
    struct qyi_look_slab counts = {0};
    bool unchanged = qyi_entry_is(qyi_entry(granule), entry); /* with the lock, it stays so */
    if (unchanged)
        counts = qyi_look_slab(granule, class);
    unchanged = unchanged && qyi_entry_is(qyi_entry(granule), entry);
    /* Without the lock, the slab may go meanwhile, and what finds its cells with it. */
    if (unchanged && heap != NULL && (entry & QYI_ENTRY_HAS_CELLS) != 0)
        count_cells(walk, granule, class);
    unlock_owner(heap);
    if (!unchanged)
        return false;
    struct qyi_stats_class *row = &walk->stats->classes[class];
    row->slabs++;
    row->live += qyi_look_out(counts);
    row->cached += counts.uncollected;
    row->free += qyi_classes[class].block_count - counts.carved + counts.free;
    row->freed += counts.free;
    return true;
}

static void count_large(struct walk *walk, uint32_t granule, uint64_t entry, size_t granules)
{
    walk->stats->large_count++;
    const size_t bytes = qyi_look_large(granule, granules);
    walk->stats->large_live += bytes;
    const struct qyi_large *large = qyi_granule_record(granule);
    const uint32_t extra = read_cell(&large->cell);
    if (qyi_entry(granule) == entry)
        count_extra(walk, extra, bytes);
}

/* The run that starts at this granule, if one does. Returns the granules to go on by. */
static uint32_t count_run(struct walk *walk, uint32_t granule, uint32_t end)
{
    uint32_t granules = 1;
    for (unsigned tries = 0; tries < RUN_TRY_COUNT; tries++) {
        const uint64_t entry = qyi_entry(granule);
        if (!qyi_look_starts(entry))
            return 1;
        granules = qyi_look_length(granule, end);
        if ((entry & QYI_ENTRY_POOLED) != 0) { /* in use as a whole; what is idle in it, its pool knows */
            walk->stats->large_count++;
            walk->stats->large_live += (size_t)granules << QYI_GRANULE_SHIFT;
            break;
        }
        if ((entry & QYI_ENTRY_LARGE) != 0) {
            count_large(walk, granule, entry, granules);
            break;
        }
        if (count_slab(walk, granule, entry))
            break;
    }
    return granules;
}

static void count_runs(struct qyi_stats *stats)
{
    struct walk walk = {.stats = stats};
    const uint32_t end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed);
    for (uint32_t granule = qyi_region.first; granule < end;)
        granule += count_run(&walk, granule, end);
}

/* ---- magazines ---- */

/* Blocks that the thread has freed and not announced: their class is that of their slab. */
static size_t count_remote_buffer(size_t *held, const struct qyi_heap *heap)
{
    size_t blocks = 0;
    for (unsigned place = 0; place < QYI_REMOTE_WORDS && qyi_look_has_remote(heap); place++) {
        uint64_t entry;
        const size_t found = qyi_look_remote(heap, place, &entry);
        if (found != 0)
            held[qyi_entry_class(entry)] += found;
        blocks += found;
    }
    return blocks;
}

static void count_magazines(struct qyi_stats *stats, size_t *held, const struct qyi_heap *heap)
{
    const struct qyi_look_work work = qyi_look_work(heap);
    stats->refills += work.refills;
    stats->flushes += work.flushes;
    stats->remote_frees += work.remote_frees;
    stats->drains += work.drains;
    if (!qyi_look_has_magazines(heap))
        return;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_look_magazine magazine = qyi_look_magazine(heap, class);
        held[class] += magazine.held;
        stats->classes[class].calls += magazine.calls;
    }
    stats->remote_frees += count_remote_buffer(held, heap);
}

static void count_heaps(struct qyi_stats *stats)
{
    size_t held[QYI_CLASS_COUNT] = {0};
    struct walk walk = {.stats = stats};
    stats->heaps = qyi_heap_count();
    for (uint32_t id = 1; id <= stats->heaps; id++) {
        struct qyi_heap *locked = lock_owner(&walk, id); /* so that its magazines do not grow just now */
        count_magazines(stats, held, qyi_heap_by_id(id));
        unlock_owner(locked);
    }
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        struct qyi_stats_class *row = &stats->classes[class];
        const size_t cached = qyi_min(held[class], row->live); /* for the slabs, all of these are in use */
        row->live -= cached;
        row->cached += cached;
        row->calls += atomic_load_explicit(&qyi_heap_past_calls[class], memory_order_relaxed);
    }
    stats->refills += atomic_load_explicit(&qyi_heap_past.refills, memory_order_relaxed);
    stats->flushes += atomic_load_explicit(&qyi_heap_past.flushes, memory_order_relaxed);
    stats->remote_frees += atomic_load_explicit(&qyi_heap_past.remote_frees, memory_order_relaxed);
}

/* ---- the sums ---- */

static void sum_up(struct qyi_stats *stats)
{
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        const size_t bytes = qyi_classes[class].bytes;
        stats->live += row->live * bytes;
        stats->cached += row->cached * bytes;
        stats->freed_in_slabs += row->freed * bytes;
    }
    stats->large_live = qyi_min(stats->large_live, totals.used);
    stats->live = qyi_min(stats->live + stats->large_live, totals.used);
    stats->cached = qyi_min(stats->cached, totals.used - stats->live);
    stats->free_in_slabs = totals.used - stats->live - stats->cached; /* I2 */
    stats->freed_in_slabs = qyi_min(stats->freed_in_slabs, stats->free_in_slabs);
    stats->dirty = totals.dirty;
    stats->clean = totals.clean;
    stats->metadata = totals.tables + qyi_meta_committed();
    stats->mapped = totals.payload + stats->metadata;
    stats->purges = totals.purges;
    stats->purged_bytes = totals.purged_bytes;
    stats->large_calls = qyi_large_calls();
}

void qyi_stats_collect(struct qyi_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    count_runs(stats);
    count_heaps(stats);
    sum_up(stats);
    stats->started_ms = qyi_history.started_ms;
    /* acquire: pairs with the release of whoever set it */
    void (*count_pools)(struct qyi_stats_pools *) = atomic_load_explicit(&qyi_stats_count_pools, memory_order_acquire);
    if (count_pools != NULL)
        count_pools(&stats->pools);
}

/* ---- by heap ---- */

struct rows {
    struct qyi_stats_thread *rows;
    uint32_t first, count;
};

/* NULL: not one of these. */
static struct qyi_stats_thread *row_of(const struct rows *rows, uint32_t heap)
{
    return heap - rows->first < rows->count ? &rows->rows[heap - rows->first] : NULL;
}

/* What is in a magazine has been taken for live. */
static void move_to_cached(const struct rows *rows, uint32_t owner, uint32_t holder, size_t bytes)
{
    struct qyi_stats_thread *owners = row_of(rows, owner);
    struct qyi_stats_thread *holders = row_of(rows, holder);
    if (owners != NULL)
        owners->live -= qyi_min(bytes, owners->live);
    if (holders != NULL)
        holders->cached_bytes += bytes;
}

static void rows_of_slabs(const struct rows *rows)
{
    const uint32_t end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed);
    for (uint32_t granule = qyi_region.first; granule < end;) {
        const uint64_t entry = qyi_entry(granule);
        const bool starts = qyi_look_starts(entry);
        struct qyi_stats_thread *row = starts && qyi_look_is_slab(entry) ? row_of(rows, qyi_entry_owner(entry)) : NULL;
        if (row != NULL) {
            const unsigned class = qyi_entry_class(entry);
            row->slabs++;
            row->slab_bytes += qyi_stats_slab_bytes(class);
            row->live += qyi_look_out(qyi_look_slab(granule, class)) * qyi_classes[class].bytes;
        }
        granule += starts ? qyi_look_length(granule, end) : 1;
    }
}

static void rows_of_magazines(const struct rows *rows, const struct qyi_heap *heap)
{
    struct qyi_stats_thread *row = row_of(rows, heap->id);
    if (!qyi_look_has_magazines(heap))
        return;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_look_magazine magazine = qyi_look_magazine(heap, class);
        const uint32_t owner = qyi_class_is_common(class) ? qyi_common->id : heap->id;
        move_to_cached(rows, owner, heap->id, magazine.held * qyi_classes[class].bytes);
        if (row != NULL)
            row->calls += magazine.calls;
    }
    for (unsigned place = 0; place < QYI_REMOTE_WORDS && qyi_look_has_remote(heap); place++) {
        uint64_t entry;
        const size_t found = qyi_look_remote(heap, place, &entry);
        if (found != 0)
            move_to_cached(rows, qyi_entry_owner(entry), heap->id, found * qyi_classes[qyi_entry_class(entry)].bytes);
    }
}

static QYI_RACY void describe(struct qyi_stats_thread *row, const struct qyi_heap *heap)
{
    const volatile struct qyi_heap *seen = heap;
    row->heap = seen->id;
    row->state = heap == qyi_common || seen->apart              ? QYI_HEAP_COMMON
                 : seen->idle || seen->bereaved || seen->broken ? QYI_HEAP_IDLE
                                                                : QYI_HEAP_RUNNING;
    if (row->state == QYI_HEAP_RUNNING)
        row->tid = atomic_load_explicit(&heap->tid, memory_order_relaxed);
}

uint32_t qyi_stats_threads(struct qyi_stats_thread *buffer, uint32_t first, uint32_t count)
{
    const uint32_t heaps = qyi_heap_count();
    if (first == 0 || first > heaps)
        return 0;
    const struct rows rows = {buffer, first, (uint32_t)qyi_min(count, heaps - first + 1)};
    memset(buffer, 0, rows.count * sizeof *buffer);
    rows_of_slabs(&rows);
    for (uint32_t id = 1; id <= heaps; id++)
        rows_of_magazines(&rows, qyi_heap_by_id(id));
    for (uint32_t i = 0; i < rows.count; i++)
        describe(&buffer[i], qyi_heap_by_id(first + i));
    return rows.count;
}

/* ---- what is resident ---- */

/* A line of /proc/PID/status as it comes in; what does not fit is of no interest. */
struct status_line {
    size_t length;
    char text[64];
};

/* The bytes that a finished line "NAME:  12345 kB" tells of, or 0 if it is another line. */
static size_t status_bytes(const struct status_line *line, const char *name)
{
    const size_t name_length = strlen(name);
    if (line->length < name_length || memcmp(line->text, name, name_length) != 0)
        return 0;
    size_t kib = 0;
    for (size_t i = name_length; i < line->length; i++) {
        if (line->text[i] >= '0' && line->text[i] <= '9')
            kib = kib * 10 + (size_t)(line->text[i] - '0');
    }
    return kib * QYI_KIB;
}

static void read_status(struct qyi_stats *stats, int fd)
{
    struct status_line line = {0};
    char part[256];
    for (;;) {
        const ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        for (ssize_t i = 0; i < got; i++) {
            if (part[i] != '\n') {
                if (line.length < sizeof line.text)
                    line.text[line.length++] = part[i];
                continue;
            }
            stats->resident = qyi_max(stats->resident, status_bytes(&line, "VmRSS:"));
            stats->resident_peak = qyi_max(stats->resident_peak, status_bytes(&line, "VmHWM:"));
            line.length = 0;
        }
    }
}

/* The second number in statm, in pages. */
size_t qyi_stats_resident(void)
{
    const int saved_errno = errno;
    char text[128];
    const int fd = open("/proc/thread-self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    size_t pages = 0;
    ssize_t i = 0;
    while (i < length && text[i] != ' ')
        i++;
    for (i++; i < length && text[i] >= '0' && text[i] <= '9'; i++)
        pages = pages * 10 + (size_t)(text[i] - '0');
    errno = saved_errno;
    return pages * qyi_os_page_bytes;
}

void qyi_stats_measure(struct qyi_stats *stats)
{
    const int saved_errno = errno;
    stats->resident = stats->resident_peak = 0;
    /* The thread's own: that of the process is empty when main has left by pthread_exit. */
    int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        read_status(stats, fd);
        close(fd);
    }
    stats->resident_ours = qyi_region_resident() + qyi_meta_resident();
    if (stats->resident != 0) {
        /* The kernel's count of resident pages may lag a little, and ours includes pages that were only read. */
        stats->resident_ours = qyi_min(stats->resident_ours, stats->resident);
        stats->resident_peak = qyi_max(stats->resident_peak, stats->resident);
    }
    errno = saved_errno;
}

/* ---- what follows from them ---- */

uint64_t qyi_stats_calls(const struct qyi_stats *stats)
{
    uint64_t calls = stats->large_calls;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += stats->classes[class].calls;
    return calls;
}

uint64_t qyi_stats_uptime_ms(const struct qyi_stats *stats)
{
    return stats->started_ms == 0 ? 0 : qyi_os_now_ms() - stats->started_ms;
}

size_t qyi_stats_not_ours(const struct qyi_stats *stats)
{
    return stats->resident - qyi_min(stats->resident, stats->resident_ours);
}

/* ---- the report, to a descriptor ---- */

void qyi_stats_print(int fd)
{
    /* Reading and writing are points where a thread can be cancelled; allocation functions are not. */
    int cancellation;
    const bool disabled = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation) == 0;
    struct qyi_stats stats;
    qyi_stats_collect(&stats);
    qyi_stats_measure(&stats);
    qyi_report_write(&stats, fd);
    if (disabled)
        pthread_setcancelstate(cancellation, NULL);
}

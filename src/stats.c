/*
 * stats.c: counting what the memory is used for, and the report at exit. Layer 6.
 *
 *     entries     -> runs: large blocks, slabs            under no lock: an entry is one word
 *     slabs       -> blocks carved, free, freed remotely  under the owning heap's lock
 *     magazines   -> blocks cached, calls                 under their heap's lock, but the owner pops and pushes
 * without it; blocks in remote buffers             and gathers without it region      -> pages dirty, clean, in runs
 * under the region lock
 *
 * A heap's lock is tried for a while and not waited for: its holder may be a thread that did not survive a fork, or
 * this one, when exit is called from a signal handler. Without it the numbers may be off, but nothing worse:
 *
 * I1  every record, bitmap and magazine can be read, whatever lies there now, and no pointer in them is followed.
 * I2  a slab counts only if its granule's entry was the same before and after; every number is clamped by what holds
 *     it.
 * I3  live + free_in_slabs + cached is what the region says is in runs: the middle one is the rest.
 */
#include "stats.h"

#include "count.h"
#include "heap.h"
#include "large.h"
#include "lock.h"
#include "magazine.h"
#include "meta.h"
#include "meter.h"
#include "options.h"
#include "region.h"
#include "report.h"
#include "slab.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* On functions that look at what other threads change meanwhile: see I1 and I2. Not inlined, or it would be lost. */
#define RACY __attribute__((noinline, no_sanitize("thread")))

enum {
    LOCK_TRY_COUNT = 1000, /* others run between them: who lives releases a lock long before the last */
    RUN_TRY_COUNT = 3,     /* for a run that has just changed hands */
    FD_WANTED = 100,       /* out of the way of programs that count on small numbers */
};

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
static RACY uint32_t read_cell(const struct qyi_cell *cell)
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
        const char *cell = counts->cells + ((size_t)block << counts->cell_shift);
        count_extra(walk, read_cell((const struct qyi_cell *)cell), qyi_classes[class].bytes);
    }
}

struct slab_counts {
    size_t carved, free, uncollected;
};

static RACY struct slab_counts read_slab(uint32_t granule, unsigned class)
{
    const volatile struct qyi_slab *slab = qyi_slab_at(granule);
    struct slab_counts counts = {0};
    counts.carved = qyi_min(slab->carved, qyi_classes[class].block_count);
    counts.free = qyi_min(slab->free_count, counts.carved);
    counts.uncollected = qyi_min(qyi_slab_uncollected(granule, class), counts.carved - counts.free);
    return counts;
}

/* False: the granule is no longer what the entry says. */
static bool count_slab(struct walk *walk, uint32_t granule, uint64_t entry)
{
    const unsigned class = qyi_entry_class(entry);
    struct qyi_heap *heap = lock_owner(walk, qyi_entry_owner(entry));
    struct slab_counts counts = {0};
    bool unchanged = qyi_entry(granule) == entry; /* with the lock, it stays so */
    if (unchanged)
        counts = read_slab(granule, class);
    unchanged = unchanged && qyi_entry(granule) == entry;
    /* Without the lock, the slab may go meanwhile, and what finds its cells with it: I1. */
    if (unchanged && heap != NULL && (entry & QYI_ENTRY_HAS_CELLS) != 0)
        count_cells(walk, granule, class);
    unlock_owner(heap);
    if (!unchanged)
        return false;
    struct qyi_stats_class *row = &walk->stats->classes[class];
    row->slabs++;
    row->live += counts.carved - counts.free - counts.uncollected;
    row->cached += counts.uncollected;
    row->free += qyi_classes[class].block_count - counts.carved + counts.free;
    row->freed += counts.free;
    return true;
}

static RACY size_t read_large_bytes(uint32_t granule)
{
    const volatile struct qyi_large *large = qyi_granule_record(granule);
    return large->bytes;
}

static void count_large(struct walk *walk, uint32_t granule, uint64_t entry, size_t granules)
{
    walk->stats->large_count++;
    const size_t bytes = qyi_min(read_large_bytes(granule), granules << QYI_GRANULE_SHIFT);
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
        if (entry == 0 || qyi_entry_offset(entry) != 0 || qyi_entry_class(entry) >= QYI_CLASS_COUNT)
            break;
        granules = 1;
        while (granule + granules < end &&
               qyi_entry_offset(qyi_entry(granule + granules)) != 0) /* 0 of free ones too */
            granules++;
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
static RACY size_t count_remote_buffer(size_t *held, const volatile struct qyi_remote_buffer *buffer)
{
    size_t blocks = 0;
    const uint32_t end = atomic_load_explicit(&qyi_region.end, memory_order_relaxed);
    for (unsigned i = 0; i < QYI_REMOTE_WORDS; i++) {
        const uint64_t key = buffer->word[i].key;
        const uint64_t bits = buffer->word[i].bits;
        const uint64_t granule = key / QYI_WORDS_MAX;
        if (key == 0 || granule >= end)
            continue;
        const uint64_t entry = qyi_entry(granule);
        if (entry != 0 && (entry & (QYI_ENTRY_LARGE | QYI_ENTRY_POOLED)) == 0 &&
            qyi_entry_class(entry) < QYI_CLASS_COUNT)
            held[qyi_entry_class(entry)] += (size_t)qyi_popcount(bits);
        blocks += (size_t)qyi_popcount(bits);
    }
    return blocks;
}

static RACY void count_magazines(struct qyi_stats *stats, size_t *held, const struct qyi_heap *heap)
{
    const volatile struct qyi_heap *seen = heap;
    if (seen->idle && !seen->loaded)
        return; /* nothing in it, and looking would bring back a page that was given away */
    const volatile struct qyi_magazines *magazines = heap->magazines;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const volatile struct qyi_magazine *magazine = &magazines->magazine[class];
        void **slots = magazine->slots;
        void **top = magazine->top;
        if (slots != NULL && top > slots)
            held[class] += qyi_min((size_t)(top - slots), qyi_classes[class].slots_max);
        stats->classes[class].calls += qyi_magazines_calls(magazines, class);
        if (qyi_class_is_common(class))
            continue;
        const volatile struct qyi_magazine *metered = &magazines->metered[class];
        slots = metered->slots;
        top = metered->top;
        if (slots != NULL && top > slots)
            held[class] += qyi_min((size_t)(top - slots), QYI_METERED_MAX);
    }
    stats->refills += magazines->refills;
    stats->flushes += magazines->flushes;
    stats->remote_frees += magazines->remote_frees;
    stats->remote_frees += count_remote_buffer(held, &magazines->remote);
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
    stats->free_in_slabs = totals.used - stats->live - stats->cached; /* I3 */
    stats->freed_in_slabs = qyi_min(stats->freed_in_slabs, stats->free_in_slabs);
    stats->dirty = totals.dirty;
    stats->clean = totals.clean;
    stats->metadata = totals.tables + qyi_meta_committed();
    stats->mapped = totals.payload + stats->metadata;
    stats->purged_bytes = totals.purged_bytes;
    stats->large_calls = qyi_large_calls();
}

void qyi_stats_collect(struct qyi_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    count_runs(stats);
    count_heaps(stats);
    sum_up(stats);
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

/* ---- the report ---- */

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

/* Standard error as it was at start. */
static struct {
    bool known;
    int fd; /* our duplicate, or -1 */
    dev_t device;
    ino_t inode;
    _Atomic pid_t told; /* the process that has printed its report: a forked child prints one of its own */
} standard_error = {.fd = -1};

QYI_ONCE void qyi_stats_start(void)
{
    if (!qyi_options.stats && qyi_options.buf_track == QYI_TRACK_OFF)
        return;
    const int saved_errno = errno;
    struct stat status;
    standard_error.known = fstat(STDERR_FILENO, &status) == 0;
    if (standard_error.known) {
        standard_error.device = status.st_dev;
        standard_error.inode = status.st_ino;
        standard_error.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FD_WANTED);
        if (standard_error.fd < 0) /* beyond the limit */
            standard_error.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    errno = saved_errno;
}

/* Programs close what they do not know, and the number then stands for a file of theirs. */
static bool is_standard_error(int fd)
{
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == standard_error.device &&
           status.st_ino == standard_error.inode;
}

int qyi_stats_fd(void)
{
    if (!standard_error.known)
        return -1;
    return is_standard_error(standard_error.fd) ? standard_error.fd
           : is_standard_error(STDERR_FILENO)   ? STDERR_FILENO
                                                : -1;
}

QYI_ONCE void qyi_stats_finish(void)
{
    if (!qyi_options.stats)
        return;
    const int saved_errno = errno;
    const pid_t pid = getpid();
    if (atomic_exchange_explicit(&standard_error.told, pid, memory_order_relaxed) != pid) { /* elects one thread */
        const int fd = qyi_stats_fd();
        if (fd >= 0)
            qyi_stats_print(fd);
    }
    errno = saved_errno;
}

/*
 * report.c: the numbers of stats.h as text for people. Layer 6.
 *
 *     quarry VERSION: PROGRAM (pid N)       whose report it is
 *     memory                                the states of struct qyi_stats, which sum to what is mapped; then what is
 * resident work                                  counters size classes                          one line for each that
 * was used verdict: ...                          what it amounts to: the first, or weightiest, of `findings`
 *
 * It is composed without stdio and without malloc, neither of which need work at this moment, in a static buffer that
 * holds all of it; whoever finds that in use (another thread prints, or did so when this process was forked) makes do
 * with a small one, and several writes.
 */
#include "report.h"

#include "options.h"
#include "quarry/quarry.h"
#include "track.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WHOLE_BYTES = 16 << 10, /* 70 lines of words and a line per size class */
    PART_BYTES = 512,
    WAIT_MS = 1000, /* for a reader that is slow, of a descriptor that does not block */
};

/* ---- text ---- */

struct text {
    char *start;
    size_t length, capacity;
    int fd;
    bool failed; /* nobody reads it */
};

/* Write what has been gathered. */
static void text_flush(struct text *text)
{
    const char *next = text->start;
    size_t left = text->failed ? 0 : text->length;
    while (left > 0) {
        const ssize_t written = write(text->fd, next, left);
        if (written > 0) {
            next += written;
            left -= (size_t)written;
        } else if (written < 0 && errno == EINTR) {
            continue;
        } else {
            struct pollfd wait = {.fd = text->fd, .events = POLLOUT};
            text->failed = written == 0 || errno != EAGAIN || poll(&wait, 1, WAIT_MS) <= 0;
            if (text->failed)
                break;
        }
    }
    text->length = 0;
}

static void put_part(struct text *text, const char *part, size_t length)
{
    while (length > 0) {
        if (text->length == text->capacity)
            text_flush(text);
        const size_t fits = qyi_min(length, text->capacity - text->length);
        memcpy(text->start + text->length, part, fits);
        text->length += fits;
        part += fits;
        length -= fits;
    }
}

static void put(struct text *text, const char *part)
{
    put_part(text, part, strlen(part));
}

static void put_spaces(struct text *text, size_t count)
{
    while (count-- > 0)
        put_part(text, " ", 1);
}

/* A number as text. */
struct word {
    size_t length;
    char text[32];
};

static struct word number_word(uint64_t number)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    struct word word = {.length = sizeof digits - first};
    memcpy(word.text, digits + first, word.length);
    return word;
}

/* "12.3" and what follows it. */
static struct word tenths_word(uint64_t tenths, const char *unit)
{
    struct word word = number_word(tenths / 10);
    word.text[word.length++] = '.';
    word.text[word.length++] = (char)('0' + tenths % 10);
    const size_t length = qyi_min(strlen(unit), sizeof word.text - word.length);
    memcpy(word.text + word.length, unit, length);
    word.length += length;
    return word;
}

static struct word bytes_word(size_t bytes)
{
    static const char *const units[] = {" KiB", " MiB", " GiB", " TiB"};
    unsigned shift = 10;
    unsigned unit = 0;
    while (unit + 1 < sizeof units / sizeof units[0] && bytes >> shift >= 1024) {
        shift += 10;
        unit++;
    }
    /* the whole units first: ten times as many bytes need not fit a word */
    const size_t rest = bytes & (((size_t)1 << shift) - 1);
    return tenths_word((bytes >> shift) * 10 + ((rest * 10 + ((size_t)1 << shift) / 2) >> shift), units[unit]);
}

/* In thousandths, rounded; 0 of nothing. */
static uint64_t share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (part * 1000 + whole / 2) / whole; /* bytes of an address space are few enough */
}

static struct word share_word(uint64_t part, uint64_t whole)
{
    return tenths_word(share(part, whole), "%");
}

/* Without the tenth, for sentences. */
static struct word percent_word(uint64_t part, uint64_t whole)
{
    struct word word = number_word((share(part, whole) + 5) / 10);
    word.text[word.length++] = '%';
    return word;
}

static void put_word(struct text *text, struct word word, size_t width)
{
    if (word.length < width)
        put_spaces(text, width - word.length);
    put_part(text, word.text, word.length);
}

static void put_left(struct text *text, const char *part, size_t width)
{
    const size_t length = strlen(part);
    put_part(text, part, length);
    if (length < width)
        put_spaces(text, width - length);
}

static void put_right(struct text *text, const char *part, size_t width)
{
    const size_t length = strlen(part);
    if (length < width)
        put_spaces(text, width - length);
    put_part(text, part, length);
}

/* ---- whose ---- */

static void put_head(struct text *text)
{
    put(text, "quarry ");
    put_word(text, number_word(QY_VERSION_MAJOR), 0);
    put(text, ".");
    put_word(text, number_word(QY_VERSION_MINOR), 0);
    put(text, ".");
    put_word(text, number_word(QY_VERSION_PATCH), 0);
    put(text, ": ");
    for (const char *c = program_invocation_short_name; *c != '\0'; c++) /* a file's name can hold anything */
        put_part(text, (unsigned char)*c < ' ' || *c == 0x7f ? "?" : c, 1);
    put(text, " (pid ");
    put_word(text, number_word((uint64_t)getpid()), 0);
    put(text, ")\n");
}

/* ---- memory ---- */

enum { NAME_COLUMN = 16, BYTES_COLUMN = 14, HUMAN_COLUMN = 11, SHARE_COLUMN = 7 };

/* whole 0: no share. */
static void put_memory(struct text *text, const char *name, size_t bytes, size_t whole, const char *meaning)
{
    put(text, "  ");
    put_left(text, name, NAME_COLUMN);
    put_word(text, number_word(bytes), BYTES_COLUMN);
    put_word(text, bytes_word(bytes), HUMAN_COLUMN);
    if (whole != 0)
        put_word(text, share_word(bytes, whole), SHARE_COLUMN);
    else
        put_spaces(text, SHARE_COLUMN);
    put(text, "  ");
    put(text, meaning);
    put(text, "\n");
}

static void put_totals(struct text *text, const struct qyi_stats *stats)
{
    put_left(text, "memory", 2 + NAME_COLUMN);
    put_right(text, "bytes", BYTES_COLUMN);
    put_right(text, "share", HUMAN_COLUMN + SHARE_COLUMN);
    put(text, "\n");
    put_memory(text, "live", stats->live, stats->mapped, "blocks the program holds");
    put_memory(text, "free in slabs", stats->free_in_slabs, stats->mapped, "room beside live blocks");
    put_memory(text, "cached", stats->cached, stats->mapped, "in magazines, at hand");
    put_memory(text, "dirty", stats->dirty, stats->mapped, "free, resident until purged");
    put_memory(text, "clean", stats->clean, stats->mapped, "free, not resident");
    put_memory(text, "metadata", stats->metadata, stats->mapped, "Quarry's own records");
    put_spaces(text, 2 + NAME_COLUMN);
    put(text, "  ------------ ---------- ------\n");
    put_memory(text, "= mapped", stats->mapped, stats->mapped, "all that Quarry has mapped");
    if (stats->resident == 0) {
        put(text, "  resident: not known, /proc cannot be read\n");
        return;
    }
    put_memory(text, "resident", stats->resident, stats->resident, "the whole process, in RAM");
    if (stats->resident_ours != 0) {
        put_memory(text, "  ours", stats->resident_ours, stats->resident, "Quarry's part of it");
        put_memory(text, "  not ours", stats->resident - qyi_min(stats->resident, stats->resident_ours),
                   stats->resident, "libraries, stacks, mappings");
    }
    put_memory(text, "peak resident", stats->resident_peak, 0, "the most there ever was");
}

/* ---- work ---- */

static void put_counter(struct text *text, const char *name, uint64_t number, const char *meaning)
{
    put(text, "  ");
    put_left(text, name, NAME_COLUMN);
    put_word(text, number_word(number), BYTES_COLUMN);
    put(text, "  ");
    put(text, meaning);
    put(text, "\n");
}

static uint64_t small_calls(const struct qyi_stats *stats)
{
    uint64_t calls = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++)
        calls += stats->classes[class].calls;
    return calls;
}

static void put_work(struct text *text, const struct qyi_stats *stats)
{
    put_left(text, "work", 2 + NAME_COLUMN);
    put_right(text, "count", BYTES_COLUMN);
    put(text, "\n");
    put_counter(text, "calls", small_calls(stats) + stats->large_calls,
                "blocks handed out, by malloc and its relatives");
    put_counter(text, "  large", stats->large_calls, "of these, blocks too large for a slab");
    put_counter(text, "refills", stats->refills, "of a magazine that was empty, from slabs");
    put_counter(text, "flushes", stats->flushes, "of a magazine that was full, to slabs");
    put_counter(text, "remote frees", stats->remote_frees, "of blocks that are another thread's");
    put_counter(text, "heaps", stats->heaps, "one per thread at the busiest time, and one");
    put_counter(text, "purged bytes", stats->purged_bytes, "free memory given back to the system so far");
}

/* ---- references ---- */

static void put_references(struct text *text, const struct qyi_stats *stats)
{
    struct qyi_track_totals tracked = {0};
    const bool tracking = qyi_track_lock();
    if (tracking) {
        qyi_track_totals(&tracked);
        qyi_track_unlock();
    }
    if (stats->counted_slabs == 0 && stats->shared_blocks == 0 && tracked.blocks == 0)
        return;
    put_left(text, "references", 2 + NAME_COLUMN);
    put_right(text, "count", BYTES_COLUMN);
    put(text, "\n");
    put_counter(text, "shared blocks", stats->shared_blocks, "with more than one reference");
    put_counter(text, "  extra", stats->extra_references, "references to these, beyond the first of each");
    put_counter(text, "  pinned bytes", stats->pinned_bytes, "of these blocks");
    put_counter(text, "counted slabs", stats->counted_slabs, "with reference counts");
    if (!tracking)
        return;
    put_counter(text, "buffers", tracked.blocks, "blocks that are used as such, by what buf_track has seen");
    put_counter(text, "  references", tracked.references, "to these");
    put_counter(text, "  pinned bytes", tracked.bytes, "of these blocks");
    put_counter(text, "  referenced", tracked.referenced, "bytes of them that a reference is for");
}

/* ---- size classes ---- */

static size_t slab_bytes(unsigned class)
{
    return (size_t)qyi_classes[class].granule_count << QYI_GRANULE_SHIFT;
}

static const struct column {
    const char *title;
    size_t width;
} columns[] = {{"size", 8},   {"calls", 14}, {"live", 11}, {"live bytes", 12},
               {"cached", 9}, {"free", 9},   {"slabs", 8}, {"used", 6}};

enum { COLUMN_SIZE, COLUMN_CALLS, COLUMN_LIVE, COLUMN_BYTES, COLUMN_CACHED, COLUMN_FREE, COLUMN_SLABS, COLUMN_USED };

static void put_row(struct text *text, const struct qyi_stats_class *row, size_t live_bytes, size_t all_bytes)
{
    put_word(text, number_word(row->calls), columns[COLUMN_CALLS].width);
    put_word(text, number_word(row->live), columns[COLUMN_LIVE].width);
    put_word(text, bytes_word(live_bytes), columns[COLUMN_BYTES].width);
    put_word(text, number_word(row->cached), columns[COLUMN_CACHED].width);
    put_word(text, number_word(row->free), columns[COLUMN_FREE].width);
    put_word(text, number_word(row->slabs), columns[COLUMN_SLABS].width);
    put_word(text, percent_word(live_bytes, all_bytes), columns[COLUMN_USED].width);
    put(text, "\n");
}

static void put_classes(struct text *text, const struct qyi_stats *stats)
{
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        put_right(text, columns[i].title, columns[i].width);
    put(text, "\n");
    struct qyi_stats_class sum = {0};
    size_t sum_bytes = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats->classes[class];
        if (row->calls == 0 && row->slabs == 0)
            continue;
        put_word(text, number_word(qyi_classes[class].bytes), columns[COLUMN_SIZE].width);
        put_row(text, row, row->live * qyi_classes[class].bytes, row->slabs * slab_bytes(class));
        sum.calls += row->calls;
        sum.live += row->live;
        sum.cached += row->cached;
        sum.free += row->free;
        sum.slabs += row->slabs;
        sum_bytes += row->slabs * slab_bytes(class);
    }
    put_right(text, "small", columns[COLUMN_SIZE].width);
    put_row(text, &sum, stats->live - stats->large_live, sum_bytes);
    put_right(text, "large", columns[COLUMN_SIZE].width);
    put_word(text, number_word(stats->large_calls), columns[COLUMN_CALLS].width);
    put_word(text, number_word(stats->large_count), columns[COLUMN_LIVE].width);
    put_word(text, bytes_word(stats->large_live), columns[COLUMN_BYTES].width);
    put(text, "\n");
}

/* ---- the verdict ---- */

/* Amounts of memory that a verdict can speak of. */
enum amount { LIVE, FREED, CACHED, DIRTY, OURS, NOT_OURS, RESIDENT, PEAK, GONE, HANDED, AMOUNT_COUNT };

struct view {
    size_t amount[AMOUNT_COUNT];
    size_t largest_bytes; /* the class, and 0 for large blocks, that holds most of what is live; ... */
    size_t freed_bytes;   /* ... the class that holds most of what is freed */
};

/*
 * What can be said, and when. A finding holds if its part is at least percent of its whole, and at least `least` and at
 * most `most` bytes. Of those that hold, the ones of the lowest rank matter, and among them the one with the largest
 * part.
 *
 * In the text: %a the part, %o the whole, %p their ratio; %l live bytes; %r resident bytes; %f freed blocks as a share
 * of what slabs have handed out; %c where most live bytes are; %d the class with most freed bytes; %w how long free
 * memory waits.
 */
static const struct finding {
    unsigned rank;
    enum amount part, whole;
    unsigned percent;
    size_t least, most;
    const char *text;
} findings[] = {
    /* The footprint that people remember is the peak: when most of it is gone, the rest is detail. Below 16 MiB nobody
       minds. */
    {0, GONE, PEAK, 50, 16 << 20, SIZE_MAX,
     "most of the peak has gone back to the system: %o resident at the height, %r now, %l of it live"},
    /* Next to what any process needs, this little cannot be what is looked for. */
    {1, OURS, RESIDENT, 0, 0, 1 << 20,
     "a small heap: %a of the %o that are resident (%p), %l of it live; the rest is not Quarry's"},
    {1, OURS, OURS, 0, 0, 1 << 20, "a small heap: %a, %l of it live"},
    /* More than half is where looking elsewhere is worth more than looking here. */
    {2, NOT_OURS, RESIDENT, 50, 0, SIZE_MAX,
     "most resident memory is not Quarry's (libraries, stacks, mappings): %a of %o (%p); live blocks are %l"},
    /* Kinds of memory that is ours and serves nobody: worth a word from a quarter on, and the largest of them comes
       first. */
    {3, DIRTY, OURS, 25, 0, SIZE_MAX, "free memory is waiting to be purged: %a (%p of Quarry's)%w"},
    {3, FREED, OURS, 25, 0, SIZE_MAX,
     "fragmentation: %f of slab memory (%a) is free blocks in slabs that other blocks keep in place, most in %d"},
    {3, CACHED, OURS, 25, 0, SIZE_MAX,
     "free blocks are in the threads' magazines: %a (%p of Quarry's); malloc_trim(0) collects them"},
    /* None of them: then it is the program that holds it, or a bit of everything. */
    {4, LIVE, OURS, 50, 0, SIZE_MAX, "most of the memory is live: the program holds %a (%p of Quarry's), most in %c"},
    {5, LIVE, LIVE, 0, 0, SIZE_MAX, "no single cause: %l live, the rest is free memory of several kinds, see above"},
};

static void look(struct view *view, const struct qyi_stats *stats)
{
    size_t *amount = view->amount;
    amount[LIVE] = stats->live;
    amount[FREED] = stats->freed_in_slabs;
    amount[CACHED] = stats->cached;
    amount[DIRTY] = stats->dirty;
    amount[HANDED] = stats->live - stats->large_live + stats->cached + stats->freed_in_slabs;
    /* not measured: what must have been touched */
    amount[OURS] = stats->resident_ours != 0
                       ? stats->resident_ours
                       : stats->live + stats->cached + stats->freed_in_slabs + stats->dirty + stats->metadata;
    amount[RESIDENT] = stats->resident;
    amount[NOT_OURS] = stats->resident_ours != 0 ? stats->resident - qyi_min(stats->resident, stats->resident_ours) : 0;
    amount[PEAK] = stats->resident_peak;
    amount[GONE] = stats->resident_peak - qyi_min(stats->resident_peak, stats->resident);
    size_t largest = stats->large_live;
    size_t freed = 0;
    view->largest_bytes = view->freed_bytes = 0;
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const size_t bytes = qyi_classes[class].bytes;
        if (stats->classes[class].live * bytes > largest) {
            largest = stats->classes[class].live * bytes;
            view->largest_bytes = bytes;
        }
        if (stats->classes[class].freed * bytes > freed) {
            freed = stats->classes[class].freed * bytes;
            view->freed_bytes = bytes;
        }
    }
}

static const struct finding *choose(const struct view *view)
{
    const struct finding *best = NULL;
    for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++) {
        const struct finding *finding = &findings[i];
        const size_t part = view->amount[finding->part];
        const size_t whole = view->amount[finding->whole];
        /* The last one holds always; the others only if there is something to be a part of. */
        const bool holds = (whole != 0 && part >= finding->least && part <= finding->most &&
                            share(part, whole) >= finding->percent * 10) ||
                           i + 1 == sizeof findings / sizeof findings[0];
        if (holds && (best == NULL || (finding->rank == best->rank && part > view->amount[best->part])))
            best = finding;
    }
    return best;
}

static void put_kind(struct text *text, size_t class_bytes)
{
    if (class_bytes == 0) {
        put(text, "large blocks");
    } else {
        put(text, "blocks of ");
        put_word(text, number_word(class_bytes), 0);
        put(text, " bytes");
    }
}

static void put_wait(struct text *text)
{
    if (qyi_options.purge_delay_ms == UINT32_MAX) {
        put(text, "; it is never returned, as QUARRY_OPTIONS=purge asks");
    } else if (qyi_options.purge_delay_ms != 0) {
        put(text, "; it goes after ");
        put_word(text, number_word(qyi_options.purge_delay_ms), 0);
        put(text, " ms (QUARRY_OPTIONS=purge:0 returns it at once)");
    }
}

static void put_reference(struct text *text, const struct view *view, const struct finding *finding, char letter)
{
    switch (letter) {
    case 'a': put_word(text, bytes_word(view->amount[finding->part]), 0); break;
    case 'o': put_word(text, bytes_word(view->amount[finding->whole]), 0); break;
    case 'p': put_word(text, percent_word(view->amount[finding->part], view->amount[finding->whole]), 0); break;
    case 'l': put_word(text, bytes_word(view->amount[LIVE]), 0); break;
    case 'r': put_word(text, bytes_word(view->amount[RESIDENT]), 0); break;
    case 'f': put_word(text, percent_word(view->amount[FREED], view->amount[HANDED]), 0); break;
    case 'c': put_kind(text, view->largest_bytes); break;
    case 'd': put_kind(text, view->freed_bytes); break;
    case 'w': put_wait(text); break;
    default: break;
    }
}

static void put_verdict(struct text *text, const struct qyi_stats *stats)
{
    struct view view;
    look(&view, stats);
    const struct finding *finding = choose(&view);
    put(text, "verdict: ");
    for (const char *c = finding->text; *c != '\0'; c++) {
        if (*c == '%')
            put_reference(text, &view, finding, *++c);
        else
            put_part(text, c, 1);
    }
    put(text, "\n");
}

/* ---- all of it ---- */

/* False: nobody reads it. */
static bool compose(const struct qyi_stats *stats, int fd)
{
    static char whole[WHOLE_BYTES];
    static _Atomic bool whole_taken;
    char part[PART_BYTES];
    /* acquire, and release below: one at a time has the buffer */
    const bool mine = !atomic_exchange_explicit(&whole_taken, true, memory_order_acquire);
    struct text text = {.start = mine ? whole : part, .capacity = mine ? WHOLE_BYTES : PART_BYTES, .fd = fd};
    put_head(&text);
    put_totals(&text, stats);
    put_work(&text, stats);
    put_references(&text, stats);
    put_classes(&text, stats);
    put_verdict(&text, stats);
    text_flush(&text);
    if (mine)
        atomic_store_explicit(&whole_taken, false, memory_order_release);
    return !text.failed;
}

void qyi_report_write(const struct qyi_stats *stats, int fd)
{
    const int saved_errno = errno;
    /* Writing to a pipe that nobody reads, or beyond a limit, sends the thread a signal: hold it off, and take it away
     * unless it was there before. */
    static const int signals[] = {SIGPIPE, SIGXFSZ};
    sigset_t pending;
    sigset_t ends;
    sigset_t before;
    sigpending(&pending);
    sigemptyset(&ends);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigismember(&pending, signals[i]) != 1)
            sigaddset(&ends, signals[i]);
    }
    const bool held = pthread_sigmask(SIG_BLOCK, &ends, &before) == 0;
    const bool read = compose(stats, fd);
    if (held && !read) {
        const struct timespec at_once = {0};
        while (sigtimedwait(&ends, NULL, &at_once) > 0 || errno == EINTR)
            continue;
    }
    if (held)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
}

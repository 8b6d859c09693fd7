/*
 * verdict.c: one sentence on why resident memory is what it is. Layer 6.
 */
#include "verdict.h"

#include "options.h"

/* Amounts of memory that a verdict can speak of. */
enum amount {
    LIVE,
    FREED,
    CACHED,
    DIRTY,
    RECORDS,
    HELD, /* all of these, resident or not; or what is resident, if that is more */
    OURS, /* what of it is resident */
    NOT_OURS,
    RESIDENT,
    PEAK,
    GONE,
    HANDED,
    AMOUNT_COUNT
};

enum { UNTOUCHED_PERCENT = 10 }; /* from here on it is worth a word */

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
     "most of the peak has gone back to the system: %o resident at the height, %r now; live blocks are %l"},
    /* Next to what any process needs, this little cannot be what is looked for. */
    {1, OURS, RESIDENT, 0, 0, 1 << 20,
     "a small heap: %a of the %o that are resident (%p), the rest is not Quarry's; live blocks are %l"},
    {1, OURS, OURS, 0, 0, 1 << 20, "a small heap: %a; live blocks are %l"},
    /* More than half is where looking elsewhere is worth more than looking here. */
    {2, NOT_OURS, RESIDENT, 50, 0, SIZE_MAX,
     "most resident memory is not Quarry's (libraries, stacks, mappings): %a of %o (%p); live blocks are %l"},
    /* Kinds of memory that is ours and serves nobody: worth a word from a quarter on, and the largest of them comes
       first. */
    {3, DIRTY, HELD, 25, 0, SIZE_MAX, "free memory is waiting to be purged: %a (%p of Quarry's)%w"},
    {3, FREED, HELD, 25, 0, SIZE_MAX,
     "fragmentation: %f of slab memory (%a) is free blocks in slabs that other blocks keep in place, most in %d"},
    {3, CACHED, HELD, 25, 0, SIZE_MAX,
     "free blocks are in the threads' magazines: %a (%p of Quarry's); malloc_trim(0) collects them"},
    {3, RECORDS, HELD, 25, 0, SIZE_MAX,
     "much is Quarry's own records, of slabs, threads and a profile's samples: %a (%p of Quarry's); live blocks are %l"},
    /* None of them: then it is the program that holds it, or a bit of everything. */
    {4, LIVE, HELD, 50, 0, SIZE_MAX, "most of the memory is live: the program holds %a (%p of Quarry's), most in %c"},
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
    const size_t blocks = stats->live + stats->cached + stats->freed_in_slabs + stats->dirty;
    /* not measured: what must have been touched. Not all of the records have, and nobody knows which */
    amount[OURS] = stats->resident_ours != 0 ? stats->resident_ours : blocks;
    amount[HELD] = qyi_max(amount[OURS], blocks);
    amount[RECORDS] =
        qyi_min(stats->metadata, amount[HELD] - blocks); /* most of their memory waits for more, untouched */
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
                            qyi_share(part, whole) >= finding->percent * 10) ||
                           i + 1 == sizeof findings / sizeof findings[0];
        if (holds && (best == NULL || (finding->rank == best->rank && part > view->amount[best->part])))
            best = finding;
    }
    return best;
}

static void put_kind(struct qyi_text *text, size_t class_bytes)
{
    if (class_bytes == 0) {
        qyi_put(text, "large blocks");
    } else {
        qyi_put(text, "blocks of ");
        qyi_put_number(text, class_bytes);
        qyi_put(text, " bytes");
    }
}

static void put_wait(struct qyi_text *text)
{
    if (qyi_options.purge_delay_ms == UINT32_MAX) {
        qyi_put(text, "; it is never returned, as QUARRY_OPTIONS=purge asks");
    } else if (qyi_options.purge_delay_ms != 0) {
        /* Without the thread, nobody looks at the clock but calls of malloc and free. */
        qyi_put(text,
                qyi_options.background ? "; it goes after " : "; it goes when the program allocates or frees after ");
        qyi_put_word(text, qyi_number_word(qyi_options.purge_delay_ms), 0);
        qyi_put(text, qyi_options.background
                          ? " ms (QUARRY_OPTIONS=purge:0 returns it at once)"
                          : " ms (QUARRY_OPTIONS=background: while it is idle, too; purge:0: at once)");
    }
}

static void put_reference(struct qyi_text *text, const struct view *view, const struct finding *finding, char letter)
{
    switch (letter) {
    case 'a': qyi_put_word(text, qyi_bytes_word(view->amount[finding->part]), 0); break;
    case 'o': qyi_put_word(text, qyi_bytes_word(view->amount[finding->whole]), 0); break;
    case 'p': qyi_put_word(text, qyi_percent_word(view->amount[finding->part], view->amount[finding->whole]), 0); break;
    case 'l': qyi_put_word(text, qyi_bytes_word(view->amount[LIVE]), 0); break;
    case 'r': qyi_put_word(text, qyi_bytes_word(view->amount[RESIDENT]), 0); break;
    case 'f': qyi_put_word(text, qyi_percent_word(view->amount[FREED], view->amount[HANDED]), 0); break;
    case 'c': put_kind(text, view->largest_bytes); break;
    case 'd': put_kind(text, view->freed_bytes); break;
    case 'w': put_wait(text); break;
    default: break;
    }
}

void qyi_verdict_put(struct qyi_text *text, const struct qyi_stats *stats)
{
    struct view view;
    look(&view, stats);
    const struct finding *finding = choose(&view);
    for (const char *c = finding->text; *c != '\0'; c++) {
        if (*c == '%')
            put_reference(text, &view, finding, *++c);
        else
            qyi_put_part(text, c, 1);
    }
    const size_t held = view.amount[HELD];
    const size_t untouched = held - view.amount[OURS];
    if (qyi_share(untouched, held) >= UNTOUCHED_PERCENT * 10) {
        qyi_put(text, "; ");
        qyi_put_word(text, qyi_bytes_word(untouched), 0);
        qyi_put(text, " of Quarry's is not resident: not touched yet, or swapped out");
    }
}

/*
 * leaks.c: references that nobody has released, by place. Layer 6.
 *
 *     the tables of track.c  ->  groups: (where made, what, where)  ->  lines, largest first
 *
 * A line is written by itself, so the report of a process that ends meanwhile is one of whole lines. The groups lie in
 * memory of the tables' own; when there are more than fit, the report says so.
 */
#include "leaks.h"

#include "fatal.h"
#include "site.h"
#include "output.h"
#include "track.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    GROUPS_SHIFT = 11,
    GROUPS = 1 << GROUPS_SHIFT,
    MAKERS_MAX = 50, /* lines that are read are few */
    PLACES_MAX = 10, /* of each maker */
};

enum kind {
    NOTHING,
    MADE,     /* the blocks that were made in a place */
    HELD,     /* references to such blocks that were made in a place */
    RELEASED, /* releases of such blocks in a place */
};

struct group {
    enum kind kind;
    bool told;
    qyi_site made, site;
    uint32_t last_block; /* counted in blocks */
    size_t blocks, references;
    size_t bytes;      /* of the blocks */
    size_t referenced; /* that the references are for; more than bytes if not known */
};

struct report {
    struct group *group;
    size_t used, missing;
    int fd;
};

/* ---- grouping ---- */

/* NULL: no room. */
static struct group *group_for(struct report *report, enum kind kind, qyi_site made, qyi_site site)
{
    const uint64_t key = (uint64_t)made << 34 | (uint64_t)site << 2 | kind;
    size_t i = key * 0x9e3779b97f4a7c15 >> (64 - GROUPS_SHIFT); /* see site.c */
    for (;; i = (i + 1) % GROUPS) {
        struct group *group = &report->group[i];
        if (group->kind == NOTHING)
            break;
        if (group->kind == kind && group->made == made && group->site == site)
            return group;
    }
    if (report->used >= GROUPS / 2) {
        report->missing++;
        return NULL;
    }
    report->used++;
    report->group[i] = (struct group){.kind = kind, .made = made, .site = site};
    return &report->group[i];
}

static void count_in(struct group *group, uint32_t number, const struct qyi_tracked *block, size_t references,
                     size_t referenced)
{
    if (group == NULL)
        return;
    if (group->last_block != number) {
        group->last_block = number;
        group->blocks++;
        group->bytes += block->bytes;
    }
    group->references += references;
    group->referenced += referenced;
}

static void gather_block(struct report *report, uint32_t number)
{
    const struct qyi_tracked *block = qyi_track_block(number);
    size_t held = 0;
    if (!block->live)
        return;
    for (uint32_t i = block->references; i != 0; i = qyi_track_reference(i)->next) {
        const struct qyi_reference *reference = qyi_track_reference(i);
        if (reference->epoch != qyi_track_epoch())
            continue;
        const size_t length = reference->length == 0 ? block->bytes + 1 : reference->length;
        count_in(group_for(report, HELD, block->made, reference->site), number, block, reference->count,
                 length * reference->count);
        held += reference->count;
    }
    if (held == 0)
        return;
    count_in(group_for(report, MADE, block->made, 0), number, block, held, 0);
    for (unsigned i = 0; i < QYI_TRACK_RELEASES && block->release[i].count != 0; i++)
        count_in(group_for(report, RELEASED, block->made, block->release[i].site), number, block,
                 block->release[i].count, 0);
}

/* The largest group of this kind that has not been told of; NULL: all have. */
static struct group *next_group(const struct report *report, enum kind kind, qyi_site made)
{
    struct group *best = NULL;
    for (size_t i = 0; i < GROUPS; i++) {
        struct group *group = &report->group[i];
        if (group->kind != kind || group->told || (kind != MADE && group->made != made))
            continue;
        if (best == NULL || group->bytes > best->bytes ||
            (group->bytes == best->bytes && group->references > best->references))
            best = group;
    }
    if (best != NULL)
        best->told = true;
    return best;
}

/* ---- lines ---- */

static void put_count(struct qyi_line *line, size_t count, const char *one, const char *many)
{
    qyi_line_number(line, count);
    qyi_line_text(line, count == 1 ? one : many);
}

static void put_callers(const struct report *report, qyi_site site)
{
    struct qyi_line line = {0};
    for (unsigned frame = 1; frame < qyi_site_frames(site); frame++) {
        qyi_line_text(&line, "quarry:         called from ");
        qyi_site_put(&line, site, frame);
        qyi_line_write(&line, report->fd);
    }
}

static void tell_held(const struct report *report, const struct group *group)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry:     ");
    put_count(&line, group->references, " reference to ", " references to ");
    put_count(&line, group->blocks, " block, ", " blocks, ");
    put_count(&line, group->bytes, " byte", " bytes");
    if (group->referenced < group->bytes) {
        qyi_line_text(&line, " (for ");
        qyi_line_number(&line, group->referenced);
        qyi_line_text(&line, ")");
    }
    if (group->site == group->made && group->site != 0) {
        qyi_line_text(&line, ", of the maker's");
    } else {
        qyi_line_text(&line, ", retained at ");
        qyi_site_put(&line, group->site, 0);
    }
    qyi_line_write(&line, report->fd);
    if (group->site != group->made)
        put_callers(report, group->site);
}

static void tell_released(const struct report *report, const struct group *group)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry:     others were released ");
    put_count(&line, group->references, " time at ", " times at ");
    qyi_site_put(&line, group->site, 0);
    qyi_line_write(&line, report->fd);
    put_callers(report, group->site);
}

static void tell_made(const struct report *report, const struct group *made)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry:   ");
    put_count(&line, made->blocks, " block, ", " blocks, ");
    put_count(&line, made->bytes, " byte, ", " bytes, ");
    if (made->made == 0) {
        qyi_line_text(&line, "from malloc");
    } else {
        qyi_line_text(&line, "made at ");
        qyi_site_put(&line, made->made, 0);
    }
    qyi_line_write(&line, report->fd);
    put_callers(report, made->made);
    const struct group *group;
    for (unsigned i = 0; i < PLACES_MAX && (group = next_group(report, HELD, made->made)) != NULL; i++)
        tell_held(report, group);
    for (unsigned i = 0; i < PLACES_MAX && (group = next_group(report, RELEASED, made->made)) != NULL; i++)
        tell_released(report, group);
}

static void tell_head(const struct report *report, const struct qyi_track_totals *totals)
{
    struct qyi_line line = {0};
    size_t blocks = 0;
    size_t references = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        if (report->group[i].kind == MADE) {
            blocks += report->group[i].blocks;
            references += report->group[i].references;
            bytes += report->group[i].bytes;
        }
    }
    qyi_line_text(&line, "quarry: ");
    qyi_line_text(&line, program_invocation_short_name);
    qyi_line_text(&line, " (pid ");
    qyi_line_number(&line, (uint64_t)getpid());
    qyi_line_text(&line, "): ");
    put_count(&line, references, " reference to ", " references to ");
    put_count(&line, blocks, " block, ", " blocks, ");
    put_count(&line, bytes, " byte, not released", " bytes, not released");
    if (totals->lost != 0 || report->missing != 0) {
        qyi_line_text(&line, "; the tables are full: ");
        qyi_line_number(&line, totals->lost + report->missing);
        qyi_line_text(&line, " events or places are missing");
    }
    if (totals->forgotten != 0) {
        qyi_line_text(&line, "; forked while another thread changed the tables: ");
        qyi_line_number(&line, totals->forgotten);
        qyi_line_text(&line, " older records are missing");
    }
    qyi_line_write(&line, report->fd);
}

/* ---- all of it ---- */

void qyi_leaks_print(int fd)
{
    struct qyi_track_totals totals;
    if (!qyi_track_lock())
        return;
    struct report report = {.fd = fd, .group = qyi_track_scratch(GROUPS * sizeof *report.group)};
    if (report.group != NULL) {
        memset(report.group, 0, GROUPS * sizeof *report.group);
        qyi_track_totals(&totals);
        for (uint32_t number = 1; number <= qyi_track_block_count(); number++)
            gather_block(&report, number);
    }
    qyi_track_unlock();
    if (report.used == 0)
        return;
    tell_head(&report, &totals);
    unsigned makers = 0;
    for (const struct group *made; makers < MAKERS_MAX && (made = next_group(&report, MADE, 0)) != NULL; makers++)
        tell_made(&report, made);
    if (next_group(&report, MADE, 0) != NULL) {
        struct qyi_line line = {0};
        qyi_line_text(&line, "quarry:   and more, made in other places");
        qyi_line_write(&line, fd);
    }
}

/* ---- misuse ---- */

static void put_release(const char *text, qyi_site site)
{
    const struct report report = {.fd = STDERR_FILENO};
    struct qyi_line line = {0};
    if (site == 0)
        return;
    qyi_line_text(&line, text);
    qyi_site_put(&line, site, 0);
    qyi_line_write(&line, report.fd);
    put_callers(&report, site);
}

/* The process is about to be aborted because of p: say what is known about its block. Other locks may be held. */
static void explain(const void *p)
{
    struct qyi_tracked block;
    if (!qyi_track_lock())
        return;
    const bool found = qyi_track_find(p, &block);
    qyi_track_unlock();
    if (!found)
        return;
    put_release("quarry:     last released at ", block.last);
    put_release("quarry:     before that, released at ", block.before_last);
    put_release("quarry:     made at ", block.made);
}

/* ---- start and end ---- */

QYI_ONCE void qyi_leaks_start(void)
{
    qyi_track_start();
    if (qyi_is_tracking())
        qyi_fatal_explain = explain;
}

QYI_ONCE void qyi_leaks_finish(void)
{
    static _Atomic pid_t told; /* as in dump.c */
    if (!qyi_is_tracking())
        return; /* and no system call: a sandbox may allow none of them */
    const int saved_errno = errno;
    const pid_t pid = getpid();
    if (atomic_exchange_explicit(&told, pid, memory_order_relaxed) == pid)
        return;
    const int fd = qyi_output_stderr();
    if (fd >= 0)
        qyi_leaks_print(fd);
    errno = saved_errno;
}

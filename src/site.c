/*
 * site.c: where the program called into the library. Layer 3.
 *
 *     backtrace(3):  [own] [own] [own] [caller] [its caller] ...        return addresses, innermost first
 *                                      `------ a site ------'
 *
 * Unwinding is libc's, by the tables that every function has, frame pointers or not; it ends where a function has none. It loads
 * its library at the first call, which qyi_site_start makes; afterwards it neither allocates nor locks. No lock of ours
 * is held meanwhile. Which frames are the library's own, its place in memory says; but not in a program that contains the
 * static archive: there a site is a stack that begins inside of Quarry.
 *
 * I1  records [1, count) are complete and never change; `count` grows, and buckets are linked to, after they are.
 */
#include "site.h"

#include "lock.h"
#include "meta.h"
#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum {
    OWN_FRAMES_USUAL = 5, /* of the library, below the caller's; each costs a quarter of a microsecond */
    OWN_FRAMES_MAX = 10,
    BUCKETS = 1024,
    CHUNK_RECORDS = 256,
    CHUNKS = 64,
};

struct record {
    uint32_t next; /* in the bucket */
    uint32_t depth;
    uintptr_t address[]; /* of the calls: within the instruction, so that tools find its line */
};

/* Of interpose.c, which is in the shared library alone. */
extern const char qyi_interposes __attribute__((weak, visibility("hidden")));

QYI_NEAR static unsigned frames_wanted;

static struct {
    struct qyi_lock lock;
    unsigned frames; /* per record: as wanted, when unwinding works; 0 before */
    size_t record_bytes;
    uintptr_t own_start, own_end; /* the library's code */
    uint32_t count;               /* the next number */
    uint64_t lost;
    char *chunk[CHUNKS];
    uint32_t bucket[BUCKETS];
} sites;

static struct record *record_at(qyi_site site)
{
    return (struct record *)(sites.chunk[site / CHUNK_RECORDS] + site % CHUNK_RECORDS * sites.record_bytes);
}

/* ---- what is ours ---- */

QYI_INLINE bool is_own(uintptr_t address)
{
    return address - sites.own_start < sites.own_end - sites.own_start;
}

/* ---- taking ---- */

/* Load the unwinder. */
static bool prime(void)
{
    void *frame[1];
    const int saved_errno = errno;
    const bool works = backtrace(frame, 1) > 0;
    if (works)
        sites.frames = frames_wanted;
    errno = saved_errno;
    return works;
}

/* In a program without a loader, unwinding before this point, which comes after the library's own constructor, would abort. */
__attribute__((constructor)) QYI_ONCE static void program_begins(void)
{
    if (frames_wanted != 0 && sites.frames == 0)
        (void)prime();
}

bool qyi_site_start(unsigned frames)
{
    struct qyi_module_place own;
    if (&qyi_interposes != NULL && qyi_os_find_module((uintptr_t)&qyi_site_start, &own)) {
        sites.own_start = own.start;
        sites.own_end = own.end;
    } else {
        frames += OWN_FRAMES_USUAL; /* the caller is among them */
    }
    frames_wanted = (unsigned)qyi_min(frames, QYI_SITE_FRAMES);
    sites.record_bytes = sizeof(struct record) + frames_wanted * sizeof(uintptr_t);
    sites.count = 1;
    return getauxval(AT_BASE) == 0 || prime();
}

/* A new record at sites.count; NULL: no room. */
static struct record *new_record(void)
{
    const uint32_t chunk = sites.count / CHUNK_RECORDS;
    if (chunk >= CHUNKS)
        return NULL;
    if (sites.chunk[chunk] == NULL && (sites.chunk[chunk] = qyi_meta_take(CHUNK_RECORDS * sites.record_bytes)) == NULL)
        return NULL;
    return record_at(sites.count);
}

static qyi_site number_of(const uintptr_t *address, unsigned depth)
{
    uint64_t hash = depth;
    for (unsigned i = 0; i < depth; i++)
        hash = (hash ^ address[i]) * 0x9e3779b97f4a7c15; /* 2^64 divided by the golden ratio: Knuth's multiplier */
    uint32_t *bucket = &sites.bucket[hash >> 54];
    static_assert(BUCKETS == 1 << (64 - 54), "the hash's upper bits are a bucket");
    for (qyi_site site = *bucket; site != 0; site = record_at(site)->next) {
        const struct record *record = record_at(site);
        if (record->depth == depth && memcmp(record->address, address, depth * sizeof *address) == 0)
            return site;
    }
    struct record *record = new_record();
    if (record == NULL) {
        sites.lost++;
        return 0;
    }
    record->depth = depth;
    memcpy(record->address, address, depth * sizeof *address);
    record->next = *bucket;
    const qyi_site site = sites.count++;
    *bucket = site;
    return site;
}

QYI_NOINLINE qyi_site qyi_site_here(void)
{
    void *frame[OWN_FRAMES_MAX + QYI_SITE_FRAMES];
    uintptr_t address[QYI_SITE_FRAMES];
    if (sites.frames == 0)
        return 0;
    const int saved_errno = errno;
    unsigned count = 0;
    unsigned first = 0;
    for (unsigned own = OWN_FRAMES_USUAL; own <= OWN_FRAMES_MAX && first >= count;
         own += OWN_FRAMES_MAX - OWN_FRAMES_USUAL) {
        count = (unsigned)backtrace(frame, (int)(own + sites.frames));
        first = 1; /* 0 is this function */
        while (first < count && is_own((uintptr_t)frame[first] - 1))
            first++;
        if (count < own + sites.frames)
            break; /* that is all */
    }
    errno = saved_errno;
    if (first >= count)
        return 0;
    const unsigned depth = (unsigned)qyi_min(count - first, sites.frames);
    for (unsigned i = 0; i < depth; i++)
        address[i] = (uintptr_t)frame[first + i] - 1;
    qyi_lock(&sites.lock);
    const qyi_site site = number_of(address, depth);
    qyi_unlock(&sites.lock);
    return site;
}

/* ---- telling ---- */

unsigned qyi_site_frames(qyi_site site)
{
    return site == 0 ? 0 : record_at(site)->depth;
}

uint64_t qyi_site_lost(void)
{
    return sites.lost;
}

void qyi_site_put(struct qyi_line *line, qyi_site site, unsigned frame)
{
    if (frame >= qyi_site_frames(site)) {
        qyi_line_text(line, "a place that is not known");
        return;
    }
    const uintptr_t address = record_at(site)->address[frame];
    struct qyi_module_place module;
    char path[256];
    if (!qyi_os_find_module(address, &module)) {
        qyi_line_hex(line, address);
        return;
    }
    if (module.name == NULL || *module.name == '\0') { /* the program */
        const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
        path[length > 0 ? length : 0] = '\0';
        module.name = length > 0 ? path : program_invocation_name;
    }
    const char *slash = strrchr(module.name, '/');
    qyi_line_text(line, slash != NULL ? slash + 1 : module.name);
    qyi_line_text(line, "+");
    qyi_line_hex(line, address - module.base);
    if (slash != NULL) {
        qyi_line_text(line, " (");
        qyi_line_text(line, module.name);
        qyi_line_text(line, ")");
    }
}

void qyi_site_after_fork(void)
{
    (void)qyi_lock_after_fork(&sites.lock); /* I1 */
}

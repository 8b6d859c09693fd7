/*
 * image.c: the tables of another process's Quarry, in the place of our own, so that the code that counts is the same.
 *
 *     their variables (root.h)        copied into ours
 *     their region, at its addresses  pages without access here; who touches one gets a copy of theirs, on the spot
 *
 * No pointer has to be changed, and only what is looked at is read: the records of granules in use, the cells of counted slabs, and of
 * the blocks nothing. This process has no region of its own, since it never calls Quarry's malloc.
 *
 * I1  a page of the image is either without access, or as the target had it at one moment since the last image_look (zero if the target
 *     cannot be read there, which is counted).
 * I2  the copies' locks are free: nobody else is here.
 * I3  what is touched outside of the image comes from a pointer that was being changed, or is broken: the look is given up.
 *
 * If the addresses are taken here, by libraries that the kernel has put there by chance, the command starts again: with another layout,
 * or, where that may not be asked for, in the hope of better luck.
 */
#include "image.h"

#include "command.h"

#include "heap.h"
#include "heaps.h"
#include "os.h"
#include "region.h"
#include "root.h"
#include "sizeclass.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

enum {
    WINDOW_BYTES = 64 << 10, /* what is copied at a time */
    LOOKS_MAX = 20,
    STEADY_READS_MAX = 1000,
    STARTS_MAX = 30,
    HEAPS_MAX = 1 << 20, /* ids that heaps.c has room for */
};

static const char STARTS_VARIABLE[] = "QUARRY_COMMAND_STARTS";

static struct {
    struct target *target;
    uint64_t root_address;
    struct qyi_root root;
    struct qyi_extent part[QYI_ROOT_PART_COUNT]; /* where the target has its variables */
    uint64_t base, bytes;                        /* of the region; 0: nothing mapped yet */
    volatile size_t missing;                     /* pages touched that could not be had */
    volatile bool looking;
    sigjmp_buf give_up;
} image;

/* ---- the root ---- */

static _Noreturn void fail_version(const struct target *target, const struct qyi_root *root)
{
    const uint32_t theirs = root->library_version;
    fail(
        "%s uses Quarry %u.%u.%u (tables %u), and this command can read %d.%d.%d (tables %d): use the command of that version",
        target->name, theirs / 10000, theirs / 100 % 100, theirs % 100, root->version, QY_VERSION_MAJOR,
        QY_VERSION_MINOR, QY_VERSION_PATCH, QYI_ROOT_VERSION);
}

static _Noreturn void fail_unreadable(struct target *target, const char *what)
{
    target_check_alive(target);
    if (target->is_core)
        fail(
            "%s lacks the memory that holds %s: it was written without anonymous memory (see core(5), coredump_filter), or cut",
            target->name, what);
    fail("%s: cannot read %s", target->name, what);
}

static _Noreturn void fail_layout(const struct target *target, const struct qyi_root *root)
{
    const uint32_t theirs = root->library_version;
    fail(
        "%s uses Quarry %u.%u.%u as this command does, but one that was built otherwise: use the command that came with it",
        target->name, theirs / 10000, theirs / 100 % 100, theirs % 100);
}

static void read_root(struct target *target)
{
    image.root_address = target_find_root(target);
    const size_t got = target->read(target, &image.root, image.root_address, sizeof image.root);
    switch (qyi_root_fits(&image.root, got)) {
    case QYI_ROOT_FITS: break;
    case QYI_ROOT_NONE: fail_unreadable(target, "qy_root");
    case QYI_ROOT_OTHER_VERSION: fail_version(target, &image.root);
    case QYI_ROOT_OTHER_LAYOUT: fail_layout(target, &image.root);
    }
    for (unsigned i = 0; i < QYI_ROOT_PART_COUNT; i++) {
        const uint64_t at = (uint64_t)image.root.part[i];
        if (at != 0 && !target_read(target, &image.part[i], at, sizeof image.part[i]))
            fail_unreadable(target, "qy_root's parts");
        if (at != 0 && qy_root.part[i] != NULL && image.part[i].bytes != qy_root.part[i]->bytes)
            fail_layout(target, &image.root);
    }
}

/* ---- variables ---- */

static void *part_here(enum qyi_root_part part)
{
    return (void *)(uintptr_t)qy_root.part[part]->start; /* all of them are variables */
}

/* The state that a lock at its start guards: read until nobody holds it and nothing has changed, if that can be waited for. */
static bool read_steady(struct target *target, enum qyi_root_part part)
{
    static char again[sizeof(void *) * 16384];
    const struct qyi_extent *theirs = &image.part[part];
    char *copy = part_here(part);
    if (!target_read(target, copy, (uint64_t)theirs->start, theirs->bytes))
        return false;
    if (target->is_core || theirs->bytes > sizeof again)
        return true;
    for (unsigned tries = 0; tries < STEADY_READS_MAX; tries++) {
        const bool held = qyi_lock_is_held((struct qyi_lock *)copy);
        if (!target_read(target, again, (uint64_t)theirs->start, theirs->bytes))
            return false;
        const bool steady = !held && memcmp(copy, again, theirs->bytes) == 0;
        memcpy(copy, again, theirs->bytes);
        if (steady)
            break;
    }
    return true;
}

static void read_variables(struct target *target)
{
    for (unsigned i = 0; i < QYI_ROOT_PART_COUNT; i++) {
        if (image.root.part[i] == NULL || qy_root.part[i] == NULL)
            continue;
        const bool locked = i == QYI_ROOT_REGION_STATE || i == QYI_ROOT_META || i == QYI_ROOT_REGISTRY;
        if (locked ? !read_steady(target, i)
                   : !target_read(target, part_here(i), (uint64_t)image.part[i].start, image.part[i].bytes))
            fail_unreadable(target, "Quarry's variables");
        if (locked) /* I2; all three have their lock in front */
            *(struct qyi_lock *)part_here(i) = (struct qyi_lock){0};
    }
}

/* ---- pages ---- */

static bool covers(uint64_t address)
{
    return address - image.base < image.bytes;
}

/* Copy the pages around an address; false: this process has no memory for them. */
static bool bring(uint64_t address)
{
    const uint64_t page = address & ~(qyi_os_page_bytes - 1);
    uint64_t at =
        qyi_max(address & ~(uint64_t)(WINDOW_BYTES - 1), image.base); /* a broken base may be inside of a window */
    const uint64_t end = qyi_min(at + WINDOW_BYTES, image.base + image.bytes);
    if (mprotect((void *)at, end - at, PROT_READ | PROT_WRITE) != 0) /* NOLINT(performance-no-int-to-ptr) */
        return false;
    while (at < end) {
        const size_t got =
            image.target->read(image.target, (void *)at, at, end - at); /* NOLINT(performance-no-int-to-ptr) */
        if (got == 0 && at == page)
            image.missing++;
        at += got == 0 ? qyi_os_page_bytes : qyi_align_up(got, qyi_os_page_bytes);
    }
    return true;
}

/* A page of the image is touched for the first time. Not for the first time: it is a bug of ours, and dies as such. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    const int saved_errno = errno;
    const uint64_t address = (uint64_t)info->si_addr;
    /* SIGBUS has other reasons with the same numbers, which a copy does not remove */
    const bool absent = number == SIGSEGV && (info->si_code == SEGV_ACCERR || info->si_code == SEGV_MAPERR);
    if (absent && covers(address) && bring(address)) {
        errno = saved_errno;
        return;
    }
    if (image.looking)
        siglongjmp(image.give_up, 1); /* I3 */
    signal(number, SIG_DFL);
}

/* Pages without access at the region's addresses; false: something of ours is there. */
static bool reserve(uint64_t base, uint64_t bytes)
{
    if (image.base == base && image.bytes == bytes) {
        void *again =
            mmap((void *)base, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        return again != MAP_FAILED;
    }
    if (image.bytes != 0)
        munmap((void *)image.base, image.bytes); /* NOLINT(performance-no-int-to-ptr) */
    image.bytes = 0;
    void *got =
        mmap((void *)base, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return false;
    if ((uint64_t)got != base) { /* a kernel that takes the address for a hint */
        munmap(got, bytes);
        return false;
    }
    image.base = base;
    image.bytes = bytes;
    return true;
}

/* Our own libraries stand where the region is: start again, with them elsewhere. */
static _Noreturn void start_again(const struct target *target)
{
    const char *before = getenv(STARTS_VARIABLE);
    const long starts = before == NULL ? 0 : strtol(before, NULL, 10);
    if (starts < STARTS_MAX) {
        char number[24];
        snprintf(number, sizeof number, "%ld", starts + 1);
        setenv(STARTS_VARIABLE, number, 1);
        /* From the bottom up instead of from the top down, and every other time as usual. */
        const int now = personality(0xffffffff);
        if (now != -1)
            personality(starts % 2 == 0 ? (unsigned)now | ADDR_COMPAT_LAYOUT
                                        : (unsigned)now & ~(unsigned)ADDR_COMPAT_LAYOUT);
        execv("/proc/self/exe", command_line);
    }
    fail("%s: %lu GiB of addresses at %#lx cannot be had here, which its tables take%s", target->name,
         (unsigned long)(qyi_region.bytes >> 30), (unsigned long)qyi_region.base,
         qyi_os_address_space_limit() != SIZE_MAX ? " (see \"ulimit -v\")" : "");
}

/* ---- looking ---- */

/* Variables anew, and no pages yet. False: the region is where something of ours is. */
static bool refresh(struct target *target)
{
    read_variables(target);
    if (qyi_region.bytes == 0)
        fail("%s has Quarry, but has not asked it for memory yet", target->name);
    if (!reserve(qyi_region.base, qyi_region.bytes))
        return false;
    image.missing = 0;
    return true;
}

/* I2. Heaps are never freed. False: the registry is broken; a lock that is not in the image is memory of ours, and is not written. */
static bool unlock_heaps(void)
{
    const uint32_t count = qyi_heap_count();
    if (count >= HEAPS_MAX)
        return false;
    for (uint32_t id = 1; id <= count; id++) {
        struct qyi_heap *heap = qyi_heap_by_id(id);
        if (!covers((uint64_t)heap) || !covers((uint64_t)heap + sizeof *heap - 1))
            return false;
        heap->lock = (struct qyi_lock){0};
    }
    return true;
}

/* Whether the sums of the region, read without its lock, can be true. */
static bool is_plausible(void)
{
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    return totals.payload <= qyi_region.bytes && totals.dirty <= totals.payload &&
           totals.clean <= totals.payload - totals.dirty;
}

void image_open(struct target *target)
{
    image.target = target;
    qyi_os_init();
    qyi_sizeclass_init();
    read_root(target);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    if (!refresh(target))
        start_again(target);
    unsetenv(STARTS_VARIABLE);
}

void image_look(struct target *target, void (*look)(void *context), void *context)
{
    for (volatile unsigned looks = 0; looks < LOOKS_MAX; looks++) {
        if (!refresh(target))
            fail("%s has another region of memory now: it has executed another program", target->name);
        if (sigsetjmp(image.give_up, 1) == 0) {
            image.looking = true;
            const bool plausible = unlock_heaps() && is_plausible();
            if (plausible)
                look(context);
            image.looking = false;
            if (plausible && image.missing == 0)
                return;
        }
        image.looking = false;
        target_check_alive(target);
        if (target->is_core)
            break;
    }
    if (target->is_core && image.missing != 0)
        fail_unreadable(target, "Quarry's tables");
    fail("%s: no sense can be made of Quarry's tables: they are damaged, or always being changed", target->name);
}

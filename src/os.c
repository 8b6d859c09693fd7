/*
 * os.c: the operating system as the allocator sees it. Layer 1.
 *
 * I1  errno is the same after every function here.
 * I2  after start only mmap, munmap, mremap, mprotect, madvise and futex are called; the clock is read through the
 * vDSO. (A report that was asked for calls mincore too, and pools call membarrier.)
 */
#include "os.h"

#include <errno.h>
#include <link.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { CLOSE_BY_ONE_MAX = 65536 }; /* where there is no other way */

size_t qyi_os_page_bytes = 4096;

void qyi_os_init(void)
{
    const unsigned long page_bytes = getauxval(AT_PAGESZ);
    if (page_bytes != 0)
        qyi_os_page_bytes = page_bytes;
}

size_t qyi_os_memory_bytes(void)
{
    const int saved_errno = errno;
    struct sysinfo info;
    size_t bytes = 16 * QYI_GIB;
    if (sysinfo(&info) == 0 && info.totalram != 0)
        bytes = (size_t)info.totalram * info.mem_unit;
    errno = saved_errno;
    return bytes;
}

bool qyi_os_is_main_thread(void)
{
    return syscall(SYS_gettid) == syscall(SYS_getpid);
}

/*
 * gettid is a system call, and one more that a sandbox may punish. libc knows the number, and says it in the thread's clock: a clock
 * of a thread is the complement of its number, shifted by three bits that say what is counted.
 */
uint32_t qyi_os_thread_number(void)
{
    clockid_t clock;
    return pthread_getcpuclockid(pthread_self(), &clock) == 0 && clock < 0 ? ~(uint32_t)(clock >> 3) : 0;
}

size_t qyi_os_address_space_limit(void)
{
    const int saved_errno = errno;
    struct rlimit limit;
    size_t bytes = SIZE_MAX;
    /* By number: libc's function would be the only one of its neighbourhood that a small program brings into memory. */
    if (syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = limit.rlim_cur;
    errno = saved_errno;
    return bytes;
}

uint64_t qyi_os_random(void)
{
    /* The kernel puts 16 random bytes on every new process's stack; the low half also seeds the stack protector, so
     * mix. */
    const uint64_t *bytes = (const uint64_t *)getauxval(AT_RANDOM); /* NOLINT(performance-no-int-to-ptr) */
    const uint64_t seed = bytes != NULL ? bytes[0] ^ (bytes[1] << 1) : (uintptr_t)&seed;
    return (seed ^ (seed >> 31)) * 0x9e3779b97f4a7c15u;
}

static void *map(void *where, size_t bytes, int protection, int flags)
{
    const int saved_errno = errno;
    void *start = mmap(where, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    errno = saved_errno;
    return start == MAP_FAILED ? NULL : start;
}

/*
 * Whether core files have these pages. The kernel leaves out what was never touched, but gdb's gcore writes whole reservations: 128 GiB
 * of zeros, and page tables for them in the process. A refusal does not matter.
 */
static void dump(void *start, size_t bytes, bool wanted)
{
    const int saved_errno = errno;
    madvise(start, bytes, wanted ? MADV_DODUMP : MADV_DONTDUMP);
    errno = saved_errno;
}

void *qyi_os_reserve(size_t bytes, size_t align)
{
    if (bytes > SIZE_MAX - align)
        return NULL;
    char *start = map(NULL, bytes + align, PROT_NONE, MAP_NORESERVE);
    if (start == NULL)
        return NULL;
    char *aligned = (char *)qyi_align_up((uintptr_t)start, align); /* NOLINT(performance-no-int-to-ptr) */
    const size_t before = (size_t)(aligned - start);
    if (before != 0)
        qyi_os_unmap(start, before);
    if (align != before)
        qyi_os_unmap(aligned + bytes, align - before);
    dump(aligned, bytes, false);
    return aligned;
}

static bool protect(void *start, size_t bytes, int protection)
{
    const int saved_errno = errno;
    const bool done = mprotect(start, bytes, protection) == 0;
    errno = saved_errno;
    return done;
}

bool qyi_os_commit(void *start, size_t bytes)
{
    if (!protect(start, bytes, PROT_READ | PROT_WRITE))
        return false;
    dump(start, bytes, true);
    return true;
}

bool qyi_os_show(void *start, size_t bytes)
{
    return protect(start, bytes, PROT_READ);
}

static bool map_at(void *start, size_t bytes, int protection)
{
    void *mapped = map(start, bytes, protection, MAP_FIXED_NOREPLACE);
    if (mapped == start)
        return true;
    if (mapped != NULL) /* a kernel or emulator that does not know the flag took the address as a hint */
        qyi_os_unmap(mapped, bytes);
    return false;
}

bool qyi_os_map_at(void *start, size_t bytes)
{
    return map_at(start, bytes, PROT_READ | PROT_WRITE);
}

bool qyi_os_show_at(void *start, size_t bytes)
{
    return map_at(start, bytes, PROT_READ);
}

void *qyi_os_map_file(int fd, int64_t offset, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, offset);
    return p == MAP_FAILED ? NULL : p;
}

int qyi_os_memory_file(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

void *qyi_os_map_shared(int fd, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void qyi_os_unmap(void *start, size_t bytes)
{
    const int saved_errno = errno;
    munmap(start, bytes);
    errno = saved_errno;
}

/* Otherwise the kernel would round up, into what follows. */
static bool is_whole_pages(const void *start, size_t bytes)
{
    return (((uintptr_t)start | bytes) & (qyi_os_page_bytes - 1)) == 0;
}

bool qyi_os_purge(void *start, size_t bytes)
{
    if (!is_whole_pages(start, bytes))
        return false;
    const int saved_errno = errno;
    const bool done = madvise(start, bytes, MADV_DONTNEED) == 0;
    errno = saved_errno;
    return done;
}

bool qyi_os_refresh(void *start, size_t bytes)
{
    return is_whole_pages(start, bytes) && map(start, bytes, PROT_READ | PROT_WRITE, MAP_FIXED) != NULL;
}

enum qyi_moved qyi_os_move(void *from, void *to, size_t bytes)
{
    const int saved_errno = errno;
    const bool done = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) != MAP_FAILED;
    errno = saved_errno;
    if (done)
        return QYI_MOVED;
    /* Some refusals come only after the kernel has unmapped the target. */
    return qyi_os_refresh(to, bytes) ? QYI_NOT_MOVED : QYI_MOVE_LOST;
}

enum qyi_moved qyi_os_widen(void *start, size_t bytes, size_t wide_bytes)
{
    const int saved_errno = errno;
    char *tail = (char *)start + bytes;
    const size_t tail_bytes = wide_bytes - bytes;
    enum qyi_moved result = QYI_NOT_MOVED;
    if (munmap(tail, tail_bytes) == 0) {
        /* Another thread's mmap may get in between; then nothing of its is touched. */
        if (mremap(start, bytes, wide_bytes, 0) != MAP_FAILED)
            result = QYI_MOVED;
        else if (!qyi_os_map_at(tail, tail_bytes))
            result = QYI_MOVE_LOST;
    }
    errno = saved_errno;
    return result;
}

QYI_COLD size_t qyi_os_resident(void *start, size_t bytes)
{
    enum { PAGES_AT_ONCE = 1024 }; /* little enough for a small stack */
    const int saved_errno = errno;
    const size_t step = PAGES_AT_ONCE * qyi_os_page_bytes;
    size_t resident_count = 0;
    for (size_t done = 0; done < bytes; done += step) {
        unsigned char pages[PAGES_AT_ONCE];
        const size_t part = qyi_min(step, bytes - done);
        if (mincore((char *)start + done, part, pages) != 0)
            break;
        for (size_t i = 0; i < qyi_div_up(part, qyi_os_page_bytes); i++)
            resident_count += pages[i] & 1;
    }
    errno = saved_errno;
    return resident_count * qyi_os_page_bytes;
}

void qyi_os_advise_huge(void *start, size_t bytes, bool huge)
{
    const int saved_errno = errno;
    madvise(start, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    errno = saved_errno;
}

bool qyi_os_populate(void *start, size_t bytes)
{
    const int saved_errno = errno;
    bool done = madvise(start, bytes, MADV_POPULATE_WRITE) == 0;
    if (!done && errno == EINVAL) { /* before Linux 5.14 */
        for (size_t at = 0; at < bytes; at += qyi_os_page_bytes) {
            volatile char *p = (char *)start + at;
            *p = *p;
        }
        done = true;
    }
    errno = saved_errno;
    return done;
}

void *qyi_os_map_wiped(void)
{
    void *page = map(NULL, qyi_os_page_bytes, PROT_READ | PROT_WRITE, 0);
    if (page == NULL)
        return NULL;
    const int saved_errno = errno;
    const bool wiped = madvise(page, qyi_os_page_bytes, MADV_WIPEONFORK) == 0;
    if (!wiped)
        munmap(page, qyi_os_page_bytes);
    errno = saved_errno;
    return wiped ? page : NULL;
}

uint64_t qyi_os_now_ms(void)
{
    const int saved_errno = errno;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* the coarse clocks never leave the vDSO */
    errno = saved_errno;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void qyi_os_futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    const int saved_errno = errno;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
    errno = saved_errno;
}

void qyi_os_futex_wake(_Atomic uint32_t *word, unsigned count)
{
    const int saved_errno = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved_errno;
}

void qyi_os_futex_wait_until(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    const int saved_errno = errno;
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                      .tv_nsec = (long)(deadline_ns % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    errno = saved_errno;
}

uint64_t qyi_os_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool membarrier(int command)
{
    const int saved_errno = errno;
    const bool done = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved_errno;
    return done;
}

QYI_COLD bool qyi_os_barrier_prepare(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

QYI_COLD bool qyi_os_barrier_others(void)
{
    /* Whether a forked child inherits the registration is not documented. */
    return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
           (qyi_os_barrier_prepare() && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

int qyi_os_thread(pthread_t *thread, size_t stack_bytes, void *(*thread_main)(void *))
{
    const int saved_errno = errno;
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_setstacksize(&attributes, stack_bytes);
        error = pthread_create(thread, &attributes, thread_main, NULL);
        if (error == EINVAL)
            error = pthread_create(thread, NULL, thread_main, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    errno = saved_errno;
    return error;
}

struct wanted {
    uintptr_t address;
    struct qyi_module_place *module;
};

static QYI_COLD int look_at_module(struct dl_phdr_info *info, size_t size, void *argument)
{
    const struct wanted *wanted = argument;
    uintptr_t first = UINTPTR_MAX, last = 0;
    bool inside = false;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_X) == 0)
            continue;
        first = qyi_min(first, start);
        last = qyi_max(last, start + segment->p_memsz);
        inside = inside || wanted->address - start < segment->p_memsz;
    }
    if (inside)
        *wanted->module = (struct qyi_module_place){first, last, info->dlpi_addr, info->dlpi_name};
    return inside;
}

QYI_COLD bool qyi_os_find_module(uintptr_t address, struct qyi_module_place *module)
{
    return dl_iterate_phdr(look_at_module, &(struct wanted){address, module}) != 0;
}

/* The kernel's copy of the table without what is to be closed, where it can do that (Linux 5.9); else a whole copy. */
QYI_COLD bool qyi_os_own_descriptors(int kept)
{
    enum { SYS_CLOSE_RANGE = 436, UNSHARE = 1 << 1 }; /* the numbers are the same everywhere */
    const int saved_errno = errno;
    const unsigned above = (unsigned)kept + 1; /* 0 if none is kept */
    if (syscall(SYS_CLOSE_RANGE, above, ~0u, UNSHARE) == 0) {
        if (kept > 0)
            syscall(SYS_CLOSE_RANGE, 0u, (unsigned)kept - 1, 0);
    } else {
        struct rlimit limit = {0};
        if (unshare(CLONE_FILES) != 0) {
            errno = saved_errno;
            return false;
        }
        getrlimit(RLIMIT_NOFILE, &limit);
        const int end = (int)qyi_min((size_t)limit.rlim_cur, CLOSE_BY_ONE_MAX);
        for (int other = 0; other < end; other++) {
            if (other != kept)
                close(other);
        }
    }
    errno = saved_errno;
    return true;
}

QYI_COLD int qyi_os_at_main_end(void (*end)(void *something))
{
    pthread_key_t key;
    const int error = pthread_key_create(&key, end);
    return error != 0 ? error : pthread_setspecific(key, &qyi_os_page_bytes); /* anything but NULL */
}

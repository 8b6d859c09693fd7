/*
 * os.h: the operating system as the allocator sees it: address space, clock, futex. Layer 1.
 *
 * The only user of sys/mman.h. Every function leaves errno as it found it: callers say ENOMEM themselves. Every failure
 * is an ordinary return value: a sandbox may refuse any of these calls at any time.
 */
#ifndef QYI_OS_H
#define QYI_OS_H

#include "base.h"

#include <pthread.h>

/* Bytes of a page; known after qyi_os_init. */
extern QYI_HIDDEN size_t qyi_os_page_bytes;

void qyi_os_init(void);

/* Memory of the machine in bytes, or 16 GiB when the kernel does not say. */
size_t qyi_os_memory_bytes(void);

bool qyi_os_is_main_thread(void);

/* The kernel's number of the calling thread, without a system call; 0: not known. */
uint32_t qyi_os_thread_number(void);

/* RLIMIT_AS in bytes; SIZE_MAX when there is none. */
size_t qyi_os_address_space_limit(void);

/* An unpredictable number that needs no system call. */
uint64_t qyi_os_random(void);

/* Address space that cannot be accessed, aligned to align (a power of two); NULL when refused. */
void *qyi_os_reserve(size_t bytes, size_t align);

/* Make reserved pages readable and writable. They read as zero. */
bool qyi_os_commit(void *start, size_t bytes);

/* Make reserved pages readable. They read as zero, and cost nothing until they are committed. */
bool qyi_os_show(void *start, size_t bytes);

/* The same, at an address where nothing is mapped. */
bool qyi_os_show_at(void *start, size_t bytes);

/* Map fresh pages at an address where nothing is mapped; false when something is, or a limit refuses. */
bool qyi_os_map_at(void *start, size_t bytes);

void qyi_os_unmap(void *start, size_t bytes);

/* Part of a file, read-only and private; NULL and errno. offset is a multiple of the page size. */
void *qyi_os_map_file(int fd, int64_t offset, size_t bytes);

/* An empty file in memory, close-on-exec, that can be sealed; -1 and errno. */
int qyi_os_memory_file(const char *name);

/* The first bytes of a file, shared and writable; NULL. */
void *qyi_os_map_shared(int fd, size_t bytes);

/* Give the pages back; they read as zero afterwards. False: their contents are unchanged. */
bool qyi_os_purge(void *start, size_t bytes);

/* Replace pages by fresh ones, so that their mapping merges with its neighbours again. */
bool qyi_os_refresh(void *start, size_t bytes);

enum qyi_moved {
    QYI_MOVED,
    QYI_NOT_MOVED, /* both ranges are as they were, but that the target reads as zero */
    QYI_MOVE_LOST, /* from is as it was, but nothing is mapped at the target any more */
};

/* Move the pages of [from, from + bytes) to to, which is committed; from stays mapped and reads as zero. */
enum qyi_moved qyi_os_move(void *from, void *to, size_t bytes);

/*
 * Make the mapping of the pages [start, start + bytes), which have one for themselves, include those that follow, up to
 * wide_bytes; these read as zero then. QYI_NOT_MOVED: they keep a mapping of their own. QYI_MOVE_LOST: nothing of ours is
 * mapped there any more.
 */
enum qyi_moved qyi_os_widen(void *start, size_t bytes, size_t wide_bytes);

/* Bytes of mapped memory that have pages at this moment; start is page-aligned. 0 when the system does not say. */
size_t qyi_os_resident(void *start, size_t bytes);

/* Ask for huge pages (true) or for none (false). A refusal does not matter. */
void qyi_os_advise_huge(void *start, size_t bytes, bool huge);

/*
 * Make all pages of accessible memory, without changing what is in them; where the kernel has no call for it, by touching
 * them. False: it has no memory for them now.
 */
bool qyi_os_populate(void *start, size_t bytes);

/* A page that reads as zero in children of fork; NULL when the kernel cannot do that. */
void *qyi_os_map_wiped(void);

/* Milliseconds since some start; resolution about 4 ms; no system call. */
uint64_t qyi_os_now_ms(void);

/* Sleep while *word == expected; may return early. */
void qyi_os_futex_wait(_Atomic uint32_t *word, uint32_t expected);
void qyi_os_futex_wake(_Atomic uint32_t *word, unsigned count);

/* The same, until this time of qyi_os_now_ns at most. */
void qyi_os_futex_wait_until(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Nanoseconds since some start; no system call. */
uint64_t qyi_os_now_ns(void);

/*
 * Whether qyi_os_barrier_others can be had; and that call: every other thread of the process has passed a full memory barrier
 * between its start and its end. False: the kernel refuses, and nothing can be said.
 */
bool qyi_os_barrier_prepare(void);
bool qyi_os_barrier_others(void);

/* The module that has this address in its code. False: none has. */
struct qyi_module_place {
    uintptr_t start, end; /* its code: from its first executable segment to its last (ours has two: pages.ld) */
    uintptr_t base;
    const char *name;
};
bool qyi_os_find_module(uintptr_t address, struct qyi_module_place *module);

/*
 * A thread of the library's own, joinable, with all signals blocked. 0, or the error. The stack is as small as asked for, unless the
 * program's thread-local variables alone are larger.
 */
int qyi_os_thread(pthread_t *thread, size_t stack_bytes, void *(*thread_main)(void *));

/*
 * From here on the calling thread's descriptors are its own, and of the program's there is only this one, if it is not negative: what
 * the program closes, counts on or runs out of is not the library's. (Before Linux 5.9, descriptors above 65536 or a limit that was
 * lowered stay.) False: the kernel cannot do that, and nothing has changed.
 */
bool qyi_os_own_descriptors(int kept);

/*
 * For main's thread: have end(something) called when it leaves by pthread_exit. A thread of the library's must not be the last of the
 * process, which runs what is registered for exit, and needs the program's descriptors for it. 0, or the error.
 */
int qyi_os_at_main_end(void (*end)(void *something));

#endif

/*
 * quarry.h: the allocator under its own names.
 *
 * A program that is run with LD_PRELOAD=libquarry.so.1, or linked with -lquarry, needs none of this: its malloc is
 * Quarry's. The names below serve programs that want Quarry beside their libc's malloc (link the static archive
 * libquarry.a), or want what malloc cannot say.
 *
 * All functions may be called from any thread at any time, but not from a signal handler. A pointer from any of them,
 * or from an interposed malloc, can be given to qy_free, qy_realloc and qy_usable_size; with the static archive, never
 * to libc's free, nor the reverse.
 *
 * Errors: functions that allocate return NULL with errno ENOMEM when memory is exhausted, when a size is above
 * PTRDIFF_MAX, or when a product overflows; everything that was allocated before stays as it is. A pointer that Quarry
 * did not hand out, or that was freed already, ends the process with one line on standard error that names it.
 */
#ifndef QUARRY_QUARRY_H
#define QUARRY_QUARRY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QY_VERSION_MAJOR 0
#define QY_VERSION_MINOR 1
#define QY_VERSION_PATCH 0

/* 10000 * major + 100 * minor + patch, of the header that a program was compiled with. */
#define QY_VERSION (QY_VERSION_MAJOR * 10000 + QY_VERSION_MINOR * 100 + QY_VERSION_PATCH)

/* noplt: a call by way of the linkage table is two jumps instead of one, and buffers are many short calls. */
#if defined(__has_attribute)
#if __has_attribute(noplt)
#define QY_API __attribute__((visibility("default"), noplt))
#endif
#endif
#if defined(__GNUC__)
#ifndef QY_API
#define QY_API __attribute__((visibility("default")))
#endif
#define QY_ALLOCATES(...) __attribute__((malloc, alloc_size(__VA_ARGS__), warn_unused_result))
#else
#define QY_API
#define QY_ALLOCATES(...)
#endif

/*
 * Version of the library that the program runs with.
 *
 * Returns    as QY_VERSION.
 */
QY_API unsigned qy_version(void);

/*
 * Allocate a block.
 *
 * size       bytes; 0 gives a block of its own too.
 * Returns    the block, aligned to 16 bytes, to 64 if size is a multiple of 64 that needs no rounding, and to size if
 * that is a power of two up to 64 KiB. The contents are not defined. NULL on failure. Ownership  the caller owes one
 * qy_free(). Cost       17 instructions while the thread's magazine has a block.
 */
QY_API QY_ALLOCATES(1) void *qy_malloc(size_t size);

/*
 * Allocate a block of count * size bytes, all zero. Memory that is known to be fresh is not cleared again.
 */
QY_API QY_ALLOCATES(1, 2) void *qy_calloc(size_t count, size_t size);

/*
 * Change the size of a block, in place if possible.
 *
 * p          a block, or NULL: then this is qy_malloc(size).
 * size       new size in bytes; 0 frees the block and returns NULL.
 * Returns    the block, perhaps elsewhere, with its first bytes kept up to the smaller size. NULL on failure: p is as
 * before.
 */
QY_API void *qy_realloc(void *p, size_t size) __attribute__((alloc_size(2), warn_unused_result));

/* qy_realloc of count * size bytes; an overflow of the product is a failure. */
QY_API void *qy_reallocarray(void *p, size_t count, size_t size) __attribute__((alloc_size(2, 3), warn_unused_result));

/*
 * Free a block.
 *
 * p          the start of a block; NULL is allowed and does nothing.
 * Errors     errno is left as it is. Aborts on a pointer that is not the start of a live block, at once or, in some
 * cases of a pointer into a block and of a repeated free, when the block leaves the thread's magazine. Cost       23
 * instructions for a block of the thread's own while its magazine has room; never touches the block.
 */
QY_API void qy_free(void *p);

/* qy_free for callers that know the size they asked for. The size is a promise, not a request. */
QY_API void qy_free_sized(void *p, size_t size);

/* qy_free for callers that know the alignment and the size they asked for. */
QY_API void qy_free_aligned_sized(void *p, size_t align, size_t size);

/*
 * Allocate an aligned block.
 *
 * align      a power of two; anything else is EINVAL.
 * Returns    a block whose address is a multiple of align; an ordinary one for qy_free, qy_realloc (which keeps only
 * the usual alignment) and the rest.
 */
QY_API void *qy_aligned_alloc(size_t align, size_t size) __attribute__((malloc, alloc_size(2), warn_unused_result));

/*
 * As qy_aligned_alloc, in the manner of POSIX.
 *
 * align      a power of two that is a multiple of sizeof(void *).
 * Returns    0 and the block in *out; else EINVAL or ENOMEM with *out and errno as before.
 */
QY_API int qy_posix_memalign(void **out, size_t align, size_t size);

/* As qy_aligned_alloc, but an alignment that is not a power of two is rounded up to the next one. */
QY_API void *qy_memalign(size_t align, size_t size) __attribute__((malloc, alloc_size(2), warn_unused_result));

/* A block that starts at a page. */
QY_API QY_ALLOCATES(1) void *qy_valloc(size_t size);

/* A block of whole pages. */
QY_API QY_ALLOCATES(1) void *qy_pvalloc(size_t size);

/*
 * Bytes that may be used at p: at least what was asked for.
 *
 * p          the start of a block; NULL gives 0.
 */
QY_API size_t qy_usable_size(const void *p);

/*
 * The size that a request is rounded up to: qy_malloc(qy_good_size(n)) wastes nothing. (The first few blocks of a size may be larger
 * ones that are at hand.)
 *
 * Returns    at least size; 0 if such a request would be refused.
 */
QY_API size_t qy_good_size(size_t size);

/* What qy_malloc_at_least returns: a block and its usable bytes; NULL and 0 on failure. */
struct qy_sized {
    void *p;
    size_t size;
};

/* qy_malloc that also says how much may be used. */
QY_API struct qy_sized qy_malloc_at_least(size_t size);

/*
 * Give all free memory back to the system now, that of other threads' pools included as far as these are not in use at
 * this moment; the rest follows when its threads next allocate.
 *
 * Returns    bytes given back.
 * Cost       proportional to what is given back, and to the number of threads.
 */
QY_API size_t qy_trim(void);

/*
 * The calling thread is about to wait for a long time: give back the free blocks that it keeps for itself. It can
 * allocate again at any time.
 */
QY_API void qy_thread_idle(void);

#ifdef __cplusplus
}
#endif

#endif

/*
 * starve.h: the system gives no more memory. Between starve() and feed(), no block of at most `bytes` bytes can be had, and no
 * memory for counts; for the tests of what happens then. The program's mmap and mprotect stand before libc's.
 */
#ifndef QUARRY_TESTS_STARVE_H
#define QUARRY_TESTS_STARVE_H

#include "unit.h"

#include "alloc.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ThreadSanitizer's own calls would come here too. */
#if defined(__SANITIZE_THREAD__)
static const bool STARVE_WORKS __attribute__((unused)) = false;
#else
static const bool STARVE_WORKS __attribute__((unused)) = true;
#endif

enum { STARVE_BLOCKS = 1 << 17 };

static bool starving;
static void *starve_blocks[STARVE_BLOCKS];
static size_t starve_count;

#if !defined(__SANITIZE_THREAD__)
static bool starve_refuses(int protection)
{
    if (!starving || (protection & PROT_WRITE) == 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (starve_refuses(protection))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, where, bytes, protection, flags, fd,
                           offset); /* NOLINT(performance-no-int-to-ptr) */
}

int mprotect(void *start, size_t bytes, int protection)
{
    return starve_refuses(protection) ? -1 : (int)syscall(SYS_mprotect, start, bytes, protection);
}
#endif

/* Use up all memory that there is for blocks of this size and of larger ones. */
static inline void starve(size_t bytes)
{
    starving = true;
    for (size_t size = (size_t)1 << 22; size >= bytes; size = size == bytes || size / 4 > bytes ? size / 4 : bytes) {
        void *block;
        while ((block = qyi_malloc(size)) != NULL) {
            require(starve_count < STARVE_BLOCKS);
            starve_blocks[starve_count++] = block;
        }
        if (size == bytes)
            break;
    }
}

static inline void feed(void)
{
    starving = false;
    while (starve_count != 0)
        qyi_free(starve_blocks[--starve_count]);
}

#endif

/*
 * base.h: what every file may use: attributes, units, alignment and checked arithmetic. Layer 0.
 */
#ifndef QYI_BASE_H
#define QYI_BASE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __SIZEOF_POINTER__ != 8
#error "Quarry needs 64-bit pointers: its region is larger than a 32-bit address space"
#endif

/* Attributes: the only macros that stand for code. */
#define QYI_LIKELY(x) __builtin_expect(!!(x), 1)
#define QYI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define QYI_NOINLINE __attribute__((noinline))
/* On variables of other files, so that they are reached without the global offset table. */
#define QYI_HIDDEN __attribute__((visibility("hidden")))
#define QYI_COLD __attribute__((cold, noinline))
/* Runs in every process, once: kept together in front of the allocator's code, since the kernel maps files 64 KiB at a time. */
#define QYI_ONCE __attribute__((section(".text.startup")))
/* Variables (and tables) that every process touches stand side by side, in a page or two, and not between the tables that few use. */
#define QYI_NEAR __attribute__((section(".data.near")))
#define QYI_INLINE static inline __attribute__((always_inline))
#define QYI_CACHE_LINE 64
#define QYI_LINE_ALIGNED __attribute__((aligned(QYI_CACHE_LINE)))

static const size_t QYI_KIB = (size_t)1 << 10;
static const size_t QYI_MIB = (size_t)1 << 20;
static const size_t QYI_GIB = (size_t)1 << 30;

/* malloc and friends refuse anything larger: pointer differences must not overflow. */
static const size_t QYI_SIZE_LIMIT = PTRDIFF_MAX;

QYI_INLINE bool qyi_is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* align is a power of two; the caller has excluded overflow. */
QYI_INLINE size_t qyi_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

QYI_INLINE size_t qyi_align_down(size_t n, size_t align)
{
    return n & ~(align - 1);
}

QYI_INLINE size_t qyi_div_up(size_t n, size_t d)
{
    return (n + d - 1) / d;
}

QYI_INLINE size_t qyi_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

QYI_INLINE size_t qyi_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* floor(log2(n)); n is not 0. */
QYI_INLINE unsigned qyi_log2(uint64_t n)
{
    return 63u ^ (unsigned)__builtin_clzll(n); /* a difference costs two instructions more on x86 */
}

/* Number of the lowest set bit; n is not 0. */
QYI_INLINE unsigned qyi_ctz(uint64_t n)
{
    return (unsigned)__builtin_ctzll(n);
}

/*
 * Number of set bits. In plain arithmetic: without -mpopcnt the builtin is a call of a function with a table. After
 * Warren, "Hacker's Delight" (2002), section 5-1.
 */
QYI_INLINE unsigned qyi_popcount(uint64_t n)
{
    n -= n >> 1 & 0x5555555555555555;
    n = (n & 0x3333333333333333) + (n >> 2 & 0x3333333333333333);
    n = (n + (n >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (unsigned)(n * 0x0101010101010101 >> 56);
}

/* bits [from, from + count) of a 64-bit word; count is 1 to 64. */
QYI_INLINE uint64_t qyi_mask64(unsigned from, unsigned count)
{
    return (~(uint64_t)0 >> (64 - count)) << from;
}

/* This line, which another processor may have changed last, is going to be changed. */
QYI_INLINE void qyi_prefetch_to_write(const volatile void *p)
{
#if defined(__x86_64__)
    /* The builtin fetches it to be read, unless told of a processor. Only the first ones of 2004 do not know this. */
    __asm__ volatile("prefetchw (%0)" : : "r"(p));
#else
    __builtin_prefetch((const void *)p, 1);
#endif
}

/* A variable of some file's own, for those who look at it from outside: see root.h. */
struct qyi_extent {
    const void *start;
    size_t bytes;
};

/* Smallest power of two that is at least n; n is at most 2^63. */
QYI_INLINE size_t qyi_power_of_two_up(size_t n)
{
    return n <= 1 ? 1 : (size_t)1 << (qyi_log2(n - 1) + 1);
}

#endif

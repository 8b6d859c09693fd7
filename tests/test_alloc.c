/*
 * test_alloc.c: malloc, free, calloc, realloc and their relatives: sizes, alignments, contents, errors, and pointers
 * that cannot be freed.
 */
#include "unit.h"

#include "alloc.h"
#include "family.h"
#include "large.h"
#include "os.h"
#include "reclaim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

static const char CALLER[] = "test";

/* Sizes about all the borders between one way of allocating and another. */
static const size_t SIZES[] = {
    0,       1,       8,       15,      16,      17,       64,       100,     127,     128,     129,
    255,     256,     257,     1000,    1023,    1024,     1025,     2047,    2048,    2049,    4095,
    4096,    4097,    8192,    16000,   32768,   65535,    65536,    65537,   100000,  131071,  131072,
    131073,  131136,  200000,  262144,  262145,  1000000,  1 << 20,  2000000, 2097151, 2097152, 2097153,
    3000000, 4194304, 5000000, 8388608, 9000000, 16777216, 20000000,
};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

static void fill(void *block, size_t bytes, unsigned seed)
{
    unsigned char *out = block;
    for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : 509)
        out[i] = (unsigned char)(i * 7 + seed);
}

static bool holds(const void *block, size_t bytes, unsigned seed)
{
    const unsigned char *in = block;
    for (size_t i = 0; i < bytes; i += i < 4096 ? 1 : 509) {
        if (in[i] != (unsigned char)(i * 7 + seed))
            return false;
    }
    return true;
}

static bool is_zero(const void *block, size_t bytes)
{
    const unsigned char *in = block;
    return bytes == 0 || (in[0] == 0 && memcmp(in, in + 1, bytes - 1) == 0);
}

/* ---- malloc ---- */

START_TEST(test_malloc_gives_blocks_of_every_size)
{
    void *blocks[SIZE_COUNT];
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        blocks[i] = qyi_malloc(SIZES[i]);
        require(blocks[i] != NULL);
        require((uintptr_t)blocks[i] % 16 == 0);
        require(qyi_usable_size(blocks[i], CALLER) >= SIZES[i]);
        fill(blocks[i], qyi_usable_size(blocks[i], CALLER), (unsigned)i);
    }
    for (size_t i = 0; i < SIZE_COUNT; i++)
        require(holds(blocks[i], qyi_usable_size(blocks[i], CALLER), (unsigned)i));
    unit_check_runs();
    for (size_t i = 0; i < SIZE_COUNT; i++)
        qyi_free(blocks[i]);
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* The first blocks of a size may be larger ones that are at hand: afterwards, none is. */
static void ask_a_few_times(size_t bytes)
{
    enum { TIMES = 8 };
    void *blocks[TIMES];
    for (unsigned i = 0; i < TIMES; i++)
        require((blocks[i] = qyi_malloc(bytes)) != NULL);
    for (unsigned i = 0; i < TIMES; i++)
        qyi_free(blocks[i]);
}

START_TEST(test_malloc_of_small_sizes_gives_the_smallest_class)
{
    for (size_t bytes = 0; bytes <= QYI_SMALL_BYTES; bytes += bytes < 3000 ? 1 : 97) {
        ask_a_few_times(bytes);
        void *block = qyi_malloc(bytes);
        require(qyi_usable_size(block, CALLER) == qyi_classes[qyi_class_of(bytes)].bytes);
        require(qyi_good_size(bytes) == qyi_classes[qyi_class_of(bytes)].bytes);
        qyi_free(block);
    }
}
END_TEST

START_TEST(test_good_size_is_what_malloc_gives)
{
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        ask_a_few_times(SIZES[i]);
        void *block = qyi_malloc(SIZES[i]);
        require(qyi_usable_size(block, CALLER) == qyi_good_size(SIZES[i]));
        qyi_free(block);
    }
    ck_assert_uint_eq(qyi_good_size((size_t)PTRDIFF_MAX + 1), 0);
    ck_assert_uint_eq(qyi_good_size(SIZE_MAX), 0);
}
END_TEST

/* A program that asks for every size once has no page for each of them. */
START_TEST(test_sizes_that_are_wanted_once_share_pages)
{
    enum { SIZES_MAX = 64 };
    uintptr_t pages[SIZES_MAX];
    unsigned page_count = 0, count = 0;
    for (size_t bytes = 1008; bytes >= 16; bytes -= 16, count++) {
        const uintptr_t page = (uintptr_t)qyi_malloc(bytes) >> 12;
        unsigned i = 0;
        while (i < page_count && pages[i] != page)
            i++;
        if (i == page_count)
            pages[page_count++] = page;
    }
    ck_assert_uint_ge(count, 60);
    ck_assert_uint_le(page_count, 22); /* the classes are 32 */
}
END_TEST

START_TEST(test_blocks_of_size_0_are_different)
{
    void *blocks[100];
    for (unsigned i = 0; i < 100; i++) {
        blocks[i] = qyi_malloc(0);
        require(blocks[i] != NULL);
        for (unsigned k = 0; k < i; k++)
            require(blocks[k] != blocks[i]);
    }
    for (unsigned i = 0; i < 100; i++)
        qyi_free(blocks[i]);
}
END_TEST

START_TEST(test_powers_of_two_are_naturally_aligned)
{
    for (size_t bytes = 16; bytes <= 65536; bytes *= 2) {
        for (unsigned i = 0; i < 50; i++)
            require((uintptr_t)qyi_malloc(bytes) % bytes == 0);
    }
}
END_TEST

START_TEST(test_multiples_of_64_that_are_classes_are_aligned_to_64)
{
    for (size_t bytes = 64; bytes <= QYI_SMALL_BYTES; bytes += 64) {
        if (qyi_good_size(bytes) == bytes) {
            for (unsigned i = 0; i < 20; i++)
                require((uintptr_t)qyi_malloc(bytes) % 64 == 0);
        }
    }
}
END_TEST

START_TEST(test_success_leaves_errno_alone)
{
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        errno = 77;
        void *block = qyi_malloc(SIZES[i]);
        require(errno == 77);
        void *zeroed = qyi_calloc(1, SIZES[i]);
        require(errno == 77);
        block = qyi_realloc(block, SIZES[i] * 2 + 1);
        require(errno == 77);
        qyi_free(block);
        qyi_free(zeroed);
        require(errno == 77);
    }
    qyi_reclaim_all();
    ck_assert_int_eq(errno, 77);
}
END_TEST

/* ---- errors ---- */

/* Not even the compiler may know that these fail. */
static volatile const size_t TOO_MUCH[] = {
    SIZE_MAX,        SIZE_MAX - 15,  (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 65535,
    (size_t)1 << 60, (size_t)1 << 48};
enum { TOO_MUCH_COUNT = sizeof TOO_MUCH / sizeof TOO_MUCH[0] };

static void check_enomem(const void *p)
{
    require(p == NULL);
    require(errno == ENOMEM);
    errno = 0;
}

START_TEST(test_what_cannot_be_is_refused_with_enomem)
{
    char *block = qyi_malloc(100);
    char *large = qyi_malloc(1000000);
    fill(block, 100, 1);
    fill(large, 1000000, 2);
    errno = 0;
    for (size_t i = 0; i < TOO_MUCH_COUNT; i++) {
        check_enomem(qyi_malloc(TOO_MUCH[i]));
        check_enomem(qyi_calloc(1, TOO_MUCH[i]));
        check_enomem(qyi_realloc(NULL, TOO_MUCH[i]));
        check_enomem(qyi_realloc(block, TOO_MUCH[i]));
        check_enomem(qyi_realloc(large, TOO_MUCH[i]));
        check_enomem(qyi_reallocarray(block, 1, TOO_MUCH[i]));
        check_enomem(qyi_aligned_alloc(64, TOO_MUCH[i]));
        check_enomem(qyi_memalign(1 << 20, TOO_MUCH[i]));
        check_enomem(qyi_valloc(TOO_MUCH[i]));
        check_enomem(qyi_pvalloc(TOO_MUCH[i]));
        void *out = block;
        require(qyi_posix_memalign(&out, 64, TOO_MUCH[i]) == ENOMEM);
        require(out == block && errno == 0);
    }
    ck_assert(holds(block, 100, 1) && holds(large, 1000000, 2));
    qyi_free(block);
    qyi_free(large);
    void *after = qyi_malloc(1000);
    ck_assert_ptr_nonnull(after);
    qyi_free(after);
    unit_check_runs();
}
END_TEST

START_TEST(test_products_that_overflow_are_refused)
{
    static volatile const size_t FACTORS[][2] = {{SIZE_MAX, 2},
                                                 {2, SIZE_MAX},
                                                 {(size_t)1 << 32, (size_t)1 << 32},
                                                 {(size_t)1 << 33, (size_t)1 << 31},
                                                 {SIZE_MAX, SIZE_MAX}};
    char *block = qyi_malloc(100);
    fill(block, 100, 3);
    errno = 0;
    for (size_t i = 0; i < sizeof FACTORS / sizeof FACTORS[0]; i++) {
        check_enomem(qyi_calloc(FACTORS[i][0], FACTORS[i][1]));
        check_enomem(qyi_reallocarray(block, FACTORS[i][0], FACTORS[i][1]));
        check_enomem(qyi_reallocarray(NULL, FACTORS[i][0], FACTORS[i][1]));
    }
    ck_assert(holds(block, 100, 3));
    qyi_free(qyi_calloc(0, SIZE_MAX));
    qyi_free(qyi_calloc(SIZE_MAX, 0));
}
END_TEST

START_TEST(test_alignments_that_are_none_are_refused)
{
    static const size_t NONE[] = {0, 3, 24, 48, 100, 4097, SIZE_MAX, ((size_t)1 << 63) + 1};
    void *out = &out;
    for (size_t i = 0; i < sizeof NONE / sizeof NONE[0]; i++) {
        errno = 0;
        ck_assert_int_eq(qyi_posix_memalign(&out, NONE[i], 10), EINVAL);
        ck_assert_ptr_eq(out, &out);
        ck_assert_int_eq(errno, 0);
        ck_assert_ptr_null(qyi_aligned_alloc(NONE[i], 10));
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert_int_eq(qyi_posix_memalign(&out, 4, 10), EINVAL); /* less than a pointer */
    ck_assert_ptr_eq(out, &out);
    errno = 0;
    ck_assert_ptr_null(qyi_memalign(SIZE_MAX, 10));
    ck_assert_int_ne(errno, 0);
    check_enomem((errno = 0, qyi_aligned_alloc((size_t)1 << 62, 10)));
    check_enomem((errno = 0, qyi_aligned_alloc((size_t)1 << 63, 10)));
}
END_TEST

/* ---- alignment ---- */

START_TEST(test_aligned_blocks_are_aligned)
{
    static const size_t BYTES[] = {0, 1, 16, 100, 4096, 5000, 65536, 100000, 131072, 131073, 1000000};
    for (size_t align = 1; align <= (size_t)64 << 20; align *= 2) {
        for (size_t i = 0; i < sizeof BYTES / sizeof BYTES[0]; i++) {
            char *first = qyi_aligned(align, BYTES[i]);
            char *second = qyi_aligned(align, BYTES[i]);
            require(first != NULL && second != NULL && first != second);
            require((uintptr_t)first % align == 0 && (uintptr_t)second % align == 0);
            require(qyi_usable_size(first, CALLER) >= BYTES[i]);
            fill(first, BYTES[i], 1);
            fill(second, BYTES[i], 2);
            require(holds(first, BYTES[i], 1));
            qyi_free(first);
            qyi_free(second);
        }
    }
    unit_check_runs();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_the_relatives_align_as_they_should)
{
    void *out = NULL;
    ck_assert_int_eq(qyi_posix_memalign(&out, 4096, 100), 0);
    ck_assert_uint_eq((uintptr_t)out % 4096, 0);
    qyi_free(out);
    ck_assert_int_eq(qyi_posix_memalign(&out, sizeof(void *), 0), 0);
    ck_assert_ptr_nonnull(out);
    qyi_free(out);
    out = qyi_memalign(100, 10); /* rounded up to a power of two */
    ck_assert_uint_eq((uintptr_t)out % 128, 0);
    qyi_free(out);
    out = qyi_valloc(1);
    ck_assert_uint_eq((uintptr_t)out % qyi_os_page_bytes, 0);
    qyi_free(out);
    out = qyi_pvalloc(1);
    ck_assert_uint_eq((uintptr_t)out % qyi_os_page_bytes, 0);
    ck_assert_uint_ge(qyi_usable_size(out, CALLER), qyi_os_page_bytes);
    qyi_free(out);
    out = qyi_pvalloc(0);
    ck_assert_uint_ge(qyi_usable_size(out, CALLER), qyi_os_page_bytes);
    qyi_free(out);
    out = qyi_aligned_alloc(64, 100); /* need not be a multiple */
    ck_assert_uint_eq((uintptr_t)out % 64, 0);
    qyi_free(out);
}
END_TEST

/* ---- calloc ---- */

START_TEST(test_calloc_is_zero_over_memory_that_was_used)
{
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < SIZE_COUNT; i++) {
            unsigned char *dirty = qyi_malloc(SIZES[i]);
            memset(dirty, 0xff, qyi_usable_size(dirty, CALLER));
            qyi_free(dirty);
            unsigned char *clean = qyi_calloc(1, SIZES[i]);
            require(clean != NULL);
            require(is_zero(clean, SIZES[i]));
            memset(clean, 0xee, SIZES[i]);
            qyi_free(clean);
        }
        qyi_reclaim_all();
    }
}
END_TEST

/* Large runs of which parts were used, parts were given back, and parts are fresh. */
START_TEST(test_calloc_is_zero_over_mixed_memory)
{
    uint64_t seed = 4;
    unsigned char *blocks[12] = {NULL};
    for (unsigned step = 0; step < unit_rounds(300); step++) {
        const size_t i = unit_below(&seed, 12);
        qyi_free(blocks[i]);
        const size_t bytes = 140000 + unit_below(&seed, 5000000);
        blocks[i] = qyi_calloc(2, bytes / 2);
        require(blocks[i] != NULL);
        require(is_zero(blocks[i], bytes / 2 * 2));
        memset(blocks[i], 0x55, bytes / 2 * 2);
        if (step % 7 == 0)
            qyi_region_purge(qyi_os_now_ms(), 0);
    }
    for (size_t i = 0; i < 12; i++)
        qyi_free(blocks[i]);
    unit_check_runs();
}
END_TEST

/* ---- realloc ---- */

START_TEST(test_realloc_keeps_the_contents)
{
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        for (size_t k = 0; k < SIZE_COUNT; k++) {
            if (SIZES[k] == 0)
                continue;
            void *block = qyi_malloc(SIZES[i]);
            fill(block, SIZES[i], 9);
            block = qyi_realloc(block, SIZES[k]);
            require(block != NULL);
            require(qyi_usable_size(block, CALLER) >= SIZES[k]);
            require(holds(block, qyi_min(SIZES[i], SIZES[k]), 9));
            fill(block, SIZES[k], 8);
            qyi_free(block);
        }
    }
    unit_check_runs();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_realloc_of_nothing_allocates_and_to_nothing_frees)
{
    void *block = qyi_realloc(NULL, 100);
    ck_assert_ptr_nonnull(block);
    ck_assert_ptr_null(qyi_realloc(block, 0));
    block = qyi_realloc(NULL, 0);
    ck_assert_ptr_nonnull(block);
    ck_assert_ptr_null(qyi_realloc(block, 0));
    block = qyi_malloc(1000000);
    ck_assert_ptr_null(qyi_realloc(block, 0));
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_realloc_within_the_block_stays_in_place)
{
    char *block = qyi_malloc(1000);
    const size_t usable = qyi_usable_size(block, CALLER);
    ck_assert_ptr_eq(qyi_realloc(block, usable), block);
    ck_assert_ptr_eq(qyi_realloc(block, usable - 1), block);
    ck_assert_ptr_eq(qyi_realloc(block, 900), block);
    char *large = qyi_malloc(1000000);
    ck_assert_ptr_eq(qyi_realloc(large, 1000100), large);
    ck_assert_ptr_eq(qyi_realloc(large, 500000), large); /* its tail goes back */
    ck_assert_uint_lt(qyi_usable_size(large, CALLER), 600000);
}
END_TEST

/* Also of a size whose first blocks are larger ones: sizes descend, so that there are some. */
START_TEST(test_realloc_to_the_same_size_stays_in_place)
{
    for (size_t bytes = 1024; bytes > 0; bytes--) {
        void *block = qyi_malloc(bytes);
        require(qyi_realloc(block, bytes) == block);
    }
}
END_TEST

START_TEST(test_realloc_gives_back_what_is_not_needed)
{
    const size_t before = unit_used_bytes();
    char *large = qyi_malloc(10 << 20);
    fill(large, 10 << 20, 5);
    large = qyi_realloc(large, 1 << 20);
    ck_assert_uint_le(unit_used_bytes(), before + (1 << 20) + QYI_GRANULE_BYTES);
    ck_assert(holds(large, 1 << 20, 5));
    large = qyi_realloc(large, 1000);
    ck_assert(holds(large, 1000, 5));
    qyi_free(large);
    unit_check_runs();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_large_blocks_grow_in_place_where_there_is_room)
{
    char *block = qyi_malloc(200000);
    fill(block, 200000, 6);
    for (size_t bytes = 200000; bytes < 20000000; bytes += 500000) {
        char *grown = qyi_realloc(block, bytes);
        require(grown == block || bytes == 200000 ||
                bytes < 2200000); /* at most once, out of a frame shared with others */
        block = grown;
    }
    ck_assert(holds(block, 200000, 6));
    qyi_free(block);
    unit_check_runs();
}
END_TEST

/* Buffers that grow in turn block each other's way: they move, and what has moved grows in place and moves again. */
START_TEST(test_large_blocks_that_grow_in_turn_keep_their_contents)
{
    enum { BUFFERS = 3 };
    char *buffers[BUFFERS];
    size_t bytes[BUFFERS];
    uint64_t seed = 5;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < BUFFERS; i++) {
            bytes[i] = 300000;
            buffers[i] = qyi_malloc(bytes[i]);
            fill(buffers[i], bytes[i], i);
        }
        for (unsigned step = 0; step < 60; step++) {
            const unsigned i = (unsigned)unit_below(&seed, BUFFERS);
            const size_t old = bytes[i];
            bytes[i] = old + unit_below(&seed, 2500000);
            if (unit_below(&seed, 6) == 0)
                bytes[i] = old / 3 + 1;
            buffers[i] = qyi_realloc(buffers[i], bytes[i]);
            require(buffers[i] != NULL);
            require(holds(buffers[i], qyi_min(old, bytes[i]), i));
            fill(buffers[i], bytes[i], i);
        }
        for (unsigned i = 0; i < BUFFERS; i++) {
            require(holds(buffers[i], bytes[i], i));
            qyi_free(buffers[i]);
        }
        unit_check_runs();
        qyi_reclaim_all();
        require(unit_used_bytes() == 0);
    }
}
END_TEST

/* ---- everything at random ---- */

enum { LIVE = 300 };

struct live {
    unsigned char *block;
    size_t bytes;
    unsigned seed;
};

static size_t random_size(uint64_t *seed)
{
    switch (unit_below(seed, 20)) {
    case 0: return 100000 + unit_below(seed, 3000000);
    case 1: return 2000 + unit_below(seed, 140000);
    case 2:
    case 3:
    case 4: return 500 + unit_below(seed, 3000);
    default: return unit_below(seed, 600);
    }
}

static void random_step(struct live *live, uint64_t *seed)
{
    if (live->block == NULL) {
        live->bytes = random_size(seed);
        const size_t align = (size_t)1 << unit_below(seed, 14);
        switch (unit_below(seed, 4)) {
        case 0:
            live->block = qyi_calloc(1, live->bytes);
            require(is_zero(live->block, qyi_min(live->bytes, 5000)));
            break;
        case 1:
            live->block = qyi_aligned(align, live->bytes);
            require((uintptr_t)live->block % align == 0);
            break;
        default: live->block = qyi_malloc(live->bytes);
        }
    } else {
        require(holds(live->block, live->bytes, live->seed));
        if (unit_below(seed, 3) != 0) {
            qyi_free(live->block);
            live->block = NULL;
            return;
        }
        const size_t old = live->bytes;
        live->bytes = 1 + random_size(seed);
        live->block = qyi_realloc(live->block, live->bytes);
        require(live->block != NULL && holds(live->block, qyi_min(old, live->bytes), live->seed));
    }
    require(live->block != NULL);
    live->seed = (unsigned)unit_random(seed);
    fill(live->block, live->bytes, live->seed);
}

static void *random_steps(void *argument)
{
    struct live *lives = calloc(LIVE, sizeof *lives);
    uint64_t seed = (uintptr_t)argument;
    for (unsigned step = 0; step < unit_rounds(20000); step++) {
        random_step(&lives[unit_below(&seed, LIVE)], &seed);
        if (step % 3000 == 2999)
            qyi_reclaim_all();
    }
    for (unsigned i = 0; i < LIVE; i++) {
        require(lives[i].block == NULL || holds(lives[i].block, lives[i].bytes, lives[i].seed));
        qyi_free(lives[i].block);
    }
    free(lives);
    return NULL;
}

START_TEST(test_random_use_keeps_all_contents)
{
    random_steps((void *)(uintptr_t)(_i + 1)); /* NOLINT(performance-no-int-to-ptr) */
    unit_check_runs();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

START_TEST(test_random_use_by_threads_keeps_all_contents)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    unit_attach();
    for (uintptr_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, random_steps, (void *)(i + 10)) ==
                0); /* NOLINT(performance-no-int-to-ptr) */
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    unit_check_runs();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
}
END_TEST

/* ---- pointers that cannot be freed ---- */

static int not_ours;

static const struct {
    size_t bytes;
    size_t offset;
} INTERIOR[] = {{100, 16},       {100, 1},     {5000, 8},       {5000, 4096},
                {100000, 65536}, {1000000, 1}, {1000000, 4096}, {1000000, 65536}};
enum { INTERIOR_COUNT = sizeof INTERIOR / sizeof INTERIOR[0] };

START_TEST(test_free_of_a_foreign_pointer_aborts)
{
    if (_i == 0)
        qyi_free(qyi_malloc(1));
    qyi_free(&not_ours);
}
END_TEST

START_TEST(test_free_of_an_interior_pointer_aborts)
{
    char *block = qyi_malloc(INTERIOR[_i].bytes);
    qyi_free(block + INTERIOR[_i].offset);
    qyi_reclaim_all(); /* at the latest */
}
END_TEST

START_TEST(test_usable_size_of_an_interior_pointer_aborts)
{
    char *block = qyi_malloc(INTERIOR[_i].bytes);
    (void)qyi_usable_size(block + INTERIOR[_i].offset, CALLER);
}
END_TEST

START_TEST(test_realloc_of_an_interior_pointer_aborts)
{
    char *block = qyi_malloc(INTERIOR[_i].bytes);
    (void)qyi_realloc(block + INTERIOR[_i].offset, 10);
}
END_TEST

/* Twice in a row, twice with another block between, and when the memory may be gone already. */
START_TEST(test_double_free_aborts)
{
    const size_t bytes = INTERIOR[_i / 3].bytes;
    void *block = qyi_malloc(bytes);
    void *other = qyi_malloc(bytes);
    qyi_free(block);
    if (_i % 3 == 1)
        qyi_free(other);
    if (_i % 3 == 2)
        qyi_reclaim_all();
    qyi_free(block);
    qyi_reclaim_all(); /* at the latest */
}
END_TEST

START_TEST(test_usable_size_of_a_foreign_pointer_aborts)
{
    (void)qyi_usable_size(&not_ours, CALLER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alloc");
    TCase *sizes = tcase_create("malloc");
    tcase_add_test(sizes, test_malloc_gives_blocks_of_every_size);
    tcase_add_test(sizes, test_malloc_of_small_sizes_gives_the_smallest_class);
    tcase_add_test(sizes, test_sizes_that_are_wanted_once_share_pages);
    tcase_add_test(sizes, test_good_size_is_what_malloc_gives);
    tcase_add_test(sizes, test_blocks_of_size_0_are_different);
    tcase_add_test(sizes, test_powers_of_two_are_naturally_aligned);
    tcase_add_test(sizes, test_multiples_of_64_that_are_classes_are_aligned_to_64);
    tcase_add_test(sizes, test_success_leaves_errno_alone);
    suite_add_tcase(suite, sizes);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, test_what_cannot_be_is_refused_with_enomem);
    tcase_add_test(errors, test_products_that_overflow_are_refused);
    tcase_add_test(errors, test_alignments_that_are_none_are_refused);
    suite_add_tcase(suite, errors);
    TCase *alignment = tcase_create("alignment");
    tcase_add_test(alignment, test_aligned_blocks_are_aligned);
    tcase_add_test(alignment, test_the_relatives_align_as_they_should);
    suite_add_tcase(suite, alignment);
    TCase *contents = tcase_create("contents");
    tcase_add_test(contents, test_calloc_is_zero_over_memory_that_was_used);
    tcase_add_test(contents, test_calloc_is_zero_over_mixed_memory);
    tcase_add_test(contents, test_realloc_keeps_the_contents);
    tcase_add_test(contents, test_realloc_of_nothing_allocates_and_to_nothing_frees);
    tcase_add_test(contents, test_realloc_within_the_block_stays_in_place);
    tcase_add_test(contents, test_realloc_to_the_same_size_stays_in_place);
    tcase_add_test(contents, test_realloc_gives_back_what_is_not_needed);
    tcase_add_test(contents, test_large_blocks_grow_in_place_where_there_is_room);
    tcase_add_test(contents, test_large_blocks_that_grow_in_turn_keep_their_contents);
    tcase_add_loop_test(contents, test_random_use_keeps_all_contents, 0, 3);
    tcase_add_test(contents, test_random_use_by_threads_keeps_all_contents);
    suite_add_tcase(suite, contents);
    TCase *misuse = tcase_create("misuse");
    tcase_add_loop_test_raise_signal(misuse, test_free_of_a_foreign_pointer_aborts, SIGABRT, 0, 2);
    tcase_add_loop_test_raise_signal(misuse, test_free_of_an_interior_pointer_aborts, SIGABRT, 0, INTERIOR_COUNT);
    tcase_add_loop_test_raise_signal(misuse, test_usable_size_of_an_interior_pointer_aborts, SIGABRT, 0,
                                     INTERIOR_COUNT);
    tcase_add_loop_test_raise_signal(misuse, test_realloc_of_an_interior_pointer_aborts, SIGABRT, 0, INTERIOR_COUNT);
    tcase_add_loop_test_raise_signal(misuse, test_double_free_aborts, SIGABRT, 0, 3 * INTERIOR_COUNT);
    tcase_add_test_raise_signal(misuse, test_usable_size_of_a_foreign_pointer_aborts, SIGABRT);
    suite_add_tcase(suite, misuse);
    return unit_run(suite);
}

/*
 * Use before any constructor: .preinit_array runs before the library's own constructor. First free(NULL), as newer loaders
 * do, and releases of what is not ours, then every kind of allocation; what was allocated there is used, resized and freed in main.
 */
#include "blackbox.h"
#include <malloc.h>

static char *early_blocks[64];
static size_t early_sizes[64];
static char *early_aligned, *early_grown, *early_large;
static bool ran;

static size_t early_size(size_t i)
{
    return i * i * i + i;
}

/* The library's, which is preloaded. */
extern int qy_release(const void *p) __attribute__((weak));

static void before_constructors(void)
{
    char local[16];
    free(bb_hide(NULL));
    if (qy_release != NULL) {
        CHECK(qy_release(NULL) == 0);
        errno = 0;
        CHECK(qy_release(local) == -1 && errno == EINVAL);
    }
    for (size_t i = 0; i < BB_COUNT(early_blocks); i++) {
        early_sizes[i] = early_size(i);
        early_blocks[i] = i % 2 ? malloc(early_sizes[i]) : calloc(1, early_sizes[i]);
        CHECK(early_blocks[i] != NULL && malloc_usable_size(early_blocks[i]) >= early_sizes[i]);
        bb_fill(early_blocks[i], early_sizes[i], i);
        free(malloc(i));
    }
    early_aligned = memalign(4096, 100);
    CHECK(early_aligned != NULL && bb_aligned(early_aligned, 4096));
    for (size_t size = 1; size < 100000; size += size / 2 + 1)
        CHECK((early_grown = realloc(early_grown, size)) != NULL);
    early_large = calloc(3, BB_MIB);
    CHECK(early_large != NULL && bb_is_zero(early_large, 3 * BB_MIB));
    free(early_large);
    errno = 0;
    CHECK(malloc(bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    ran = true;
}
__attribute__((section(".preinit_array"), used)) static void (*const entry)(void) = before_constructors;

/* As early as a program's own constructors get. */
static __attribute__((constructor(101))) void first_constructor(void)
{
    CHECK(ran);
    for (size_t i = 0; i < BB_COUNT(early_blocks); i += 3) {
        CHECK(bb_holds(early_blocks[i], early_sizes[i], i));
        early_blocks[i] = realloc(early_blocks[i], early_sizes[i] + 100);
        CHECK(early_blocks[i] != NULL && bb_holds(early_blocks[i], early_sizes[i], i));
    }
}

int main(void)
{
    for (size_t i = 0; i < BB_COUNT(early_blocks); i++) {
        CHECK(bb_holds(early_blocks[i], early_sizes[i], i), "block %zu", i);
        free(early_blocks[i]);
    }
    free(early_aligned);
    free(early_grown);
    return 0;
}

/* A block of size 0 is a block: not NULL, different from every other live one, aligned, and freeable. */
#include "blackbox.h"
#include <malloc.h>

enum { COUNT = 2000 };

static int by_address(const void *left, const void *right)
{
    uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;
    return (a > b) - (a < b);
}

static void *zero_block(int i)
{
    void *block = NULL;
    switch (i % 8) {
    case 0: return malloc(bb_hide_size(0));
    case 1: return calloc(bb_hide_size(0), 8);
    case 2: return calloc(8, bb_hide_size(0));
    case 3: return realloc(NULL, bb_hide_size(0));
    case 4: return memalign(64, bb_hide_size(0));
    case 5: return aligned_alloc(64, bb_hide_size(0));
    case 6: return reallocarray(NULL, bb_hide_size(0), 16);
    default: CHECK(posix_memalign(&block, 64, bb_hide_size(0)) == 0); return block;
    }
}

int main(void)
{
    static uintptr_t addresses[COUNT];
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = zero_block(i);
        CHECK(blocks[i] != NULL, "kind %d", i % 8);
        CHECK(bb_aligned(blocks[i], i % 8 < 4 || i % 8 == 6 ? 8 : 64), "kind %d: %p", i % 8, blocks[i]);
        addresses[i] = (uintptr_t)blocks[i];
    }
    qsort(addresses, COUNT, sizeof(addresses[0]), by_address);
    for (int i = 1; i < COUNT; i++)
        CHECK(addresses[i - 1] != addresses[i], "two live blocks at 0x%jx", (uintmax_t)addresses[i]);
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);

    /* A block of size 0 can grow. */
    char *grown = realloc(malloc(bb_hide_size(0)), 100);
    CHECK(grown != NULL);
    memset(grown, 1, 100);
    free(grown);
    free(bb_hide(NULL));
    return 0;
}

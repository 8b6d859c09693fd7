/*
 * Every block of 16 bytes or more is aligned to 16; a smaller one to the largest power of two that fits in it. By every
 * function, for every small size, with many blocks of each alive.
 */
#include "blackbox.h"

enum { KEPT = 24 };

static size_t wanted(size_t size)
{
    size_t alignment = 1;
    while (alignment < 16 && alignment * 2 <= size)
        alignment *= 2;
    return alignment;
}

static void check(const char *what, const void *block, size_t size)
{
    CHECK(block != NULL, "%s(%zu)", what, size);
    CHECK(bb_aligned(block, wanted(size)), "%s(%zu) = %p", what, size, block);
}

int main(void)
{
    for (size_t size = 1; size < 4 * BB_MIB; size += size < 5000 ? 1 : size / 7) {
        void *kept[KEPT];
        for (int i = 0; i < KEPT; i += 3) {
            check("malloc", kept[i] = malloc(size), size);
            check("calloc", kept[i + 1] = calloc(1, size), size);
            kept[i + 2] = malloc(size / 2 + 1);
            check("realloc", kept[i + 2] = realloc(kept[i + 2], size), size);
        }
        for (int i = 0; i < KEPT; i++)
            free(kept[i]);
    }
    return 0;
}

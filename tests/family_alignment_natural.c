/*
 * What plain malloc promises beyond the standard: powers of two are naturally aligned up to 64 KiB, and multiples of 64 are
 * aligned to a cache line.
 */
#include "blackbox.h"

enum { KEPT = 40 };

static void check_size(size_t size, size_t alignment)
{
    void *kept[KEPT];
    for (int i = 0; i < KEPT; i++) {
        kept[i] = i % 2 ? malloc(size) : calloc(1, size);
        CHECK(kept[i] != NULL);
        CHECK(bb_aligned(kept[i], alignment), "%zu bytes at %p, wanted a multiple of %zu", size, kept[i], alignment);
    }
    for (int i = 0; i < KEPT; i++)
        free(kept[i]);
}

int main(void)
{
    for (size_t size = 1; size <= 64 * BB_KIB; size *= 2)
        check_size(size, size);
    for (size_t size = 128 * BB_KIB; size <= 4 * BB_MIB; size *= 2)
        check_size(size, 64 * BB_KIB);
    for (size_t size = 64; size <= 256 * BB_KIB; size += 64)
        if (size <= 16 * BB_KIB || size % 1024 == 0)
            check_size(size, 64);
    return 0;
}

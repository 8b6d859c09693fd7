/* posix_memalign, aligned_alloc and memalign: every alignment up to 1 MiB with every kind of size; usable to the end. */
#include "blackbox.h"
#include <malloc.h>

static void *aligned_block(int kind, size_t alignment, size_t size)
{
    void *block = NULL;
    if (kind == 0)
        return aligned_alloc(alignment, size);
    if (kind == 1)
        return memalign(alignment, size);
    CHECK(posix_memalign(&block, alignment, size) == 0);
    return block;
}

int main(void)
{
    for (size_t alignment = sizeof(void *); alignment <= BB_MIB; alignment *= 2) {
        for (size_t size = 0; size < 3 * BB_MIB; size += size / 2 + 1 + (size > 64 ? size % 13 : 0)) {
            void *blocks[6];
            for (int i = 0; i < 6; i++) {
                blocks[i] = aligned_block(i % 3, alignment, size);
                CHECK(blocks[i] != NULL, "alignment %zu, size %zu", alignment, size);
                CHECK(bb_aligned(blocks[i], alignment), "alignment %zu, size %zu: %p", alignment, size, blocks[i]);
                CHECK(malloc_usable_size(blocks[i]) >= size);
                /* The whole of small blocks, both ends of large ones. */
                size_t end = size < 4096 ? size : 4096;
                bb_fill(blocks[i], end, (uint64_t)i);
                bb_fill((char *)blocks[i] + size - end, end, (uint64_t)i);
            }
            for (int i = 5; i >= 0; i--) {
                size_t end = size < 4096 ? size : 4096;
                CHECK(bb_holds((char *)blocks[i] + size - end, end, (uint64_t)i), "alignment %zu, size %zu", alignment,
                      size);
                if (size >= 8192)
                    CHECK(bb_holds(blocks[i], end, (uint64_t)i), "alignment %zu, size %zu", alignment, size);
                free(blocks[i]);
            }
        }
    }
    return 0;
}

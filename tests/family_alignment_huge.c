/* Alignments larger than any slab: 2 MiB, 32 MiB, 1 GiB; several blocks alive, contents kept by realloc. */
#include "blackbox.h"

int main(void)
{
    static const size_t alignments[] = {2 * BB_MIB, 32 * BB_MIB, BB_GIB};
    static const size_t sizes[] = {1, 4096, 100000, 2 * BB_MIB, 5 * BB_MIB + 123};
    for (size_t i = 0; i < BB_COUNT(alignments); i++) {
        char *blocks[BB_COUNT(sizes)];
        for (size_t j = 0; j < BB_COUNT(sizes); j++) {
            void *block = NULL;
            int error = posix_memalign(&block, alignments[i], sizes[j]);
            CHECK(error == 0, "alignment %zu, size %zu: %s", alignments[i], sizes[j], strerror(error));
            CHECK(bb_aligned(block, alignments[i]), "alignment %zu: %p", alignments[i], block);
            bb_fill(block, sizes[j], j);
            blocks[j] = block;
        }
        for (size_t j = 0; j < BB_COUNT(sizes); j++) {
            CHECK(bb_holds(blocks[j], sizes[j], j), "alignment %zu, size %zu", alignments[i], sizes[j]);
            blocks[j] = realloc(blocks[j], sizes[j] * 2);
            CHECK(blocks[j] != NULL && bb_holds(blocks[j], sizes[j], j), "alignment %zu, size %zu", alignments[i],
                  sizes[j]);
            memset(blocks[j], 0, sizes[j] * 2);
        }
        for (size_t j = 0; j < BB_COUNT(sizes); j++)
            free(blocks[j]);
    }
    return 0;
}

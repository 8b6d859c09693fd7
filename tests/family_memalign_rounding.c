/* memalign with an alignment that is not a power of two rounds it up, as glibc does. */
#include "blackbox.h"
#include <malloc.h>

int main(void)
{
    static const size_t given[] = {0,  1,  2,  3,   5,    7,    9,    15,   17,    24,
                                   33, 48, 65, 100, 1000, 4095, 4097, 5000, 65537, 1000000};
    for (size_t i = 0; i < BB_COUNT(given); i++) {
        size_t wanted = 8;
        while (wanted < given[i])
            wanted *= 2;
        for (size_t size = 0; size < 300000; size = size * 3 + 1) {
            void *blocks[4];
            for (size_t j = 0; j < BB_COUNT(blocks); j++) {
                blocks[j] = memalign(bb_hide_size(given[i]), size);
                CHECK(blocks[j] != NULL, "memalign(%zu, %zu): errno %d", given[i], size, errno);
                CHECK(bb_aligned(blocks[j], wanted), "memalign(%zu, %zu) = %p", given[i], size, blocks[j]);
                bb_fill(blocks[j], size, j);
            }
            for (size_t j = 0; j < BB_COUNT(blocks); j++) {
                CHECK(bb_holds(blocks[j], size, j));
                free(blocks[j]);
            }
        }
    }
    return 0;
}

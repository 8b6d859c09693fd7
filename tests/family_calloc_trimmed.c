/* calloc gives zeros also after malloc_trim, and from memory that was partly purged and partly dirtied again. */
#include "blackbox.h"
#include <malloc.h>

enum { COUNT = 400 };

int main(void)
{
    static const size_t sizes[] = {16, 64, 100, 1000, 4096, 10000, 40000, 65536, 100000, 1000000, 5000000};
    static void *blocks[COUNT];
    uint64_t state = 99;
    for (size_t round = 0; round < 3; round++) {
        for (size_t s = 0; s < BB_COUNT(sizes); s++) {
            size_t count = sizes[s] > 500000 ? 8 : sizes[s] > 20000 ? 60 : COUNT;
            for (size_t i = 0; i < count; i++) {
                CHECK((blocks[i] = malloc(sizes[s])) != NULL);
                memset(blocks[i], 0xcc, sizes[s]);
            }
            /* Free a random part, purge, free the rest (dirty beside clean). */
            for (size_t i = 0; i < count; i++)
                if (bb_random(&state) % 4 != 0) {
                    free(blocks[i]);
                    blocks[i] = NULL;
                }
            malloc_trim(0);
            for (size_t i = 0; i < count; i++)
                free(blocks[i]);
            for (size_t i = 0; i < count; i++) {
                size_t size = round == 2 ? sizes[s] * 2 : sizes[s];
                blocks[i] = calloc(1, size);
                CHECK(blocks[i] != NULL && bb_is_zero(blocks[i], size), "%zu bytes, block %zu, round %zu", size, i,
                      round);
                memset(blocks[i], 0x77, size);
            }
            for (size_t i = 0; i < count; i++)
                free(blocks[i]);
        }
    }
    return 0;
}

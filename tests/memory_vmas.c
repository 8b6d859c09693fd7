/* The number of mappings stays bounded, whatever mixture of small, large, growing and trimmed blocks a program makes. */
#include "blackbox.h"
#include <malloc.h>

enum { SLOTS = 3000, STEPS = 60000, MOST = 200 };

int main(void)
{
    static char *blocks[SLOTS];
    uint64_t state = 12;
    size_t before = bb_vma_count(), most = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t slot = bb_random(&state) % SLOTS;
        uint64_t dice = bb_random(&state) % 100;
        size_t limit = dice < 60 ? 1000 : dice < 85 ? 40000 : dice < 97 ? 400000 : 3000000;
        size_t size = bb_random(&state) % limit + 1;
        if (bb_random(&state) % 3 == 0) {
            blocks[slot] = realloc(blocks[slot], size);
        } else {
            free(blocks[slot]);
            blocks[slot] = bb_random(&state) % 10 != 0 ? malloc(size) : memalign(65536, size);
        }
        CHECK(blocks[slot] != NULL);
        blocks[slot][0] = blocks[slot][size / 2] = blocks[slot][size - 1] = 1;
        if (step % 5000 == 4999)
            malloc_trim(0);
        if (step % 500 == 0) {
            size_t now = bb_vma_count();
            most = now > most ? now : most;
        }
    }
    bb_note("mappings: %zu at the start, %zu at most", before, most);
    CHECK(most <= before + MOST, "mappings: %zu at the start, %zu at most", before, most);
    for (size_t i = 0; i < SLOTS; i++)
        free(blocks[i]);
    malloc_trim(0);
    CHECK(bb_vma_count() <= before + MOST, "%zu mappings after all was freed", bb_vma_count());
    return 0;
}

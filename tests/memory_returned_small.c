/* 1 GiB in small blocks, freed, one malloc_trim(0): at least 95% of it is returned. In order and in random order. */
#include "memory_returned.h"

static const size_t sizes[] = {200, 1000, 48, 3000, 520, 8000};

static void shuffled(void)
{
    enum { COUNT = 1 << 20 };
    static void *blocks[COUNT];
    uint64_t state = 7;
    for (size_t i = 0; i < COUNT; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        *(char *)blocks[i] = 1;
    }
    for (size_t i = COUNT; i-- > 1;) {
        size_t j = bb_random(&state) % (i + 1);
        void *kept = blocks[i];
        blocks[i] = blocks[j];
        blocks[j] = kept;
    }
    for (size_t i = 0; i < COUNT; i++)
        free(blocks[i]);
}

int main(void)
{
    size_t before = bb_rss_bytes();
    struct held *chain = returned_take(sizes, BB_COUNT(sizes), RETURNED_TOTAL);
    size_t full = bb_rss_bytes();
    returned_give(chain);
    malloc_trim(0);
    returned_check("in order", before, full);
    shuffled();
    malloc_trim(0);
    returned_check("shuffled", before + 8 * BB_MIB, full); /* the table of pointers is static and now resident */
    return 0;
}

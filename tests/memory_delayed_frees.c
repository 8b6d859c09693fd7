/* A program that only frees, blocks of slabs that hold one or two, does it slowly: what was freed some time ago is returned meanwhile. */
#include "memory_returned.h"

enum { PORTIONS = 40, PORTION_MS = 40 };

static void check_size(size_t size)
{
    size_t before = bb_rss_bytes();
    struct held *chain = returned_take(&size, 1, 96 * BB_MIB);
    size_t full = bb_rss_bytes();
    size_t portion = 96 * BB_MIB / size / PORTIONS + 1;
    while (chain != NULL) {
        for (size_t i = 0; i < portion && chain != NULL; i++) {
            struct held *next = chain->next;
            free(chain);
            chain = next;
        }
        bb_sleep_ms(PORTION_MS);
    }
    size_t after = bb_rss_bytes();
    bb_note("%zu bytes: resident %zu MiB, then %zu MiB, after the last free %zu MiB", size, before >> 20, full >> 20,
            after >> 20);
    CHECK(after <= before + (full - before) * 3 / 4, "%zu bytes: resident %zu, then %zu, after the last free %zu", size,
          before, full, after);
}

int main(void)
{
    static const size_t sizes[] = {20000, 40000, 65536};
    for (size_t i = 0; i < BB_COUNT(sizes); i++)
        check_size(sizes[i]);
    return 0;
}

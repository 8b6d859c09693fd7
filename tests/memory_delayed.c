/* Without malloc_trim and without a background thread, freed memory is returned after a delay while the program works on a little. */
#include "memory_returned.h"

int main(void)
{
    static const size_t small[] = {200, 1000, 48, 3000}, large[] = {300000, 4 * BB_MIB};
    size_t before = bb_rss_bytes();
    struct held *chain = returned_take(small, BB_COUNT(small), 128 * BB_MIB);
    struct held *other = returned_take(large, BB_COUNT(large), 128 * BB_MIB);
    size_t full = bb_rss_bytes(), after = full;
    returned_give(chain);
    returned_give(other);
    /* A little: half a megabyte in all kinds of blocks, ten times a second, for at most five seconds. */
    for (int tenths = 0; tenths < 50; tenths++) {
        after = bb_rss_bytes();
        if (after <= before + (full - before) / 5)
            break;
        static const size_t mixed[] = {100, 5000, 100000, 40, 20000};
        returned_give(returned_take(mixed, BB_COUNT(mixed), 512 * BB_KIB));
        bb_sleep_ms(100);
    }
    bb_note("resident %zu MiB, then %zu MiB, some time after freeing %zu MiB", before >> 20, full >> 20, after >> 20);
    CHECK(after <= before + (full - before) / 5, "resident %zu, then %zu, some time after freeing %zu", before, full,
          after);
    return 0;
}

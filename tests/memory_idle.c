/*
 * 1 GiB, half of it in small blocks and half in large ones, is freed; then the program sleeps for two seconds and calls nothing.
 * memory_background.sh runs it with the background thread on: at least 95% must be returned.
 */
#include "memory_returned.h"

int main(void)
{
    static const size_t small[] = {200, 1000, 48, 3000, 520, 8000}, large[] = {300000, 4 * BB_MIB, 70000};
    size_t before = bb_rss_bytes();
    struct held *chain = returned_take(small, BB_COUNT(small), RETURNED_TOTAL / 2);
    struct held *other = returned_take(large, BB_COUNT(large), RETURNED_TOTAL / 2);
    size_t full = bb_rss_bytes();
    returned_give(chain);
    returned_give(other);
    bb_sleep_ms(2000);
    returned_check("idle", before, full);
    return 0;
}

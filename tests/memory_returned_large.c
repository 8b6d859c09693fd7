/* 1 GiB in large blocks, freed, one malloc_trim(0): at least 95% of it is returned. */
#include "memory_returned.h"

int main(void)
{
    static const size_t sizes[] = {300000, 4 * BB_MIB, 70000, BB_MIB + 1, 33 * BB_MIB};
    size_t before = bb_rss_bytes();
    struct held *chain = returned_take(sizes, BB_COUNT(sizes), RETURNED_TOTAL);
    size_t full = bb_rss_bytes();
    returned_give(chain);
    malloc_trim(0);
    returned_check("large", before, full);
    return 0;
}

/* Misuse: free of a block's address plus its size, where no block was ever given out. */
#include "abort.h"

int main(void)
{
    /* The last of many: whatever lies behind it in its slab was never allocated. */
    char *last = malloc(1000), *highest = last;
    for (int i = 0; i < 200; i++) {
        last = malloc(1000);
        highest = last > highest ? last : highest;
    }
    char *behind = highest + 1024;
    announce(behind, REASON_DOUBLE_FREE "|" REASON_INTERIOR "|" REASON_FOREIGN "|" REASON_FREED);
    free(bb_hide(behind));
    return 0;
}

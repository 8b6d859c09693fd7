/* Misuse: double free of a large block after other large blocks were freed beside it. */
#include "abort.h"

int main(void)
{
    void *blocks[8];
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        blocks[i] = malloc(1000000);
    void *block = bb_hide(blocks[3]);
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    announce(block, REASON_DOUBLE_FREE "|" REASON_FREED "|" REASON_FOREIGN "|" REASON_INTERIOR);
    free(bb_hide(block));
    return 0;
}

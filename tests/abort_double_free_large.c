/* Misuse: double free of a large block. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(3000000));
    free(block);
    announce(block, REASON_DOUBLE_FREE "|" REASON_FREED "|" REASON_FOREIGN);
    free(bb_hide(block));
    return 0;
}

/* Misuse: realloc of a large block that was freed. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(3000000));
    free(block);
    announce(block, REASON_FREED "|" REASON_FOREIGN "|" REASON_INTERIOR);
    bb_hide(realloc(bb_hide(block), 6000000));
    return 0;
}

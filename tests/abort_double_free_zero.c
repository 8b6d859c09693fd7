/* Misuse: double free of a block of size 0. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(bb_hide_size(0)));
    free(block);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

/* Misuse: double free at once. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(100));
    free(block);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

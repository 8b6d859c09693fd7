/* Misuse: double free after frees of other sizes. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(100));
    free(block);
    for (size_t size = 200; size < 20000; size += 100)
        free(malloc(size));
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

/* Misuse: double free of an aligned block. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(aligned_alloc(4096, 8192));
    free(block);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

/* Misuse: double free after one other free. */
#include "abort.h"

int main(void)
{
    void *block = bb_hide(malloc(100)), *other = malloc(100);
    free(block);
    free(other);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

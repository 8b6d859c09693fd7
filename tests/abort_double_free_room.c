/* Misuse: a large pooled block is freed twice, and the second time there is room for it only if others go, itself among them. */
#include "abort.h"

int main(void)
{
    enum { BYTES = 64 << 10 };
    void *other = malloc(BYTES);
    void *block = malloc(BYTES);
    void *kept = bb_hide(block);
    free(other);
    free(block);
    announce(kept, REASON_DOUBLE_FREE);
    free(bb_hide(kept));
    for (int i = 0; i < 8; i++)
        bb_hide(malloc(BYTES)); /* nothing is left to be looked at in the end */
    return 0;
}

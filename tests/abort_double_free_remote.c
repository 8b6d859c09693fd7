/* Misuse: a block is freed by another thread, then by its owner. */
#include "abort.h"

static void *body(void *pointer)
{
    free(bb_hide(pointer));
    return NULL;
}

int main(void)
{
    void *block = malloc(100);
    void *kept = bb_hide(block);
    bb_join(bb_start(body, block));
    announce(kept, REASON_DOUBLE_FREE);
    free(bb_hide(kept));
    return 0;
}

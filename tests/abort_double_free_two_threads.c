/* Misuse: two threads, neither of them the owner, free the same block. */
#include "abort.h"

static void *body(void *pointer)
{
    free(bb_hide(pointer));
    return NULL;
}

int main(void)
{
    void *block = malloc(100);
    announce(block, REASON_DOUBLE_FREE);
    bb_join(bb_start(body, block));
    bb_join(bb_start(body, block));
    return 0;
}

/* Misuse: double free of a block whose owner has ended. */
#include "abort.h"

static void *body(void *unused)
{
    (void)unused;
    return malloc(100);
}

int main(void)
{
    void *block = bb_hide(bb_join(bb_start(body, NULL)));
    free(block);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

/* Misuse: free of an address inside a block, in a thread that then ends. */
#include "abort.h"

static void *body(void *unused)
{
    char *block = malloc(100);
    announce(block + 16, REASON_INTERIOR);
    free(bb_hide(block + 16));
    return unused;
}

int main(void)
{
    bb_join(bb_start(body, NULL));
    return 0;
}

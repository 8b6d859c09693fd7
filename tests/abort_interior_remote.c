/* Misuse: free of an address inside a block of another thread. */
#include "abort.h"

static void *body(void *pointer)
{
    free(malloc(100));
    free(bb_hide(pointer));
    return NULL;
}

int main(void)
{
    char *block = malloc(100);
    announce(block + 16, REASON_INTERIOR);
    bb_join(bb_start(body, block + 16));
    return 0;
}

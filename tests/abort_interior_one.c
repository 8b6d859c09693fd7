/* Misuse: free of a block's address plus 1. */
#include "abort.h"

int main(void)
{
    char *block = malloc(100);
    announce(block + 1, REASON_INTERIOR);
    free(bb_hide(block + 1));
    return 0;
}

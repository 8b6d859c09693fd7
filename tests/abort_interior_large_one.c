/* Misuse: free of a large block's address plus 1. */
#include "abort.h"

int main(void)
{
    char *block = malloc(5000000);
    announce(block + 1, REASON_INTERIOR);
    free(bb_hide(block + 1));
    return 0;
}

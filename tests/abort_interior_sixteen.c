/* Misuse: free of a block's address plus 16. */
#include "abort.h"

int main(void)
{
    char *block = malloc(100);
    announce(block + 16, REASON_INTERIOR);
    free(bb_hide(block + 16));
    return 0;
}

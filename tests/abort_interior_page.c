/* Misuse: free of a block's address plus a page. */
#include "abort.h"

int main(void)
{
    char *block = malloc(20000);
    announce(block + 4096, REASON_INTERIOR);
    free(bb_hide(block + 4096));
    return 0;
}

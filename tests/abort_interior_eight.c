/* Misuse: free of a block's address plus 8. */
#include "abort.h"

int main(void)
{
    char *block = malloc(100);
    announce(block + 8, REASON_INTERIOR);
    free(bb_hide(block + 8));
    return 0;
}

/* Misuse: free of an address inside a large block, some way from its start. */
#include "abort.h"

int main(void)
{
    char *block = malloc(5000000);
    announce(block + 3000000 / 4096 * 4096, REASON_INTERIOR);
    free(bb_hide(block + 3000000 / 4096 * 4096));
    return 0;
}

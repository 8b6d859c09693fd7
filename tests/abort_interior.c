/* Misuse: free of an address in the middle of a small block. */
#include "abort.h"

int main(void)
{
    char *block = malloc(1000);
    announce(block + 500 / 16 * 16, REASON_INTERIOR);
    free(bb_hide(block + 500 / 16 * 16));
    return 0;
}

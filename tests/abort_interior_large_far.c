/* Misuse: free of an address more than 4 GiB inside a block larger than that. */
#include "abort.h"

int main(void)
{
    size_t far = (size_t)5 << 30;
    char *block = malloc(far + 65536);
    if (block == NULL)
        bb_skip("no block of 5 GiB to be had");
    announce(block + far, REASON_INTERIOR);
    free(bb_hide(block + far));
    return 0;
}

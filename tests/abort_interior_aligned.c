/* Misuse: free of an address inside an aligned block, as of a base before it that other allocators have. */
#include "abort.h"

int main(void)
{
    char *block = aligned_alloc(4096, 8192);
    announce(block + 4096 - 16, REASON_INTERIOR);
    free(bb_hide(block + 4096 - 16));
    return 0;
}

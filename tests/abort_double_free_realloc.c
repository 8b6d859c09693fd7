/* Misuse: free of a block that realloc has moved. */
#include "abort.h"

int main(void)
{
    void *block = malloc(100);
    void *kept = bb_hide(block);
    char *moved = realloc(block, 100000);
    CHECK(moved != kept);
    announce(kept, REASON_DOUBLE_FREE);
    free(bb_hide(kept));
    bb_hide(moved);
    return 0;
}

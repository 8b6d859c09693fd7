/* Misuse: double free after malloc_trim returned the block's memory. */
#include "abort.h"
#include <malloc.h>

int main(void)
{
    static void *others[20000];
    for (size_t i = 0; i < BB_COUNT(others); i++)
        others[i] = malloc(1000);
    void *block = bb_hide(others[10000]);
    for (size_t i = 0; i < BB_COUNT(others); i++)
        free(others[i]);
    malloc_trim(0);
    announce(block, REASON_DOUBLE_FREE "|" REASON_FREED "|" REASON_FOREIGN);
    free(bb_hide(block));
    return 0;
}

/* Misuse: double free after so many other frees that the block has left every cache. */
#include "abort.h"

int main(void)
{
    static void *others[50000];
    void *block = bb_hide(malloc(100));
    for (size_t i = 0; i < BB_COUNT(others); i++)
        others[i] = malloc(100);
    free(block);
    for (size_t i = 0; i < BB_COUNT(others); i += 2)
        free(others[i]);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    return 0;
}

/* Misuse: realloc of a block that was freed, and flushed out of every cache by many others. */
#include "abort.h"

int main(void)
{
    static void *others[20000];
    char *block = malloc(100);
    for (size_t i = 0; i < BB_COUNT(others); i++)
        others[i] = malloc(100);
    void *kept = bb_hide(block);
    free(block);
    for (size_t i = 0; i < BB_COUNT(others); i++)
        free(others[i]);
    announce(kept, REASON_FREED);
    bb_hide(realloc(kept, 5000));
    return 0;
}

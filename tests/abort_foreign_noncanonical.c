/* Misuse: free of a value that is no address at all. */
#include "abort.h"

int main(void)
{
    const void *wild = (const void *)(uintptr_t)0xdeadbeefdeadbee0;
    announce(wild, REASON_FOREIGN);
    free(bb_hide(wild));
    return 0;
}

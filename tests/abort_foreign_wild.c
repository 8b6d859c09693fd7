/* Misuse: free of an uninitialised pointer: an address that nothing is at. */
#include "abort.h"

int main(void)
{
    const void *wild = (const void *)(uintptr_t)0x5a5a5a5a5a50;
    announce(wild, REASON_FOREIGN);
    free(bb_hide(wild));
    return 0;
}

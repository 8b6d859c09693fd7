/* Misuse: free of an address on the stack. */
#include "abort.h"

int main(void)
{
    _Alignas(16) char buffer[256];
    memset(buffer, 0, sizeof(buffer));
    announce(buffer + 64, REASON_FOREIGN);
    free(bb_hide(buffer + 64));
    return 0;
}

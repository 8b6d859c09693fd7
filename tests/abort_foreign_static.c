/* Misuse: free of a static object. */
#include "abort.h"

static _Alignas(16) char buffer[256];

int main(void)
{
    announce(buffer, REASON_FOREIGN);
    free(bb_hide(buffer));
    return 0;
}

/* Misuse: malloc_usable_size of an address on the stack. */
#include "abort.h"
#include <malloc.h>

int main(void)
{
    _Alignas(16) char buffer[256];
    memset(buffer, 0, sizeof(buffer));
    announce(buffer + 64, REASON_FOREIGN);
    bb_note("%zu", malloc_usable_size(bb_hide(buffer + 64)));
    return 0;
}

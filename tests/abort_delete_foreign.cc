/* Misuse: delete[] of an array on the stack. */
#include "abort.h"
#include <new>

int main()
{
    alignas(16) char buffer[256] = {};
    announce(buffer + 64, REASON_FOREIGN);
    ::operator delete[](bb_hide(buffer + 64));
    return 0;
}

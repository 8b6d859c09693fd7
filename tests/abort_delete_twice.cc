/* Misuse: operator delete twice. */
#include "abort.h"
#include <new>

int main()
{
    void *block = bb_hide(::operator new(48));
    ::operator delete(bb_hide(block));
    announce(block, REASON_DOUBLE_FREE);
    ::operator delete(bb_hide(block));
    return 0;
}

/* Misuse: free, in another thread, of an address where a block could start, but none was ever handed out. */
#include "abort_threads.h"

int main(void)
{
    /* Small blocks are handed out upwards from a multiple of 32 KiB: this one would be among the last of its neighbours. */
    enum { BYTES = 16, NEIGHBOURHOOD = 32 << 10 };
    char *block = malloc(BYTES);
    char *never = block - (uintptr_t)block % NEIGHBOURHOOD + NEIGHBOURHOOD - 40 * BYTES;
    announce(never, REASON_INTERIOR);
    bb_join(bb_start(free_in_thread, never));
    for (int i = 0; i < 1000; i++)
        bb_hide(malloc(BYTES));
    return 0;
}

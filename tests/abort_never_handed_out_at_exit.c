/* Misuse: free, in another thread, of an address that was never handed out; its neighbours' thread does nothing more until the end. */
#include "abort_threads.h"

int main(void)
{
    enum { BYTES = 48, NEIGHBOURHOOD = 32 << 10 };
    char *block = block_of_pausing_thread(BYTES);
    char *never = block - (uintptr_t)block % NEIGHBOURHOOD + (NEIGHBOURHOOD / BYTES - 40) * BYTES;
    announce(never, REASON_INTERIOR);
    bb_join(bb_start(free_in_thread, never));
    return 0;
}

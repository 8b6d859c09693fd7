/* Misuse: another thread's block is freed by two threads, one of which ends with the process. */
#include "abort_threads.h"

int main(void)
{
    char *block = block_of_pausing_thread(48);
    announce(block, REASON_DOUBLE_FREE);
    free(bb_hide(block));
    bb_join(bb_start(free_in_thread, block));
    return 0;
}

/* Misuse: a block that has been free for a while is freed by another thread, and then its owner gives back what it has not used. */
#include "abort_threads.h"
#include <malloc.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Blocks of 16 KiB are everybody's: the thread looks at the clock, and not at what others gave back to it. */
static void pass_time(int64_t ms)
{
    const int64_t end = now_ms() + ms;
    while (now_ms() < end) {
        void *blocks[10];
        for (size_t i = 0; i < BB_COUNT(blocks); i++)
            blocks[i] = malloc(16 << 10);
        for (size_t i = 0; i < BB_COUNT(blocks); i++)
            free(bb_hide(blocks[i]));
    }
}

static void *trim(void *unused)
{
    malloc_trim(0);
    return unused;
}

int main(void)
{
    pass_time(30);
    void *block = malloc(880);
    void *kept = bb_hide(block);
    announce(kept, REASON_DOUBLE_FREE);
    free(block);
    bb_join(bb_start(trim, NULL));
    pass_time(170);
    bb_join(bb_start(free_in_thread, kept));
    pass_time(300);
    return 0;
}

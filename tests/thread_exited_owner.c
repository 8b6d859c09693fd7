/* Blocks of a thread that has ended are freed by another: the memory comes back. */
#include "thread_owner.h"

static void *owner(void *unused)
{
    (void)unused;
    return owner_allocate();
}

int main(void)
{
    size_t before = bb_rss_bytes();
    for (int round = 0; round < 2; round++) {
        struct owned *chain = bb_join(bb_start(owner, NULL));
        bb_join(bb_start(owner_free_all, chain));
        owner_expect_returned(before);
    }
    return 0;
}

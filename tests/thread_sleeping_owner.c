/* Blocks of a thread that sleeps are freed by another: the memory comes back, and the owner finds its heap in order. */
#include "thread_owner.h"

static pthread_barrier_t barrier;
static struct owned *chain;

static void *owner(void *unused)
{
    chain = owner_allocate();
    pthread_barrier_wait(&barrier); /* handed over */
    pthread_barrier_wait(&barrier); /* asleep until it is checked */
    owner_free_all(owner_allocate());
    return unused;
}

int main(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
    size_t before = bb_rss_bytes();
    pthread_t sleeper = bb_start(owner, NULL);
    pthread_barrier_wait(&barrier);
    bb_join(bb_start(owner_free_all, chain));
    owner_expect_returned(before);
    pthread_barrier_wait(&barrier);
    bb_join(sleeper);
    owner_expect_returned(before);
    return 0;
}

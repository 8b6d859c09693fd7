/* malloc_trim is process-wide: what other threads, now asleep, have allocated and freed is returned too, out of their caches. */
#include "memory_returned.h"

enum { THREADS = 4 };
static pthread_barrier_t barrier;

static void *body(void *unused)
{
    static const size_t sizes[] = {200, 1000, 48, 3000, 520, 8000, 70000};
    struct held *chain = returned_take(sizes, BB_COUNT(sizes), 64 * BB_MIB);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    returned_give(chain);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* asleep while main looks */
    return unused;
}

int main(void)
{
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    size_t before = bb_rss_bytes();
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = bb_start(body, NULL);
    pthread_barrier_wait(&barrier);
    size_t full = bb_rss_bytes();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    malloc_trim(0);
    returned_check("sleeping threads", before, full);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        bb_join(threads[i]);
    return 0;
}

/* malloc_trim returns 0 or 1, keeps live blocks, may be called at any time and by several threads at once. */
#include "blackbox.h"
#include <malloc.h>

enum { COUNT = 5000 };

static void *work(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    char *blocks[COUNT / 10] = {0};
    size_t sizes[COUNT / 10] = {0};
    for (int round = 0; round < 20000; round++) {
        size_t i = bb_random(&state) % BB_COUNT(blocks);
        if (blocks[i] != NULL) {
            CHECK(bb_holds(blocks[i], sizes[i], i));
            free(blocks[i]);
        }
        sizes[i] = bb_random(&state) % (round % 100 == 0 ? 300000 : 3000);
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL);
        bb_fill(blocks[i], sizes[i], i);
        if (round % 500 == 0) {
            int answer = malloc_trim(round % 1000 == 0 ? 0 : 65536);
            CHECK(answer == 0 || answer == 1, "malloc_trim = %d", answer);
        }
    }
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return NULL;
}

int main(void)
{
    malloc_trim(0);
    malloc_trim(SIZE_MAX);
    pthread_t threads[3];
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        threads[i] = bb_start(work, (void *)(i + 1));
    for (size_t i = 0; i < BB_COUNT(threads); i++)
        bb_join(threads[i]);
    malloc_trim(0);
    return 0;
}

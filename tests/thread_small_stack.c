/* Threads with the smallest stack the C library allows (16 KiB): every kind of allocation, the slow paths above all. */
#include "blackbox.h"
#include <limits.h>
#include <malloc.h>

static void *body(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    char *blocks[64] = {0};
    size_t sizes[64] = {0};
    for (int i = 0; i < 4000; i++) {
        size_t slot = bb_random(&state) % 64, size = bb_random(&state) % (i % 64 == 0 ? 3000000 : 3000);
        /* No formatted output on this stack. */
        if (blocks[slot] != NULL && !bb_holds(blocks[slot], sizes[slot] < 4096 ? sizes[slot] : 4096, slot))
            abort();
        if (i % 3 == 0) {
            free(blocks[slot]);
            blocks[slot] = i % 2 ? malloc(size) : calloc(1, size);
        } else if (i % 100 == 1) {
            free(blocks[slot]);
            blocks[slot] = memalign((size_t)64 << i % 11, size);
        } else {
            blocks[slot] = realloc(blocks[slot], size + 1);
        }
        if (blocks[slot] == NULL)
            abort();
        sizes[slot] = size;
        bb_fill(blocks[slot], size < 4096 ? size : 4096, slot);
    }
    malloc_trim(0);
    for (size_t i = 0; i < 64; i++)
        free(blocks[i]);
    return NULL;
}

int main(void)
{
    size_t stack = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    if (stack < 16384)
        stack = 16384;
    bb_note("stacks of %zu bytes", stack);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, stack) == 0);
    for (size_t round = 0; round < 20; round++) {
        pthread_t threads[4];
        for (size_t i = 0; i < 4; i++) {
            int error = pthread_create(&threads[i], &attributes, body, (void *)(round * 4 + i + 1));
            CHECK(error == 0, "pthread_create with %zu bytes: %s", stack, strerror(error));
        }
        for (size_t i = 0; i < 4; i++)
            bb_join(threads[i]);
    }
    return 0;
}

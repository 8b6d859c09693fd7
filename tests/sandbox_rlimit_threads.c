/*
 * Threads are created while memory is exhausted, until that fails too: their heaps cannot be made, their destructors run all the
 * same. Every answer is a block or ENOMEM, never a crash; with memory freed, threads work again.
 */
#include "sandbox_rlimit.h"

enum { THREADS = 200 };
static pthread_key_t key;

static void late(void *block)
{
    free(block);
    errno = 0;
    block = malloc(200);
    CHECK(block != NULL || errno == ENOMEM, "errno %d", errno);
    free(block);
}

static void *body(void *argument)
{
    void *blocks[100];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        errno = 0;
        blocks[i] = i % 10 == 0 ? calloc(1, i * 1000 + 1) : malloc(i * 20);
        CHECK(blocks[i] != NULL || errno == ENOMEM, "errno %d", errno);
        if (blocks[i] != NULL)
            memset(blocks[i], 1, i * 20);
    }
    pthread_setspecific(key, malloc(50));
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return argument;
}

static size_t create_threads(void)
{
    pthread_attr_t attributes;
    static pthread_t threads[THREADS];
    size_t count = 0;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 64 * BB_KIB) == 0);
    while (count < THREADS) {
        int error = pthread_create(&threads[count], &attributes, body, NULL);
        if (error != 0) {
            CHECK(error == EAGAIN || error == ENOMEM, "pthread_create: %d", error);
            break;
        }
        count++;
    }
    for (size_t i = 0; i < count; i++)
        bb_join(threads[i]);
    return count;
}

int main(void)
{
    CHECK(pthread_key_create(&key, late) == 0);
    for (int round = 0; round < 3; round++) {
        size_t large_total = 0, small_total = 0;
        struct taken *large = rlimit_take(BB_MIB, BB_GIB, &large_total);
        CHECK(large_total < BB_GIB, "run me by sandbox_rlimit_threads.sh, under a limit");
        struct taken *small = rlimit_take(64, BB_GIB, &small_total);
        size_t count = create_threads();
        bb_note("%zu threads while memory was exhausted", count);
        rlimit_give(small);
        rlimit_give(large);
        malloc_trim(0);
        count = create_threads();
        bb_note("%zu threads afterwards", count);
    }
    return 0;
}

/* free leaves errno alone: one block, many of a class (flushes), large blocks (unmapped or purged), NULL, other threads' blocks. */
#include "blackbox.h"

enum { COUNT = 20000, SENTINEL = 12345 };
static void *blocks[COUNT];

static void free_all(size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        errno = SENTINEL;
        free(blocks[i]);
        CHECK(errno == SENTINEL, "%s, block %zu: errno became %d", what, i, errno);
    }
}

static void allocate(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, size < 4096 ? size : 4096);
    }
}

static void *allocate_elsewhere(void *size)
{
    allocate(COUNT, (size_t)(uintptr_t)size);
    return NULL;
}

int main(void)
{
    blocks[0] = NULL;
    free_all(1, "NULL");
    static const size_t sizes[] = {1, 16, 100, 1024, 4096, 10000};
    for (size_t i = 0; i < BB_COUNT(sizes); i++) {
        allocate(COUNT, sizes[i]);
        free_all(COUNT, "small");
        bb_join(bb_start(allocate_elsewhere, (void *)(uintptr_t)sizes[i]));
        free_all(COUNT, "of another thread");
    }
    allocate(1000, 70000);
    free_all(1000, "70 kB");
    allocate(200, 1000000);
    free_all(200, "1 MB");
    allocate(20, 40000000);
    free_all(20, "40 MB");
    return 0;
}

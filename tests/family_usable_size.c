/* malloc_usable_size: 0 for NULL, at least the size asked for, the same when asked again, and all of it may be written. */
#include "blackbox.h"
#include <malloc.h>

enum { NEIGHBOURS = 5 };

static void check_size(size_t size)
{
    char *blocks[NEIGHBOURS];
    size_t usable[NEIGHBOURS];
    for (int i = 0; i < NEIGHBOURS; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        usable[i] = malloc_usable_size(blocks[i]);
        CHECK(usable[i] >= size, "%zu bytes: usable %zu", size, usable[i]);
        bb_fill(blocks[i], usable[i], (uint64_t)i);
    }
    for (int i = 0; i < NEIGHBOURS; i++) {
        CHECK(malloc_usable_size(blocks[i]) == usable[i]);
        CHECK(bb_holds(blocks[i], usable[i], (uint64_t)i), "%zu bytes: a neighbour wrote into it", size);
    }
    /* Growing to the usable size changes nothing but may move; the contents stay. */
    blocks[0] = realloc(blocks[0], usable[0] > 0 ? usable[0] : 1);
    CHECK(blocks[0] != NULL && bb_holds(blocks[0], usable[0], 0), "%zu bytes", size);
    for (int i = 0; i < NEIGHBOURS; i++)
        free(blocks[i]);
}

int main(void)
{
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 0; size <= 9000; size++)
        check_size(size);
    for (size_t size = 9000; size < 4 * BB_MIB; size += size / 19)
        check_size(size);
    for (size_t size = 1024; size <= 4 * BB_MIB; size *= 2) {
        check_size(size - 1);
        check_size(size);
        check_size(size + 1);
    }
    return 0;
}

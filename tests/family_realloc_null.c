/* realloc(NULL, n) is malloc(n), for every size. */
#include "blackbox.h"

int main(void)
{
    for (size_t size = 1; size < 8 * BB_MIB; size += size / 3 + 1) {
        char *block = realloc(NULL, size);
        CHECK(block != NULL, "%zu", size);
        CHECK(bb_aligned(block, size >= 16 ? 16 : 8));
        bb_fill(block, size, size);
        char *array = reallocarray(NULL, size, 1);
        CHECK(array != NULL && array != block);
        bb_fill(array, size, size + 1);
        CHECK(bb_holds(block, size, size), "%zu", size);
        free(block);
        CHECK(bb_holds(array, size, size + 1), "%zu", size);
        free(array);
    }
    return 0;
}

/* A realloc that fails leaves the block as it was: NULL, ENOMEM, contents kept, block still live. */
#include "blackbox.h"

int main(void)
{
    static const size_t sizes[] = {0, 1, 16, 100, 1000, 5000, 40000, 100000, 1000000, 5000000};
    for (size_t i = 0; i < BB_COUNT(sizes); i++) {
        size_t size = sizes[i];
        char *block = malloc(size);
        CHECK(block != NULL);
        bb_fill(block, size, i);

        errno = 0;
        CHECK(realloc(block, bb_hide_size((size_t)PTRDIFF_MAX + 1)) == NULL && errno == ENOMEM, "%zu", size);
        errno = 0;
        CHECK(realloc(block, bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM, "%zu", size);
        errno = 0;
        CHECK(realloc(block, bb_hide_size(SIZE_MAX - 4096)) == NULL && errno == ENOMEM, "%zu", size);
        errno = 0;
        CHECK(realloc(block, bb_hide_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM, "%zu", size);
        errno = 0;
        CHECK(reallocarray(block, bb_hide_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM, "%zu", size);

        CHECK(bb_holds(block, size, i), "%zu bytes changed", size);
        char *other = malloc(size);
        CHECK(other != block, "a block that realloc could not grow was freed");
        free(other);
        block = realloc(block, size + 10);
        CHECK(block != NULL && bb_holds(block, size, i), "%zu", size);
        free(block);
    }
    return 0;
}

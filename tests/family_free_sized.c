/* C23: free_sized and free_aligned_sized free what malloc, calloc, realloc and the aligned functions gave; NULL is allowed. */
#include "blackbox.h"

typedef void free_sized_function(void *, size_t);
typedef void free_aligned_sized_function(void *, size_t, size_t);

int main(void)
{
    /* By name: the C library of today does not declare them. */
    free_sized_function *sized = (free_sized_function *)bb_module_symbol(RTLD_DEFAULT, "free_sized");
    free_aligned_sized_function *aligned =
        (free_aligned_sized_function *)bb_module_symbol(RTLD_DEFAULT, "free_aligned_sized");

    sized(NULL, 0);
    sized(NULL, 100);
    aligned(NULL, 64, 100);

    size_t before = bb_rss_bytes();
    for (int round = 0; round < 40; round++) {
        for (size_t size = 0; size < 3 * BB_MIB; size += size / 3 + 1) {
            char *block = malloc(size);
            CHECK(block != NULL);
            bb_fill(block, size, size);
            errno = EDOM;
            sized(block, size);
            block = calloc(1, size);
            CHECK(block != NULL && bb_is_zero(block, size), "%zu", size);
            sized(block, size);
            block = realloc(malloc(10), size + 1);
            CHECK(block != NULL);
            sized(block, size + 1);
            for (size_t alignment = 8; alignment <= 65536; alignment *= 8) {
                block = aligned_alloc(alignment, size);
                CHECK(block != NULL);
                aligned(block, alignment, size);
            }
            CHECK(errno == EDOM, "errno became %d", errno);
        }
    }
    size_t after = bb_rss_bytes();
    CHECK(after < before + 100 * BB_MIB, "resident %zu, then %zu: they do not free", before, after);
    return 0;
}

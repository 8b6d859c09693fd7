/* realloc(p, 0) and reallocarray(p, 0, n) free p and return NULL, as in glibc; nothing leaks. */
#include "blackbox.h"

static void repeat(size_t size, size_t times)
{
    size_t before = bb_rss_bytes();
    for (size_t i = 0; i < times; i++) {
        char *block = malloc(size);
        CHECK(block != NULL);
        memset(block, (int)i, size);
        void *result = i % 2 ? realloc(block, bb_hide_size(0)) : reallocarray(block, bb_hide_size(0), 8);
        CHECK(result == NULL, "%zu bytes: %p", size, result);
    }
    size_t after = bb_rss_bytes();
    CHECK(after < before + 64 * BB_MIB, "%zu bytes %zu times: resident %zu, then %zu", size, times, before, after);
}

int main(void)
{
    repeat(24, 8u << 20);
    repeat(4096, 100000);
    repeat(300 * BB_KIB, 2000);
    repeat(3 * BB_MIB, 200);

    void *block = malloc(10);
    CHECK(reallocarray(block, 8, bb_hide_size(0)) == NULL);
    return 0;
}

/* calloc gives zeros, above all where dirty blocks of the same size were freed just before; all classes and large runs. */
#include "blackbox.h"

enum { MOST = 64 };

static void check_size(size_t size, size_t count)
{
    void *blocks[MOST];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            CHECK((blocks[i] = malloc(size)) != NULL);
            memset(blocks[i], 0xa5, size);
        }
        for (size_t i = 0; i < count; i++)
            free(blocks[i]);
        for (size_t i = 0; i < count; i++) {
            blocks[i] = round == 0 ? calloc(1, size) : calloc(size, 1);
            CHECK(blocks[i] != NULL && bb_is_zero(blocks[i], size), "%zu bytes, block %zu", size, i);
            memset(blocks[i], 0x5a, size);
        }
        for (size_t i = count; i-- > 0;)
            free(blocks[i]);
    }
}

int main(void)
{
    for (size_t size = 1; size < 70000; size += size / 24 + 1)
        check_size(size, size < 4000 ? MOST : 12);
    for (size_t size = 70000; size < 40000000; size += size / 3)
        check_size(size, 3);

    /* Part of a dirty large run, and a run put together from dirty pieces. */
    for (int round = 0; round < 4; round++) {
        char *large = malloc(8 * BB_MIB);
        CHECK(large != NULL);
        memset(large, 0xff, 8 * BB_MIB);
        free(large);
        char *pieces[8];
        for (size_t i = 0; i < 8; i++) {
            pieces[i] = calloc(1, BB_MIB - 4096 * i);
            CHECK(pieces[i] != NULL && bb_is_zero(pieces[i], BB_MIB - 4096 * i), "piece %zu", i);
            memset(pieces[i], 0xee, BB_MIB - 4096 * i);
        }
        for (size_t i = 0; i < 8; i++)
            free(pieces[i]);
        large = calloc(8, BB_MIB);
        CHECK(large != NULL && bb_is_zero(large, 8 * BB_MIB));
        memset(large, 0xdd, 8 * BB_MIB);
        /* Shrunk in place: the tail is dirty and free. */
        large = realloc(large, BB_MIB);
        CHECK(large != NULL);
        char *tail = calloc(6, BB_MIB);
        CHECK(tail != NULL && bb_is_zero(tail, 6 * BB_MIB));
        free(tail);
        free(large);
    }
    return 0;
}

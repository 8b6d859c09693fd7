/*
 * An alignment that is not a power of two: posix_memalign returns EINVAL and touches neither errno nor the pointer (which also
 * must be a multiple of a pointer's size); aligned_alloc gives NULL and EINVAL.
 */
#include "blackbox.h"

int main(void)
{
    static const size_t bad[] = {0,  1,  2,  3,  4,   5,    7,    9,     12,       17,
                                 24, 48, 63, 65, 100, 4095, 4097, 12288, SIZE_MAX, SIZE_MAX / 2};
    static const size_t sizes[] = {0, 1, 16, 4096, 1000000, SIZE_MAX};
    for (size_t i = 0; i < BB_COUNT(bad); i++) {
        for (size_t j = 0; j < BB_COUNT(sizes); j++) {
            void *block = &errno;
            errno = EDOM;
            int error = posix_memalign(&block, bb_hide_size(bad[i]), bb_hide_size(sizes[j]));
            CHECK(error == EINVAL, "posix_memalign(%zu, %zu) = %d", bad[i], sizes[j], error);
            CHECK(errno == EDOM, "posix_memalign(%zu, %zu) set errno to %d", bad[i], sizes[j], errno);
            CHECK(block == &errno, "posix_memalign(%zu, %zu) changed the pointer", bad[i], sizes[j]);
        }
    }
    for (size_t i = 0; i < BB_COUNT(bad); i++) {
        if (bad[i] != 0 && (bad[i] & (bad[i] - 1)) == 0)
            continue; /* 1, 2 and 4 are good enough for aligned_alloc */
        errno = 0;
        void *block = aligned_alloc(bb_hide_size(bad[i]), bb_hide_size(48));
        CHECK(block == NULL, "aligned_alloc(%zu) gave %p", bad[i], block);
        CHECK(errno == EINVAL, "aligned_alloc(%zu): errno %d", bad[i], errno);
    }
    for (size_t alignment = 1; alignment <= 8; alignment *= 2) {
        void *block = aligned_alloc(bb_hide_size(alignment), 40);
        CHECK(block != NULL && bb_aligned(block, 8), "aligned_alloc(%zu) gave %p", alignment, block);
        free(block);
    }
    return 0;
}

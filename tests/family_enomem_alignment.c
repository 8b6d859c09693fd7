/* An alignment that cannot be met, with a size that could: NULL and ENOMEM (or EINVAL where even rounding it up overflows). */
#include "blackbox.h"
#include <malloc.h>

int main(void)
{
    /* Powers of two beyond the user's half of the address space. */
    for (size_t alignment = (size_t)1 << 62; alignment != 0; alignment *= 2) {
        errno = 0;
        CHECK(memalign(bb_hide_size(alignment), 16) == NULL && errno == ENOMEM, "memalign(0x%zx): errno %d", alignment,
              errno);
        errno = 0;
        CHECK(aligned_alloc(bb_hide_size(alignment), 16) == NULL && errno == ENOMEM, "aligned_alloc(0x%zx): errno %d",
              alignment, errno);
        void *block = &alignment;
        CHECK(posix_memalign(&block, bb_hide_size(alignment), 16) == ENOMEM, "posix_memalign(0x%zx)", alignment);
        CHECK(block == &alignment);
    }

    /* No power of two above these: glibc's memalign says EINVAL. */
    static const size_t unrepresentable[] = {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX - 4095};
    for (size_t i = 0; i < BB_COUNT(unrepresentable); i++) {
        errno = 0;
        CHECK(memalign(bb_hide_size(unrepresentable[i]), 16) == NULL, "0x%zx", unrepresentable[i]);
        CHECK(errno == EINVAL || errno == ENOMEM, "0x%zx: errno %d", unrepresentable[i], errno);
    }
    return 0;
}

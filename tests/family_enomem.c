/*
 * Every function of the family answers every impossible size with NULL and ENOMEM: beyond PTRDIFF_MAX, beyond the address
 * space, and where its own rounding up to an alignment or a page overflows.
 */
#include "blackbox.h"
#include <malloc.h>

#define REFUSED(call)                                                               \
    do {                                                                            \
        errno = 0;                                                                  \
        void *block_ = (call);                                                      \
        CHECK(block_ == NULL, "%s with size 0x%zx gave %p", #call, size, block_);   \
        CHECK(errno == ENOMEM, "%s with size 0x%zx: errno %d", #call, size, errno); \
    } while (0)

static void refuse(size_t size)
{
    REFUSED(malloc(size));
    REFUSED(calloc(1, size));
    REFUSED(calloc(size, 1));
    REFUSED(realloc(NULL, size));
    REFUSED(reallocarray(NULL, size, 1));
    REFUSED(valloc(size));
    REFUSED(pvalloc(size));
    for (size_t alignment = 8; alignment <= BB_GIB; alignment *= 2) {
        REFUSED(memalign(alignment, size));
        REFUSED(aligned_alloc(alignment, size));
        void *block = &size;
        int error = posix_memalign(&block, alignment, size);
        CHECK(error == ENOMEM, "posix_memalign(0x%zx, 0x%zx) = %d", alignment, size, error);
        CHECK(block == &size, "posix_memalign(0x%zx, 0x%zx) changed the pointer though it failed", alignment, size);
    }
    REFUSED(memalign(bb_hide_size(3), size));
}

int main(void)
{
    static const size_t sizes[] = {
        (size_t)PTRDIFF_MAX,
        (size_t)PTRDIFF_MAX + 1,
        (size_t)PTRDIFF_MAX - 1,
        (size_t)PTRDIFF_MAX - 65535,
        (size_t)PTRDIFF_MAX / 2,
        SIZE_MAX,
        SIZE_MAX - 1,
        SIZE_MAX - 7,
        SIZE_MAX - 15,
        SIZE_MAX - 16,
        SIZE_MAX - 31,
        SIZE_MAX - 63,
        SIZE_MAX - 4094,
        SIZE_MAX - 4095,
        SIZE_MAX - 4096,
        SIZE_MAX - 4097,
        SIZE_MAX - 8191,
        SIZE_MAX - 65535,
        SIZE_MAX - 65536,
        SIZE_MAX - ((size_t)2 << 20),
        SIZE_MAX - ((size_t)1 << 30),
        SIZE_MAX / 2 + 4096,
        SIZE_MAX - SIZE_MAX / 4,
    };
    for (size_t i = 0; i < BB_COUNT(sizes); i++)
        refuse(bb_hide_size(sizes[i]));

    /* Products. */
    size_t size = 0;
    REFUSED(calloc(bb_hide_size(SIZE_MAX), bb_hide_size(SIZE_MAX)));
    REFUSED(calloc(bb_hide_size(SIZE_MAX / 8 + 1), 8));
    REFUSED(calloc(bb_hide_size(SIZE_MAX / 8 + 2), 8));
    REFUSED(calloc(bb_hide_size((size_t)1 << 32), (size_t)1 << 32));
    REFUSED(calloc(bb_hide_size(((size_t)1 << 32) + 1), ((size_t)1 << 32) - 1));

    /* After all this nothing is broken. */
    char *block = malloc(1000);
    CHECK(block != NULL);
    bb_fill(block, 1000, 1);
    CHECK(bb_holds(block, 1000, 1));
    free(block);
    return 0;
}

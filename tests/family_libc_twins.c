/* glibc's second names (__libc_malloc and so on) are the same allocator: blocks pass freely between both sets of names. */
#include "blackbox.h"

#define TWIN(type, name) type name##_twin = (type)bb_module_symbol(RTLD_DEFAULT, #name)

typedef void *allocate_function(size_t);
typedef void *array_function(size_t, size_t);
typedef void *resize_function(void *, size_t);
typedef void release_function(void *);
typedef int aligned_function(void **, size_t, size_t);

int main(void)
{
    TWIN(allocate_function *, __libc_malloc);
    TWIN(array_function *, __libc_calloc);
    TWIN(resize_function *, __libc_realloc);
    TWIN(release_function *, __libc_free);
    TWIN(array_function *, __libc_memalign);
    TWIN(allocate_function *, __libc_valloc);
    TWIN(allocate_function *, __libc_pvalloc);
    /* glibc hides the name __posix_memalign from programs; a replacement exports it. */
    aligned_function *posix_twin = (aligned_function *)dlsym(RTLD_DEFAULT, "__posix_memalign");
    release_function *cfree_twin = (release_function *)dlsym(RTLD_DEFAULT, "__libc_cfree");

    for (size_t size = 1; size < 2 * BB_MIB; size += size / 2 + 1) {
        char *block = __libc_malloc_twin(size);
        CHECK(block != NULL && bb_aligned(block, size >= 16 ? 16 : 8));
        bb_fill(block, size, size);
        block = realloc(block, size + 100);
        CHECK(block != NULL && bb_holds(block, size, size), "%zu", size);
        block = __libc_realloc_twin(block, size + 1000);
        CHECK(block != NULL && bb_holds(block, size, size), "%zu", size);
        free(block);

        block = __libc_calloc_twin(2, size);
        CHECK(block != NULL && bb_is_zero(block, 2 * size), "%zu", size);
        memset(block, 1, 2 * size);
        free(block);
        block = malloc(size);
        memset(block, 1, size);
        __libc_free_twin(block);

        block = __libc_memalign_twin(256, size);
        CHECK(block != NULL && bb_aligned(block, 256));
        free(block);
        block = __libc_valloc_twin(size);
        CHECK(block != NULL && bb_aligned(block, 4096));
        free(block);
        block = __libc_pvalloc_twin(size);
        CHECK(block != NULL && bb_aligned(block, 4096));
        __libc_free_twin(block);
        if (posix_twin != NULL) {
            void *aligned = NULL;
            CHECK(posix_twin(&aligned, 128, size) == 0 && bb_aligned(aligned, 128));
            free(aligned);
        }
        if (cfree_twin != NULL)
            cfree_twin(malloc(size));
    }
    errno = 0;
    CHECK(__libc_malloc_twin(bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(__libc_memalign_twin(64, bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(__libc_pvalloc_twin(bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    return 0;
}

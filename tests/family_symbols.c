/* Every entry point of the family, of glibc's twins and of the C++ operators comes from the library that defines malloc. */
#include "blackbox.h"

static const char *const names[] = {
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "pvalloc",
    "cfree",
    "malloc_usable_size",
    "free_sized",
    "free_aligned_sized",
    "__libc_malloc",
    "__libc_free",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "__libc_valloc",
    "__libc_pvalloc",
    "__posix_memalign",
    "malloc_trim",
    "mallopt",
    "malloc_info",
    "malloc_stats",
    "mallinfo",
    "mallinfo2",
    /* operator new and new[]: plain, nothrow, aligned, aligned nothrow */
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    /* operator delete and delete[]: plain, nothrow, sized, aligned, sized aligned, aligned nothrow */
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

int main(void)
{
    int missing = 0;
    const char *home = bb_malloc_file();
    CHECK(home != NULL);
    for (size_t i = 0; i < BB_COUNT(names); i++) {
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        const char *file = symbol != NULL ? bb_file_of(symbol) : NULL;
        if (file == NULL || !bb_same_file(file, home)) {
            bb_note("%s: %s", names[i], file != NULL ? file : "missing");
            missing++;
        }
    }
    CHECK(missing == 0, "%d entry points are not in %s", missing, home);
    return 0;
}

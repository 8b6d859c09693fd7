/* valloc and pvalloc: page alignment; pvalloc also rounds the size up to whole pages. */
#include "blackbox.h"
#include <malloc.h>

int main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 0; size < 3 * BB_MIB; size += size / 2 + 1) {
        char *plain = valloc(size), *rounded = pvalloc(size);
        CHECK(plain != NULL && rounded != NULL, "%zu", size);
        CHECK(bb_aligned(plain, page) && bb_aligned(rounded, page), "%zu: %p %p", size, (void *)plain, (void *)rounded);
        size_t pages = (size + page - 1) / page * page;
        CHECK(malloc_usable_size(rounded) >= pages, "pvalloc(%zu): usable %zu", size, malloc_usable_size(rounded));
        bb_fill(plain, size, 1);
        bb_fill(rounded, pages, 2);
        CHECK(bb_holds(plain, size, 1) && bb_holds(rounded, pages, 2), "%zu", size);
        free(plain);
        free(rounded);
    }
    return 0;
}

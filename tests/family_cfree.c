/* cfree, which old binaries still call, is free; and it belongs to the same library as malloc. */
#include "blackbox.h"

int main(void)
{
    void (*release)(void *) = (void (*)(void *))bb_module_symbol(RTLD_DEFAULT, "cfree");
    const char *file = bb_file_of((void *)release);
    CHECK(file != NULL && bb_same_file(file, bb_malloc_file()), "cfree comes from %s", file);
    release(NULL);
    size_t before = bb_rss_bytes();
    for (size_t i = 0; i < 300000; i++) {
        char *block = malloc(1000);
        CHECK(block != NULL);
        memset(block, 1, 1000);
        release(block);
    }
    CHECK(bb_rss_bytes() < before + 50 * BB_MIB, "cfree does not free");
    return 0;
}

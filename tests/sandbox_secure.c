/*
 * A program linked with -lquarry, for sandbox_secure.sh, which makes it run with more rights than its caller. LD_PRELOAD is
 * ignored then, so linking is the only way in.
 */
#include "blackbox.h"
#include <sys/auxv.h>

int main(int argc, char **argv)
{
    const char *file = bb_malloc_file();
    CHECK(file != NULL && strstr(file, "libquarry") != NULL, "malloc comes from %s", file);
    if (argc > 1 && strcmp(argv[1], "secure") == 0 && getauxval(AT_SECURE) == 0)
        bb_skip("the kernel did not make this a privileged program (nosuid file system?)");
    for (size_t i = 1; i < 1000; i++) {
        char *block = malloc(i);
        CHECK(block != NULL);
        bb_fill(block, i, i);
        CHECK(bb_holds(block, i, i));
        free(block);
    }
    return 0;
}

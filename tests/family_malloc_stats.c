/* malloc_stats writes something to stderr and leaves the heap usable. */
#include "blackbox.h"
#include <malloc.h>
#include <sys/mman.h>

int main(void)
{
    int file = memfd_create("stderr", MFD_CLOEXEC);
    int kept = dup(STDERR_FILENO);
    CHECK(file >= 0 && kept >= 0);
    void *block = malloc(1000);
    CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
    malloc_stats();
    fflush(stderr);
    CHECK(dup2(kept, STDERR_FILENO) == STDERR_FILENO);
    off_t length = lseek(file, 0, SEEK_CUR);
    CHECK(length > 0, "malloc_stats wrote nothing");
    free(block);
    return 0;
}

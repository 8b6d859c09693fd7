/* Misuse: realloc of memory that mmap gave. */
#include "abort.h"
#include <sys/mman.h>

int main(void)
{
    char *mapping = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mapping != MAP_FAILED);
    announce(mapping, REASON_FOREIGN);
    bb_hide(realloc(bb_hide(mapping), 2 << 20));
    return 0;
}

/* malloc in an IFUNC resolver of a linked library, which the loader relocates before a preloaded one: see the .sh beside. */
#include "blackbox.h"

int ifunc_library_chosen(void);
void *ifunc_library_block(void);

int main(void)
{
    CHECK(ifunc_library_chosen() == 1);
    CHECK(ifunc_library_block() != NULL);
    free(ifunc_library_block());
    return 0;
}

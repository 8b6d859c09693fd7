/* Misuse: of two references to a block, three are dropped at once. */
#include "abort.h"
#include "quarry/ref.h"

int main(void)
{
    char *block = malloc(100);
    announce(block + 7, "more often than");
    CHECK(qy_retain(block) == 0);
    qy_release_n(bb_hide(block + 7), 3);
    return 0;
}

/* Misuse: of two references to a block, three are dropped. */
#include "abort.h"
#include "quarry/ref.h"

int main(void)
{
    char *block = malloc(100);
    announce(block, REASON_DOUBLE_FREE);
    CHECK(qy_retain(block) == 0);
    qy_release(bb_hide(block + 10));
    qy_release(bb_hide(block + 20));
    qy_release(bb_hide(block));
    return 0;
}

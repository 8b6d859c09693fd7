/* Misuse: realloc of an address inside a block. */
#include "abort.h"

int main(void)
{
    char *block = malloc(200);
    announce(block + 32, REASON_INTERIOR);
    bb_hide(realloc(bb_hide(block + 32), 5000));
    return 0;
}

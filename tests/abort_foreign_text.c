/* Misuse: free of a string literal. */
#include "abort.h"

int main(void)
{
    const char *text = "a string that strdup should have copied";
    announce(text, REASON_FOREIGN);
    free(bb_hide(text));
    return 0;
}

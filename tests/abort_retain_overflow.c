/* Misuse: more references than a count can hold. */
#include "abort.h"
#include "quarry/ref.h"

int main(void)
{
    char *block = malloc(100);
    announce(block + 50, "too many references");
    for (int i = 0; i < 5; i++)
        qy_retain_n(bb_hide(block + 50), 500000000);
    return 0;
}

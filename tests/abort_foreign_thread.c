/* Misuse: free of a static object by a thread that never allocated. */
#include "abort.h"

static _Alignas(16) char buffer[256];

static void *body(void *pointer)
{
    free(bb_hide(pointer));
    return NULL;
}

int main(void)
{
    announce(buffer, REASON_FOREIGN);
    bb_join(bb_start(body, buffer));
    return 0;
}

/* A library's constructor that runs before the allocator's, and its destructor that runs after it: see start_order_library.c. */
#include "blackbox.h"

extern int start_order_ran;

int main(void)
{
    CHECK(start_order_ran == 1);
    free(malloc(100));
    return 0;
}

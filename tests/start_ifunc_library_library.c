/* The library that start_ifunc_library links: an IFUNC resolver in it calls malloc. */
#include <stdlib.h>

int ifunc_library_chosen(void);
void *ifunc_library_block(void);

static void *block;

static int first(void)
{
    return 1;
}

typedef int chosen_function(void);

__attribute__((used)) static chosen_function *resolve(void)
{
    block = malloc(100);
    return first;
}

static int chosen(void) __attribute__((ifunc("resolve")));

int ifunc_library_chosen(void)
{
    return chosen();
}

void *ifunc_library_block(void)
{
    return block;
}

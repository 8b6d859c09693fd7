/* malloc in an IFUNC resolver of the program: the loader calls it while it relocates, before any constructor. */
#include "blackbox.h"

static char *resolver_block, *resolver_large;

static int first(void)
{
    return 1;
}

typedef int chosen_function(void);

__attribute__((used)) static chosen_function *resolve(void)
{
    free(bb_hide(NULL));
    resolver_block = malloc(1000);
    resolver_large = calloc(1, 200000);
    free(malloc(50));
    for (int i = 0; i < 1000 && resolver_block != NULL; i++)
        resolver_block[i] = (char)i;
    return first;
}

int chosen(void) __attribute__((ifunc("resolve")));

int main(void)
{
    CHECK(chosen() == 1);
    CHECK(resolver_block != NULL && resolver_large != NULL);
    CHECK(bb_is_zero(resolver_large, 200000));
    for (int i = 0; i < 1000; i++)
        CHECK(resolver_block[i] == (char)i);
    resolver_block = realloc(resolver_block, 3000);
    CHECK(resolver_block != NULL && resolver_block[999] == (char)999);
    free(resolver_block);
    free(resolver_large);
    return 0;
}

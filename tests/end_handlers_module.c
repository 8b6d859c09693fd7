/* The library that end_handlers opens and leaves open: its destructor runs at exit, and frees what its constructor made. */
#define BLACKBOX_MODULE
#include "blackbox.h"

static char *held;

static __attribute__((constructor)) void start(void)
{
    CHECK((held = malloc(5000)) != NULL);
    bb_fill(held, 5000, 1);
}

static __attribute__((destructor)) void end(void)
{
    CHECK(bb_holds(held, 5000, 1));
    for (size_t size = 1; size < 1000000; size *= 3)
        CHECK((held = realloc(held, size)) != NULL);
    free(held);
    bb_note("module destructor done");
}

/* A library for fork_atfork: its constructor registers fork handlers that allocate. */
#define BLACKBOX_MODULE
#include "blackbox.h"

int fork_atfork_module_calls;
static char *held;

static void prepare(void)
{
    fork_atfork_module_calls++;
    held = malloc(3000);
    CHECK(held != NULL);
    bb_fill(held, 3000, 3);
}

static void afterwards(void)
{
    fork_atfork_module_calls++;
    CHECK(bb_holds(held, 3000, 3));
    free(held);
    free(malloc(100000));
}

static __attribute__((constructor)) void register_handlers(void)
{
    CHECK(pthread_atfork(prepare, afterwards, afterwards) == 0);
}

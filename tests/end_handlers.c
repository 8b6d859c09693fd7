/* Allocation in atexit and on_exit handlers, in destructors of the program and of an opened library, while it all ends. */
#include "blackbox.h"

static char *held[200];

static void turn_over(const char *where)
{
    for (size_t i = 0; i < BB_COUNT(held); i++) {
        CHECK(bb_holds(held[i], i * 50, i), "%s: block %zu", where, i);
        free(held[i]);
        CHECK((held[i] = malloc(i * 50)) != NULL);
        bb_fill(held[i], i * 50, i);
    }
    free(malloc(2000000));
}

static void nested(void)
{
    turn_over("handler registered by a handler");
}

static void at_exit(void)
{
    turn_over("atexit");
    CHECK(atexit(nested) == 0);
}

static void on_leaving(int status, void *argument)
{
    (void)status;
    turn_over("on_exit");
    free(argument);
}

static __attribute__((destructor)) void last(void)
{
    turn_over("destructor");
    for (size_t i = 0; i < BB_COUNT(held); i++)
        free(held[i]);
    bb_note("program destructor done");
}

int main(void)
{
    for (size_t i = 0; i < BB_COUNT(held); i++) {
        CHECK((held[i] = malloc(i * 50)) != NULL);
        bb_fill(held[i], i * 50, i);
    }
    for (int i = 0; i < 50; i++) /* so many that their table is allocated */
        CHECK(atexit(at_exit) == 0);
    CHECK(on_exit(on_leaving, malloc(100)) == 0);
    bb_open_module("end_handlers_module", RTLD_NOW);
    return 0;
}

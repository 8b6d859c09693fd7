/*
 * An early fork handler (see atfork_early.h) allocates, in parent and child.
 */
#include "atfork_early.h"

static int calls;

static void turn_over_in_handler(void)
{
    calls++;
    fork_turnover(13, 200);
}

static void register_early(void)
{
    pthread_atfork(turn_over_in_handler, turn_over_in_handler, turn_over_in_handler);
}

static int in_child(int i)
{
    fork_turnover(14, 500);
    return calls == 2 * (i + 1) ? 0 : 3;
}

int main(void)
{
    fork_many(100, in_child);
    return 0;
}

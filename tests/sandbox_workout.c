/* An ordinary program for places with little around it: sandbox_chroot.sh runs it without /proc, /sys and /dev. */
#include "sandbox.h"

static void *body(void *argument)
{
    char *kept[100];
    for (size_t i = 0; i < BB_COUNT(kept); i++)
        CHECK((kept[i] = malloc(i * 100)) != NULL);
    for (size_t i = 0; i < BB_COUNT(kept); i++)
        free(kept[i]);
    return argument;
}

int main(void)
{
    sandbox_workout(1);
    for (int i = 0; i < 20; i++)
        bb_join(bb_start(body, NULL));
    sandbox_workout(2);
    return 0;
}

#include "command.h"
int trim_command(int argc, char **argv)
{
    (void)argc, (void)argv;
    fail("trim: not yet");
}

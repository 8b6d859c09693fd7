/*
 * report_missing.c: quarry report, built without jansson.
 */
#include "command.h"

int report_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fail("report: built without jansson, which reads statistics");
}

/* What start_runpath looks for: a library that can be found only through the caller's DT_RUNPATH. */
int runpath_target(void);

int runpath_target(void)
{
    return 42;
}

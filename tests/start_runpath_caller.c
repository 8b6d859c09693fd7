/* A library whose DT_RUNPATH is $ORIGIN/beside: it calls dlopen itself. */
#include <dlfcn.h>

void *runpath_open(const char *name);

void *runpath_open(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW);
    __asm__ volatile("" : "+r"(handle)); /* no tail call: the loader looks at the return address to know its caller */
    return handle;
}

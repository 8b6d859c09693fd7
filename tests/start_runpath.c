/*
 * dlopen searches the DT_RUNPATH of the object that calls it. A library that interposes dlopen must not become that caller.
 * start_runpath.sh lays out the folders: program (RUNPATH $ORIGIN/deps), deps/runpath_first.so, callers/caller.so (RUNPATH
 * $ORIGIN/beside), callers/beside/runpath_second.so.
 */
#include "blackbox.h"

static void check_target(void *library, const char *what)
{
    CHECK(library != NULL, "%s: %s", what, dlerror());
    int (*target)(void) = (int (*)(void))bb_module_symbol(library, "runpath_target");
    CHECK(target() == 42);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2, "usage: start_runpath CALLER_LIBRARY");
    void *first = dlopen("runpath_first.so", RTLD_NOW);
    check_target(first, "the program's own DT_RUNPATH");
    check_target(dlopen("runpath_first.so", RTLD_LAZY | RTLD_NOLOAD), "already loaded");

    /* Not ours to find; and the reason is there to be read, in full. */
    CHECK(dlopen("runpath_second.so", RTLD_NOW) == NULL, "found through somebody else's DT_RUNPATH");
    const char *reason = dlerror();
    CHECK(reason != NULL && strstr(reason, "runpath_second.so") != NULL, "dlerror: %s",
          reason != NULL ? reason : "nothing");
    CHECK(dlerror() == NULL);

    void *caller = dlopen(argv[1], RTLD_NOW);
    CHECK(caller != NULL, "%s", dlerror());
    void *(*open_from_there)(const char *) = (void *(*)(const char *))bb_module_symbol(caller, "runpath_open");
    check_target(open_from_there("runpath_second.so"), "the library's DT_RUNPATH");
    CHECK(open_from_there("runpath_third.so") == NULL && dlerror() != NULL);

    CHECK(dlopen(NULL, RTLD_NOW) != NULL, "the program itself: %s", dlerror());
    CHECK(dlclose(first) == 0);
    return 0;
}

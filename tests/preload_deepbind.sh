#!/usr/bin/env bash
# A library opened with RTLD_DEEPBIND finds libc's malloc before the preloaded one, but the strdup inside libc finds the
# preloaded one: memory crosses from one allocator to the other in both directions. And dlopen, which Quarry interposes
# for this, must go on to search for libraries as the caller's own run path says.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require_compiler

cat >plugin.c <<'SOURCE'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *plugin_copy(const char *text)
{
    return strdup(text); /* libc's strdup calls the preloaded malloc; the program frees it */
}
char *plugin_make(size_t size)
{
    return memset(malloc(size), 'm', size); /* the plugin's malloc; the program frees or resizes it */
}
void plugin_free(void *p)
{
    free(p); /* what the program made */
}
void *plugin_resize(void *p, size_t size)
{
    return realloc(p, size); /* what the program made; the program frees the result */
}
int plugin_own(const char *text)
{
    char *copy = strdup(text), *line = NULL, *all = NULL; /* strdup against the plugin's own free */
    size_t capacity = 0;
    FILE *file = fmemopen(copy, strlen(copy), "r");
    ssize_t length = getline(&line, &capacity, file);

    fclose(file);
    if (asprintf(&all, "%s%s", copy, line) < 0)
        return -1;
    free(line);
    free(copy);
    line = realloc(all, 5000);
    memset(line, 0, 5000);
    free(line);
    return (int)length;
}
SOURCE
cat >program.c <<'SOURCE'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    int flags = argc > 2 ? RTLD_NOW | RTLD_LOCAL : RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
    void *plugin = dlopen(argv[1], flags);

    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    char *(*copy)(const char *) = (char *(*)(const char *))dlsym(plugin, "plugin_copy");
    char *(*make)(size_t) = (char *(*)(size_t))dlsym(plugin, "plugin_make");
    void (*discard)(void *) = (void (*)(void *))dlsym(plugin, "plugin_free");
    void *(*resize)(void *, size_t) = (void *(*)(void *, size_t))dlsym(plugin, "plugin_resize");
    int (*own)(const char *) = (int (*)(const char *))dlsym(plugin, "plugin_own");
    static const size_t sizes[] = { 1, 24, 100, 1000, 5000, 70000, 300000, 3000000 };
    int lines = 0;

    for (int round = 0; round < 200; round++) {
        char text[64];

        snprintf(text, sizeof(text), "round %d", round);
        free(copy(text));
        lines += own(text);
        size_t size = sizes[round % 8];
        free(make(size));
        char *p = realloc(make(size), size * 2);
        if (p[0] != 'm' || p[size - 1] != 'm')
            return 2;
        discard(p);
        p = resize(strcpy(malloc(size + 64), text), 2 * size + 64);
        if (strcmp(p, text) != 0)
            return 3;
        free(p);
    }
    if (dlclose(plugin))
        return 4;
    printf("lines %d\n", lines);
    if (dlopen("./no-such-library.so", RTLD_NOW | RTLD_DEEPBIND))
        return 5;
    /* The error is the caller's to read, as it would be without an interposed dlopen. */
    puts(dlerror());
    return 0;
}
SOURCE
compile plugin.so -shared -fPIC -D_GNU_SOURCE plugin.c
compile program -D_GNU_SOURCE program.c -ldl
assert_preloadable ./program
run_both_ok shallow ./program ./plugin.so shallow
run_both_ok deep ./program ./plugin.so
assert_equal "lines 1690" "$(head -n 1 deep.preloaded.out)" "lines"

# dlopen by bare name, found only through the run path of the object that calls it: the program (RUNPATH and RPATH), and a
# library with a RUNPATH of its own.
mkdir -p plugins/inner lib
mv plugin.so plugins/libbare.so
cp plugins/libbare.so plugins/inner/libinner.so
cat >opener.c <<'SOURCE'
#include <dlfcn.h>
void *open_inner(int flags)
{
    void *volatile handle = dlopen("libinner.so", flags);
    return handle;
}
SOURCE
cat >bare.c <<'SOURCE'
#include <dlfcn.h>
#include <stdio.h>
void *open_inner(int);
int main(void)
{
    static const int flags[] = { RTLD_NOW, RTLD_LAZY | RTLD_GLOBAL, RTLD_NOW | RTLD_DEEPBIND };
    for (int i = 0; i < 3; i++) {
        void *outer = dlopen("libbare.so", flags[i]);
        if (!outer) {
            fprintf(stderr, "program, flags %#x: %s\n", flags[i], dlerror());
            return 1;
        }
        void *inner = open_inner(flags[i]);
        if (!inner) {
            fprintf(stderr, "library, flags %#x: %s\n", flags[i], dlerror());
            return 2;
        }
        if (dlopen("libinner.so", flags[i])) /* loaded already, so known by its name */
            printf("flags %d found\n", i);
    }
    return 0;
}
SOURCE
# shellcheck disable=SC2016 # $ORIGIN is for the loader
{
    compile lib/libopener.so -shared -fPIC -D_GNU_SOURCE opener.c -Wl,-rpath,'$ORIGIN/../plugins/inner',--enable-new-dtags -ldl
    compile bare-runpath -D_GNU_SOURCE bare.c -Llib -lopener -Wl,-rpath,'$ORIGIN/plugins:$ORIGIN/lib',--enable-new-dtags -ldl
    compile bare-rpath -D_GNU_SOURCE bare.c -Llib -lopener -Wl,-rpath,'$ORIGIN/plugins:$ORIGIN/lib',--disable-new-dtags -ldl
}
run_both_ok runpath ./bare-runpath
run_both_ok rpath ./bare-rpath

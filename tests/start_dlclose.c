/*
 * A program that opens the allocator explicitly, uses it beside libc's malloc, and closes it: blocks, threads' heaps and the key
 * with its destructor outlive dlclose, because the library stays. Not preloaded: start_dlclose.sh runs it.
 */
#include "blackbox.h"

static void *(*allocate)(size_t);
static void *(*resize)(void *, size_t);
static void (*release)(void *);
static pthread_barrier_t barrier;

static void *body(void *unused)
{
    char *blocks[100];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK((blocks[i] = allocate(i * 30)) != NULL);
        bb_fill(blocks[i], i * 30, i);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* closed in between */
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        CHECK(bb_holds(blocks[i], i * 30, i));
        release(blocks[i]);
    }
    return unused;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2, "usage: start_dlclose LIBRARY");
    for (int round = 0; round < 5; round++) {
        void *library = dlopen(argv[1], round % 2 ? RTLD_NOW | RTLD_LOCAL : RTLD_LAZY | RTLD_GLOBAL);
        CHECK(library != NULL, "dlopen: %s", dlerror());
        allocate = (void *(*)(size_t))bb_module_symbol(library, "malloc");
        resize = (void *(*)(void *, size_t))bb_module_symbol(library, "realloc");
        release = (void (*)(void *))bb_module_symbol(library, "free");
        CHECK(bb_same_file(bb_file_of((void *)allocate), argv[1]));
        CHECK(bb_file_of((void *)allocate) != bb_malloc_file());

        char *block = allocate(1000);
        CHECK(block != NULL);
        bb_fill(block, 1000, 1);
        pthread_barrier_init(&barrier, NULL, 2);
        pthread_t thread = bb_start(body, NULL);
        pthread_barrier_wait(&barrier);
        CHECK(dlclose(library) == 0);
        CHECK(bb_holds(block, 1000, 1));
        block = resize(block, 100000);
        CHECK(block != NULL && bb_holds(block, 1000, 1), "after dlclose");
        release(block);
        pthread_barrier_wait(&barrier);
        bb_join(thread);
        pthread_barrier_destroy(&barrier);
        free(malloc(100));
    }
    return 0;
}

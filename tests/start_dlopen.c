/* dlopen and dlclose, again and again, of a library that allocates and has thread-local storage, with threads that touch it. */
#include "blackbox.h"

static size_t (*touch)(size_t);

static void *body(void *argument)
{
    free(malloc(100));
    CHECK(touch((uintptr_t)argument) == (uintptr_t)argument);
    free(malloc(100));
    return NULL;
}

int main(void)
{
    size_t early = 0;
    for (int round = 0; round < 300; round++) {
        void *module = bb_open_module("start_dlopen_module", round % 2 ? RTLD_NOW : RTLD_LAZY);
        touch = (size_t(*)(size_t))bb_module_symbol(module, "start_dlopen_touch");
        pthread_t threads[3];
        for (size_t i = 0; i < BB_COUNT(threads); i++)
            threads[i] = bb_start(body, (void *)(i + 1));
        body((void *)9);
        for (size_t i = 0; i < BB_COUNT(threads); i++)
            bb_join(threads[i]);
        CHECK(dlclose(module) == 0);
        if (round == 99)
            early = bb_rss_bytes();
    }
    size_t late = bb_rss_bytes();
    CHECK(late < early + 4 * BB_MIB, "resident after 100 rounds %zu, after 300 %zu", early, late);
    return 0;
}

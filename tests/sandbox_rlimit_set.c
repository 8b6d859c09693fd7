/*
 * RLIMIT_AS set by the process itself, when the reservation is already there: a little above what is mapped, then below it, so
 * that every mmap fails. malloc gives blocks or ENOMEM, and threads can be created again when the limit is lifted.
 */
#include "sandbox_rlimit.h"

static void limit_to(rlim_t bytes)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void take_and_give(void)
{
    size_t total = 0, most = 512 * BB_MIB;
    static const size_t sizes[] = {1000, 64 * BB_KIB, BB_MIB, 30 * BB_MIB, 40};
    for (size_t i = 0; i < BB_COUNT(sizes); i++) {
        struct taken *chain = rlimit_take(sizes[i], i == 0 || i == 4 ? 100 * BB_MIB : most, &total);
        bb_note("blocks of %zu bytes: %zu MiB", sizes[i], total >> 20);
        if (total < BB_MIB) {
            rlimit_give(chain);
            continue;
        }
        chain = rlimit_give_half(chain);
        rlimit_expect(sizes[i] / 2, total / 8);
        rlimit_give(chain);
        rlimit_expect(24, total / 64);
        /* A block that cannot grow stays as it is. */
        char *block = malloc(1000);
        CHECK(block != NULL);
        bb_fill(block, 1000, 3);
        char *grown = realloc(block, BB_GIB);
        CHECK(grown != NULL || errno == ENOMEM);
        block = grown != NULL ? grown : block;
        CHECK(bb_holds(block, 1000, 3));
        free(block);
    }
}

int main(void)
{
    size_t mapped = rlimit_statm_bytes(0);
    limit_to(mapped + 200 * BB_MIB);
    take_and_give();
    malloc_trim(0);
    int error = rlimit_try_thread(8 * BB_MIB);
    CHECK(error == 0, "after all was freed, pthread_create: %s", strerror(error));

    limit_to(mapped / 2);
    take_and_give();
    error = rlimit_try_thread(8 * BB_MIB);
    CHECK(error == 0 || error == EAGAIN || error == ENOMEM, "pthread_create: %d", error);

    limit_to(RLIM_INFINITY);
    take_and_give();
    error = rlimit_try_thread(8 * BB_MIB);
    CHECK(error == 0, "without a limit, pthread_create: %s", strerror(error));
    return 0;
}

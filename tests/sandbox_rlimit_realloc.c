/*
 * When memory has run out, realloc moves a block into what is left of the size that was asked for, though it would have liked a
 * reserve, and leaves errno alone.
 */
#include "sandbox_rlimit.h"

int main(void)
{
    enum { BEFORE = 890, AFTER = 1000, WITH_RESERVE = 1100 };
    char *block = malloc(BEFORE);
    CHECK(block != NULL && malloc_usable_size(block) < AFTER);
    bb_fill(block, BEFORE, 3);

    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_DATA, &limit) == 0);
    limit.rlim_cur = rlimit_statm_bytes(5) + 40 * BB_MIB;
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);

    size_t total;
    struct taken *chain = rlimit_take(AFTER, 512 * BB_MIB, &total);
    CHECK(total < 512 * BB_MIB, "the limit had no effect");
    struct taken *others = rlimit_take(WITH_RESERVE, 512 * BB_MIB, &total);
    struct taken *next = chain->next;
    free(chain);
    chain = next;
    CHECK(malloc(WITH_RESERVE) == NULL, "there is memory left");

    errno = EDOM;
    char *grown = realloc(block, AFTER);
    CHECK(grown != NULL && errno == EDOM, "errno %d", errno);
    CHECK(bb_holds(grown, BEFORE, 3));
    free(grown);
    rlimit_give(chain);
    rlimit_give(others);
    return 0;
}

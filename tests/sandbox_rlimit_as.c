/*
 * A process that starts under a limit of its address space (sandbox_rlimit_as.sh sets it before exec): the reservation steps
 * down, a good part of the limit can be allocated, then ENOMEM; after freeing, other sizes and threads are possible again.
 */
#include "sandbox_rlimit.h"

int main(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY, "run me by sandbox_rlimit_as.sh");
    bool tight = limit.rlim_cur <= 64 * BB_MIB;
    size_t stack = tight ? 256 * BB_KIB : 8 * BB_MIB;
    for (int round = 0; round < 3; round++) {
        size_t total = 0, small_total = 0;
        struct taken *chain = rlimit_take(64 * BB_KIB, limit.rlim_cur, &total);
        CHECK(total < limit.rlim_cur, "the limit has no effect");
        bb_note("round %d: %zu of %zu MiB could be allocated", round, total >> 20, (size_t)limit.rlim_cur >> 20);
        CHECK(total >= limit.rlim_cur / (tight ? 8 : 4), "only %zu of %zu bytes", total, (size_t)limit.rlim_cur);
        rlimit_expect_refusal(total / 2);
        struct taken *small = rlimit_take(48, limit.rlim_cur, &small_total);
        CHECK(small_total < limit.rlim_cur / 2);

        chain = rlimit_give_half(chain);
        rlimit_expect(100, total / 8);
        rlimit_expect(1000, total / 8);
        rlimit_expect(20000, total / 8);
        rlimit_give(chain);
        rlimit_give(small);
        malloc_trim(0);
        rlimit_expect(total / 8, total / 8);
        rlimit_expect(24, total / 4);
        rlimit_expect(300000, total / 4);
        rlimit_expect(4096, total / 2);
        malloc_trim(0);
        for (int i = 0; i < 10; i++) {
            int error = rlimit_try_thread(stack);
            CHECK(error == 0, "after all was freed, pthread_create: %s", strerror(error));
        }
    }
    return 0;
}

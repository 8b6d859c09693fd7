/* RLIMIT_DATA, which counts private writable memory: it is felt (ENOMEM), and after freeing other sizes succeed again. */
#include "sandbox_rlimit.h"

int main(void)
{
    const size_t allowance = 128 * BB_MIB;
    const rlim_t limit_bytes = rlimit_statm_bytes(5) + allowance;
    for (int round = 0; round < 3; round++) {
        struct rlimit limit;
        CHECK(getrlimit(RLIMIT_DATA, &limit) == 0);
        limit.rlim_cur = limit_bytes;
        CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
        size_t total = 0;
        struct taken *chain = rlimit_take(round == 0   ? 64 * BB_KIB
                                          : round == 1 ? 500
                                                       : 3 * BB_MIB,
                                          4 * allowance, &total);
        bb_note("round %d: %zu MiB could be allocated", round, total >> 20);
        CHECK(total < 2 * allowance, "the limit has no effect: %zu bytes", total);
        CHECK(total >= allowance / 2, "only %zu bytes of %zu", total, allowance);
        rlimit_expect_refusal(total);
        chain = rlimit_give_half(chain);
        rlimit_expect(100, total / 8);
        rlimit_give(chain);
        malloc_trim(0);
        rlimit_expect(5000, total / 2);
        rlimit_expect(48, total / 4);
        rlimit_expect(700000, total / 4);
        /* Memory that stays committed after it was freed may leave no room for a stack. */
        int error = rlimit_try_thread(256 * BB_KIB);
        bb_note("pthread_create: %s", strerror(error));
        CHECK(error == 0 || error == EAGAIN || error == ENOMEM, "pthread_create: %d", error);
    }
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_DATA, &limit) == 0)
        CHECK(rlimit_try_thread(8 * BB_MIB) == 0);
    return 0;
}

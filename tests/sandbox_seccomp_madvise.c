/* madvise refused with EPERM: freed memory cannot be purged, and calloc must clear it; free keeps errno. */
#include "sandbox.h"

int main(void)
{
    static const int refused[] = {SYS_madvise};
    sandbox_enter(refused, BB_COUNT(refused), SANDBOX_REFUSE(EPERM), SECCOMP_RET_ALLOW);
    sandbox_workout(1);
    static const size_t sizes[] = {100, 5000, 70000, 1000000, 20000000};
    for (int round = 0; round < 3; round++) {
        for (size_t s = 0; s < BB_COUNT(sizes); s++) {
            void *blocks[12];
            for (size_t i = 0; i < BB_COUNT(blocks); i++) {
                CHECK((blocks[i] = malloc(sizes[s])) != NULL);
                memset(blocks[i], 0xee, sizes[s]);
            }
            for (size_t i = 0; i < BB_COUNT(blocks); i++) {
                errno = EDOM;
                free(blocks[i]);
                CHECK(errno == EDOM, "free changed errno to %d", errno);
            }
            malloc_trim(0);
            for (size_t i = 0; i < BB_COUNT(blocks); i++) {
                blocks[i] = calloc(1, sizes[s]);
                CHECK(blocks[i] != NULL && bb_is_zero(blocks[i], sizes[s]), "calloc of %zu bytes gave dirt", sizes[s]);
            }
            for (size_t i = 0; i < BB_COUNT(blocks); i++)
                free(blocks[i]);
        }
    }
    return 0;
}

/*
 * As sandbox_seccomp, for as long as delays last: memory that was freed is purged some time later, and looking at the clock
 * for that must not need a forbidden system call. (Sleeping is allowed here, or time could not pass.)
 */
#include "sandbox.h"

int main(void)
{
    static const int allowed[] = {SYS_mmap,    SYS_munmap,     SYS_mremap,    SYS_mprotect,
                                  SYS_madvise, SYS_brk,        SYS_futex,     SYS_write,
                                  SYS_exit,    SYS_exit_group, SYS_nanosleep, SYS_clock_nanosleep};
    free(malloc(100)); /* what was set up before goes on */
    sandbox_enter(allowed, BB_COUNT(allowed), SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        sandbox_workout(seed);
        bb_sleep_ms(600);
    }
    return 0;
}

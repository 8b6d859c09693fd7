/*
 * Seccomp filters written out as BPF, so that the tests need no library: the system calls of a list get one answer, all
 * others another. And a workout over the whole family that needs nothing but memory.
 */
#ifndef BLACKBOX_SANDBOX_H
#define BLACKBOX_SANDBOX_H

#include "blackbox.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define SANDBOX_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define SANDBOX_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define SANDBOX_REFUSE(error) (SECCOMP_RET_ERRNO | ((error)&SECCOMP_RET_DATA))

enum { SANDBOX_MOST_CALLS = 32 };

/* From now on: `listed` for the system calls of the list, `others` for the rest. There is no way back. */
static BB_UNUSED void sandbox_enter(const int *calls, size_t count, unsigned listed, unsigned others)
{
    struct sock_filter filter[SANDBOX_MOST_CALLS + 6];
    unsigned short length = 0;
    CHECK(count <= SANDBOX_MOST_CALLS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SANDBOX_ARCHITECTURE, 1, 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++) /* a match jumps over the remaining comparisons and the answer for the others */
        filter[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], (unsigned char)(count - i), 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);

    const struct sock_fprog program = {length, filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
        bb_skip("seccomp filters are not available: %s", strerror(errno));
}

/* Everything a program does with memory, over all sizes; every block must be had. */
static BB_UNUSED void sandbox_workout(uint64_t seed)
{
    enum { SLOTS = 400 };
    static char *blocks[SLOTS];
    static size_t sizes[SLOTS];
    uint64_t state = seed;
    for (int step = 0; step < 30000; step++) {
        size_t slot = bb_random(&state) % SLOTS;
        size_t size = bb_random(&state) % (step % 1000 == 0 ? 10 * BB_MIB : step % 50 == 0 ? 200000 : 3000);
        size_t seen = size < 4096 ? size : 4096;
        if (blocks[slot] != NULL) {
            CHECK(bb_holds(blocks[slot], sizes[slot] < 4096 ? sizes[slot] : 4096, slot), "%zu bytes changed",
                  sizes[slot]);
            errno = EDOM;
        }
        if (step % 5 == 0) {
            blocks[slot] = realloc(blocks[slot], size + 1);
        } else {
            free(blocks[slot]);
            if (step % 5 == 1) {
                blocks[slot] = calloc(1, size);
                CHECK(blocks[slot] != NULL && bb_is_zero(blocks[slot], seen));
            } else {
                blocks[slot] = step % 5 == 2 ? memalign((size_t)16 << step % 9, size) : malloc(size);
            }
        }
        CHECK(blocks[slot] != NULL, "%zu bytes: errno %d", size, errno);
        sizes[slot] = size;
        bb_fill(blocks[slot], seen, slot);
        if (step % 7000 == 0)
            malloc_trim(0);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        errno = EDOM;
        free(blocks[i]);
        CHECK(errno == EDOM, "free changed errno to %d", errno);
        blocks[i] = NULL;
    }
    errno = 0;
    CHECK(malloc(bb_hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    malloc_trim(0);
}

#endif

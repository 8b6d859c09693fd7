#!/usr/bin/env bash
# qemu-x86_64 (user mode) runs a small program with the library preloaded into the guest: the allocator must start and
# work where the address space is emulated; then qemu itself is preloaded as well.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require_compiler
[ "$(uname -m)" = x86_64 ] || skip "the guest programs here are not x86-64"
QEMU=$(find_elf qemu-x86_64) || skip "no program qemu-x86_64 here"

cat >program.c <<'SOURCE'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *churn(void *arg)
{
    size_t seed = (size_t)arg, sum = 0;
    unsigned char *slots[128] = { 0 };

    for (int i = 0; i < 4000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t slot = seed >> 57, size = 1 + (seed >> 30) % (64u << (seed >> 20) % 12);

        if (slots[slot])
            sum = sum * 31 + slots[slot][0];
        slots[slot] = realloc(slots[slot], size);
        if (!slots[slot])
            abort();
        memset(slots[slot], (int)(seed >> 32), size > 4096 ? 4096 : size);
    }
    for (int i = 0; i < 128; i++)
        free(slots[i]);
    return (void *)sum;
}

int main(int argc, char **argv)
{
    pthread_t threads[3];
    char line[512];
    int mapped = 0, status;
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof(line), maps))
        mapped |= argc > 1 && strstr(line, argv[1]);
    printf("mapped %d\n", mapped);
    fclose(maps);
    for (size_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    for (int i = 0; i < 3; i++) {
        void *sum;

        pthread_join(threads[i], &sum);
        printf("sum %zu\n", (size_t)sum);
    }
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(churn((void *)7) != NULL ? i : 9);
        waitpid(child, &status, 0);
        printf("child %d\n", status);
    }
    char *large = calloc(1, 100 << 20);
    printf("large %d\n", large != NULL && large[(100 << 20) - 1] == 0);
    large = realloc(large, 300 << 20);
    printf("larger %d\n", large != NULL && large[5] == 0);
    free(large);
    return 0;
}
SOURCE
compile program -pthread program.c
name=${QUARRY_LIB##*/}
# The first line of the program tells whether the library is mapped; the others must be the same everywhere.
timeout 60 "$QEMU" ./program "$name" | sed 1d >wanted
timeout 60 "$QEMU" -E LD_PRELOAD="$QUARRY_LIB" ./program "$name" >preloaded.out 2>preloaded.log || fail "the program under qemu"
grep -qx 'mapped 1' preloaded.out || fail "the library is not mapped in the guest"
sed 1d preloaded.out >got
assert_same wanted got
[ ! -s preloaded.log ] || fail "messages from the guest"
# An address space in which a large reservation is refused.
(ulimit -v 12000000 && timeout 60 "$QEMU" -E LD_PRELOAD="$QUARRY_LIB" ./program "$name") >small.out 2>small.log ||
    fail "the program under qemu with little address space"
assert_same preloaded.out small.out

# qemu is statically linked on some systems; there is nothing to preload then.
if grep -aqE -m1 '/ld-(linux|musl)' "$QEMU"; then
    preloaded timeout 60 "$QEMU" ./program "$name" >host.out 2>host.log || fail "qemu preloaded"
    sed 1d host.out >got
    assert_same wanted got
fi

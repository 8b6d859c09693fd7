#!/usr/bin/env bash
# valgrind: a preloaded program works under no tool at all, under memcheck that takes malloc over, and under memcheck
# that leaves malloc to the library; memcheck has nothing to complain about.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require_tool valgrind
require_compiler

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
    unsigned char *slots[64] = { 0 };

    for (int i = 0; i < 1500; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t slot = seed >> 58, size = 1 + (seed >> 30) % (64u << (seed >> 20) % 10);

        if (slots[slot])
            sum = sum * 31 + slots[slot][0];
        slots[slot] = realloc(slots[slot], size);
        if (!slots[slot])
            abort();
        memset(slots[slot], (int)(seed >> 32), size);
    }
    for (int i = 0; i < 64; i++)
        free(slots[i]);
    return (void *)sum;
}

int main(void)
{
    pthread_t threads[2];
    unsigned char *zeroed = calloc(1000, 7), sum = 0;
    int status;

    for (int i = 0; i < 7000; i++)
        sum |= zeroed[i];
    printf("zero %d\n", sum);
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, churn, (void *)(i + 1));
    for (int i = 0; i < 2; i++) {
        void *result;

        pthread_join(threads[i], &result);
        printf("sum %zu\n", (size_t)result);
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(churn((void *)7) != NULL ? 0 : 9);
    waitpid(child, &status, 0);
    printf("child %d\n", status);
    void *aligned;
    if (posix_memalign(&aligned, 4096, 100000))
        return 1;
    memset(aligned, 1, 100000);
    printf("aligned %d\n", (int)((size_t)aligned % 4096));
    free(aligned);
    char *large = malloc(20 << 20);
    large[(20 << 20) - 1] = 'x';
    large = realloc(large, 50 << 20);
    printf("large %c\n", large[(20 << 20) - 1]);
    free(large);
    free(zeroed);
    return 0;
}
SOURCE
compile program -pthread program.c
assert_preloadable ./program
./program >plain.out

# The library comes into valgrind's shell script and launcher too, where it does no harm.
check()
{
    local name=$1 status=0
    shift
    preloaded timeout 100 valgrind --quiet --error-exitcode=9 "$@" ./program >"$name.out" 2>"$name.log" || status=$?
    [ "$status" = 0 ] || fail "$name: status $status"
    assert_same plain.out "$name.out"
    [ ! -s "$name.log" ] || fail "$name: valgrind has something to say"
}
check none --tool=none
check memcheck --tool=memcheck
check memcheck-own --tool=memcheck --soname-synonyms=somalloc=nouserintercepts
# Show that the library really was in there: valgrind prints the objects it reads when asked to.
preloaded timeout 60 valgrind --tool=none --trace-redir=no -v ./program >/dev/null 2>verbose.log
grep -qF "Reading syms from $QUARRY_LIB" verbose.log || fail "the library is not in the program under valgrind"

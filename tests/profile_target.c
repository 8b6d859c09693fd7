/*
 * What the profile_*.sh tests look at: blocks from functions of known names. Prints what was allocated and kept, as usable bytes.
 *
 *     profile_target WAY     plain, fork, fork-exit, threads, heir
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL_COUNT = 40000, LARGE_COUNT = 12, CHURN_COUNT = 300000 };

static void *small_block[SMALL_COUNT];
static void *large_block[LARGE_COUNT];
static size_t allocated, kept;

#define APART __attribute__((noinline, noclone))

APART void *keep_small(size_t bytes)
{
    void *p = malloc(bytes);
    allocated += malloc_usable_size(p);
    return p;
}

APART void *keep_large(size_t bytes)
{
    void *p = calloc(1, bytes);
    allocated += malloc_usable_size(p);
    return p;
}

APART void churn(void)
{
    for (int i = 0; i < CHURN_COUNT; i++) {
        char *p = malloc(48);
        *(volatile char *)p = 1;
        allocated += 48;
        free(p);
    }
}

APART static void *work(void *unused)
{
    (void)unused;
    for (int i = 0; i < SMALL_COUNT; i++)
        small_block[i] = keep_small((size_t)(i % 300));
    for (int i = 0; i < LARGE_COUNT; i++)
        large_block[i] = keep_large((size_t)(i + 1) << 17);
    churn();
    return NULL;
}

/* A thread that gets the slabs of another that has ended, all of them full, and frees before it allocates. */
enum { HEIR_BYTES = 1008, HEIR_FREED = 8 };

APART static void *heir(void *unused)
{
    (void)unused;
    for (int i = 0; i < HEIR_FREED; i++)
        free(small_block[i]);
    for (int i = 0; i < CHURN_COUNT; i++) {
        char *p = malloc(HEIR_BYTES);
        *(volatile char *)p = 1;
        allocated += HEIR_BYTES;
        free(p);
    }
    return NULL;
}

APART static void *bequeath(void *unused)
{
    (void)unused;
    for (int i = 0; i < 4096; i++)
        small_block[i] = keep_small(HEIR_BYTES);
    return NULL;
}

APART static void *drop(void *unused)
{
    (void)unused;
    for (int i = 0; i < SMALL_COUNT; i++) {
        if (i % 4 != 0) {
            free(small_block[i]);
            small_block[i] = NULL;
        }
    }
    return NULL;
}

static void in_thread(void *(*function)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, NULL) != 0 || pthread_join(thread, NULL) != 0)
        exit(2);
}

int main(int count, char **argument)
{
    const char *way = count > 1 ? argument[1] : "plain";
    if (strcmp(way, "heir") == 0) {
        in_thread(bequeath);
        malloc_trim(0);
        in_thread(heir);
        malloc_trim(0);
        printf("%zu %d\n", allocated, 4096 + CHURN_COUNT);
        return 0;
    }
    if (strcmp(way, "threads") == 0) {
        in_thread(work);
        in_thread(drop);
    } else {
        work(NULL);
        drop(NULL);
    }
    for (int i = 0; i < SMALL_COUNT; i++)
        kept += small_block[i] == NULL ? 0 : malloc_usable_size(small_block[i]);
    for (int i = 0; i < LARGE_COUNT; i++)
        kept += malloc_usable_size(large_block[i]);
    if (strncmp(way, "fork", 4) == 0) {
        const pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < LARGE_COUNT; i++)
                free(large_block[i]);
            if (strcmp(way, "fork-exit") == 0)
                exit(0);
            _exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            return 2;
    }
    printf("%zu %zu\n", allocated, kept);
    return 0;
}

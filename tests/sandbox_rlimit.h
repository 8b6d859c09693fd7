/*
 * What the tests of resource limits share: take all memory there is, in equal blocks; see that everything more is ENOMEM; give
 * back a part, then all; then other sizes and threads must be possible again.
 */
#ifndef BLACKBOX_SANDBOX_RLIMIT_H
#define BLACKBOX_SANDBOX_RLIMIT_H

#include "blackbox.h"
#include <malloc.h>
#include <sys/resource.h>

struct taken {
    struct taken *next;
};

/* Blocks of one size until there are no more, or until they sum to `most`. Their first word is touched. */
static BB_UNUSED struct taken *rlimit_take(size_t size, size_t most, size_t *total)
{
    struct taken *chain = NULL;
    *total = 0;
    while (*total < most) {
        errno = 0;
        struct taken *block = malloc(size);
        if (block == NULL) {
            CHECK(errno == ENOMEM, "errno %d", errno);
            break;
        }
        block->next = chain;
        chain = block;
        *total += size;
    }
    return chain;
}

static BB_UNUSED void rlimit_give(struct taken *chain)
{
    while (chain != NULL) {
        struct taken *next = chain->next;
        errno = EDOM;
        free(chain);
        CHECK(errno == EDOM, "free changed errno to %d", errno);
        chain = next;
    }
}

/*
 * Frees the half that was allocated last and returns the rest. Neighbours, that is: an allocator with slabs may keep the place
 * of every second block for blocks of the same size.
 */
static BB_UNUSED struct taken *rlimit_give_half(struct taken *chain)
{
    size_t count = 0;
    for (struct taken *block = chain; block != NULL; block = block->next)
        count++;
    for (size_t i = 0; i < count / 2; i++) {
        struct taken *next = chain->next;
        free(chain);
        chain = next;
    }
    return chain;
}

/* Nothing of this size is left: every function says so properly. */
static BB_UNUSED void rlimit_expect_refusal(size_t size)
{
    void *block = NULL;
    errno = 0;
    CHECK(malloc(size) == NULL && errno == ENOMEM, "malloc(%zu): errno %d", size, errno);
    errno = 0;
    CHECK(calloc(1, size) == NULL && errno == ENOMEM, "calloc(%zu): errno %d", size, errno);
    errno = 0;
    CHECK(realloc(NULL, size) == NULL && errno == ENOMEM, "realloc(%zu): errno %d", size, errno);
    errno = 0;
    CHECK(memalign(64, size) == NULL && errno == ENOMEM, "memalign(%zu): errno %d", size, errno);
    errno = 0;
    CHECK(aligned_alloc(4096, size) == NULL && errno == ENOMEM, "aligned_alloc(%zu): errno %d", size, errno);
    CHECK(posix_memalign(&block, 4096, size) == ENOMEM, "posix_memalign(%zu)", size);
    errno = 0;
    CHECK(valloc(size) == NULL && errno == ENOMEM, "valloc(%zu): errno %d", size, errno);
    errno = 0;
    CHECK(pvalloc(size) == NULL && errno == ENOMEM, "pvalloc(%zu): errno %d", size, errno);
}

/* This much of this size must be there again; of small sizes 64 MiB at most, for the sake of time. */
static BB_UNUSED void rlimit_expect(size_t size, size_t wanted)
{
    size_t total = 0;
    if (size < 10000 && wanted > 64 * BB_MIB)
        wanted = 64 * BB_MIB;
    struct taken *chain = rlimit_take(size, wanted, &total);
    CHECK(total >= wanted, "blocks of %zu bytes: only %zu of %zu after memory was freed", size, total, wanted);
    rlimit_give(chain);
}

static BB_UNUSED void *rlimit_thread_body(void *argument)
{
    void *blocks[100];
    for (size_t i = 0; i < BB_COUNT(blocks); i++) {
        errno = 0;
        blocks[i] = malloc(i * 30);
        CHECK(blocks[i] != NULL || errno == ENOMEM, "in a thread: errno %d", errno);
    }
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return argument;
}

/* pthread_create's answer for a thread that allocates; 0 after it was joined. */
static BB_UNUSED int rlimit_try_thread(size_t stack_bytes)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
    int error = pthread_create(&thread, &attributes, rlimit_thread_body, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0)
        bb_join(thread);
    return error;
}

/* Pages of /proc/self/statm: field 0 is the whole address space, field 5 data and stack. */
static BB_UNUSED size_t rlimit_statm_bytes(int field)
{
    char text[256];
    bb_read_file("/proc/self/statm", text, sizeof(text));
    char *at = text;
    unsigned long pages = 0;
    for (int i = 0; i <= field; i++)
        pages = strtoul(at, &at, 10);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

#endif

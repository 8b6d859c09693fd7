/*
 * The kernel refuses memory calls from some moment on: each call alone and all of them, at many moments in the life of the
 * heap (not brk: it has no error to give, and libc takes one for an address). Then every function gives a sound block or NULL and ENOMEM; nothing already allocated changes; free keeps errno;
 * and what was freed can be allocated again.
 */
#include "children.h"
#include "sandbox.h"

enum { MOST_BLOCKS = 40000 };
static const size_t CAP = (size_t)96 << 20; /* where a refusal does not make itself felt */

static char *blocks[MOST_BLOCKS];
static size_t sizes[MOST_BLOCKS];
static size_t count, total;

static size_t random_size(uint64_t *state)
{
    uint64_t dice = bb_random(state) % 100;
    size_t limit = dice < 60 ? 500 : dice < 90 ? 8000 : dice < 98 ? 100000 : 2000000;
    return bb_random(state) % limit + 1;
}

/* Remembers the block, or checks that its refusal was a proper one. */
static bool keep(void *block, size_t size, const char *what)
{
    if (block == NULL) {
        CHECK(errno == ENOMEM, "%s(%zu): errno %d", what, size, errno);
        return false;
    }
    bb_fill(block, size < 2000 ? size : 2000, count);
    ((char *)block)[size - 1] = 7;
    sizes[count] = size;
    total += size;
    blocks[count++] = block;
    return true;
}

static bool holds(size_t i)
{
    size_t seen = sizes[i] <= 2000 ? sizes[i] - 1 : 2000;
    return bb_holds(blocks[i], seen, i) && blocks[i][sizes[i] - 1] == 7;
}

static bool allocate(uint64_t *state)
{
    size_t size = random_size(state);
    uint64_t kind = bb_random(state) % 8;
    void *block = NULL;
    errno = 0;
    if (kind < 4)
        return keep(malloc(size), size, "malloc");
    if (kind < 6) {
        block = calloc(1, size);
        CHECK(block == NULL || bb_is_zero(block, size), "calloc(%zu) gave dirt", size);
        return keep(block, size, "calloc");
    }
    if (kind == 6)
        return keep(memalign(256, size), size, "memalign");
    int error = posix_memalign(&block, 4096, size);
    CHECK(error == 0 || error == ENOMEM, "posix_memalign: %d", error);
    errno = error;
    return keep(error == 0 ? block : NULL, size, "posix_memalign");
}

/* Grows or shrinks a block; on refusal it must be as it was. */
static void resize(size_t i, uint64_t *state)
{
    size_t size = random_size(state);
    CHECK(holds(i), "%zu bytes changed", sizes[i]);
    errno = 0;
    char *block = realloc(blocks[i], size);
    if (block == NULL) {
        CHECK(errno == ENOMEM && holds(i), "realloc of %zu to %zu: errno %d", sizes[i], size, errno);
        return;
    }
    size_t seen = sizes[i] <= size ? sizes[i] - 1 : size; /* the old last byte was a mark */
    CHECK(bb_holds(block, seen < 2000 ? seen : 2000, i), "realloc of %zu to %zu lost contents", sizes[i], size);
    bb_fill(block, size < 2000 ? size : 2000, i);
    block[size - 1] = 7;
    blocks[i] = block;
    sizes[i] = size;
}

static void child(const int *calls, size_t call_count, size_t moment, int error)
{
    uint64_t state = moment + 1;
    alarm(CHILD_SECONDS);
    while (count < moment)
        CHECK(allocate(&state));
    for (size_t i = 0; i + 1 < count; i += 3) { /* some holes, and large free runs to be purged or reused later */
        free(blocks[i]);
        blocks[i] = blocks[--count];
        sizes[i] = sizes[count];
        bb_fill(blocks[i], sizes[i] < 2000 ? sizes[i] : 2000, i);
        blocks[i][sizes[i] - 1] = 7;
    }

    sandbox_enter(calls, call_count, SANDBOX_REFUSE(error), SECCOMP_RET_ALLOW);
    for (int refusals = 0; refusals < 60 && total < CAP && count < MOST_BLOCKS;) {
        if (!allocate(&state))
            refusals++;
        if (count > 0 && bb_random(&state) % 4 == 0)
            resize(bb_random(&state) % count, &state);
        if (bb_random(&state) % 3000 == 0)
            malloc_trim(0);
    }
    size_t reached = total;
    for (size_t i = 0; i < count; i++) {
        CHECK(holds(i), "%zu bytes changed", sizes[i]);
        errno = EDOM;
        free(blocks[i]);
        CHECK(errno == EDOM, "free changed errno to %d", errno);
    }
    malloc_trim(0);
    if (reached > 4 * BB_MIB) { /* all that is free now */
        for (size_t i = 0; i < 5000; i++)
            CHECK((blocks[i] = malloc(i % 400)) != NULL, "after all was freed, %zu bytes", i % 400);
        for (size_t i = 0; i < 5000; i++)
            free(blocks[i]);
    }
    _exit(0);
}

int main(void)
{
    static const struct {
        const char *name;
        int calls[5];
        size_t count;
        int error;
    } sets[] = {
        {"mmap", {SYS_mmap}, 1, ENOMEM},
        {"mprotect", {SYS_mprotect}, 1, ENOMEM},
        {"madvise", {SYS_madvise}, 1, ENOMEM},
        {"mremap", {SYS_mremap}, 1, ENOMEM},
        {"munmap", {SYS_munmap}, 1, ENOMEM},
        {"all", {SYS_mmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_munmap}, 5, ENOMEM},
        {"all (EPERM)", {SYS_mmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_munmap}, 5, EPERM},
    };
    static const size_t moments[] = {0, 1, 2, 3, 5, 10, 30, 100, 300, 1000, 5000};
    for (size_t s = 0; s < BB_COUNT(sets); s++) {
        for (size_t m = 0; m < BB_COUNT(moments); m++) {
            char what[64];
            snprintf(what, sizeof(what), "%s refused after %zu blocks", sets[s].name, moments[m]);
            pid_t pid = fork();
            if (pid == 0)
                child(sets[s].calls, sets[s].count, moments[m], sets[s].error);
            int status = 0;
            CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
            if (WIFEXITED(status) && WEXITSTATUS(status) == BB_SKIP_STATUS)
                return BB_SKIP_STATUS;
            CHECK(status == 0, "%s: wait status 0x%x", what, (unsigned)status);
        }
    }
    return 0;
}

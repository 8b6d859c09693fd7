/* Allocation in late thread destructors must not cost memory per thread: resident size stays flat over thousands of them. */
#include "blackbox.h"
#include <limits.h>

static pthread_key_t key;

struct late {
    size_t iteration;
};

static void destroy(void *argument)
{
    struct late *late = argument;
    size_t iteration = late->iteration + 1;
    free(late);
    for (size_t size = 16; size < 20000; size *= 2) {
        void *block = malloc(size);
        CHECK(block != NULL);
        memset(block, 1, size);
        free(block);
    }
    if (iteration == PTHREAD_DESTRUCTOR_ITERATIONS)
        return;
    late = malloc(sizeof(*late));
    CHECK(late != NULL);
    late->iteration = iteration;
    pthread_setspecific(key, late);
}

static void *body(void *unused)
{
    struct late *late = calloc(1, sizeof(*late));
    CHECK(late != NULL);
    pthread_setspecific(key, late);
    return unused;
}

int main(void)
{
    CHECK(pthread_key_create(&key, destroy) == 0);
    size_t early = 0;
    for (int i = 0; i < 6000; i++) {
        bb_join(bb_start(body, NULL));
        if (i == 999)
            early = bb_rss_bytes();
    }
    size_t late = bb_rss_bytes();
    bb_note("resident after 1000 threads %zu, after 6000 %zu", early, late);
    CHECK(late < early + 2 * BB_MIB, "resident after 1000 threads %zu, after 6000 %zu", early, late);
    return 0;
}

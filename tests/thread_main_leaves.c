/* The main thread leaves by pthread_exit while others go on allocating and freeing its blocks; the last one ends the process. */
#include "blackbox.h"

enum { BLOCKS = 20000 };
static char *blocks[BLOCKS];
static pthread_t main_thread;

static void *go_on(void *argument)
{
    size_t part = (uintptr_t)argument;
    if (part == 0)
        bb_join(main_thread);
    for (int round = 0; round < 20; round++) {
        for (size_t i = part; i < BLOCKS; i += 2) {
            CHECK(bb_holds(blocks[i], i % 300, i));
            free(blocks[i]);
            blocks[i] = malloc(i % 300);
            CHECK(blocks[i] != NULL);
            bb_fill(blocks[i], i % 300, i);
        }
    }
    for (size_t i = part; i < BLOCKS; i += 2)
        free(blocks[i]);
    return NULL;
}

int main(void)
{
    main_thread = pthread_self();
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(i % 300)) != NULL);
        bb_fill(blocks[i], i % 300, i);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_t thread = bb_start(go_on, (void *)i);
        if (i == 1)
            pthread_detach(thread);
    }
    pthread_exit(NULL);
}

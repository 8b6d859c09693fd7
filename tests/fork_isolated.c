/* Parent and child do not share their heap: what the child writes, frees and purges leaves the parent's blocks alone. */
#include "children.h"
#include <malloc.h>

enum { BLOCKS = 3000 };

int main(void)
{
    static char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    uint64_t state = 4;
    for (size_t i = 0; i < BLOCKS; i++) {
        sizes[i] = bb_random(&state) % (i % 100 == 0 ? 3000000 : i % 10 == 0 ? 40000 : 500);
        CHECK((blocks[i] = malloc(sizes[i])) != NULL);
        bb_fill(blocks[i], sizes[i], i);
    }
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            for (size_t i = 0; i < BLOCKS; i++) {
                CHECK(bb_holds(blocks[i], sizes[i], i), "in the child: %zu bytes", sizes[i]);
                if (i % 3 == 0) {
                    CHECK((blocks[i] = realloc(blocks[i], sizes[i] * 2 + 1)) != NULL);
                    CHECK(bb_holds(blocks[i], sizes[i], i), "in the child after realloc: %zu bytes", sizes[i]);
                } else {
                    memset(blocks[i], 0xff, sizes[i]);
                }
                free(blocks[i]);
            }
            malloc_trim(0);
            fork_turnover(9, 5000);
            _exit(0);
        }
        fork_turnover(8, 3000);
        expect_child(child, "child");
        for (size_t i = 0; i < BLOCKS; i++)
            CHECK(bb_holds(blocks[i], sizes[i], i), "in the parent: %zu bytes", sizes[i]);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return 0;
}

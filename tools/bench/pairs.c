/*
 * The program whose instructions are counted: `bench-pairs SIZE BATCH ROUNDS` allocates BATCH blocks of SIZE bytes,
 * frees them in the order of allocation, and does so ROUNDS times. Two runs that differ in ROUNDS alone show what a
 * round costs without start-up and warming up.
 *
 * Every call of malloc is made by take_block() and every call of free by drop_block(), so that callgrind's record of
 * calls tells the two apart whatever the functions inside the allocator are called.
 */
#include <stdio.h>
#include <stdlib.h>

enum { BATCH_LIMIT = 20000 };

static void *blocks[BATCH_LIMIT];

/* The store keeps the call from becoming a jump, which callgrind would not see return. */
__attribute__((noinline)) static void take_block(size_t index, size_t size)
{
    blocks[index] = malloc(size);
}

__attribute__((noinline)) static void drop_block(size_t index)
{
    free(blocks[index]);
    blocks[index] = NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench-pairs SIZE BATCH ROUNDS\n");
        return 2;
    }
    size_t size = strtoul(argv[1], NULL, 10);
    size_t batch = strtoul(argv[2], NULL, 10);
    size_t rounds = strtoul(argv[3], NULL, 10);
    if (batch > BATCH_LIMIT)
        batch = BATCH_LIMIT;

    /* One more block stays live, as in any program: otherwise each free of a batch of one leaves nothing in use, and
     * what is counted is an allocator's decision about an empty page. */
    void *volatile kept = malloc(size);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < batch; i++)
            take_block(i, size);
        for (size_t i = 0; i < batch; i++)
            drop_block(i);
    }
    free(kept);
    return 0;
}

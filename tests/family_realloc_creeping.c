/*
 * A block that grows by a byte at a time moves a few times until it has doubled, not at every size class; one that is asked for at
 * once, or in larger steps, is no larger than it would be from malloc.
 */
#include "blackbox.h"
#include <malloc.h>

int main(void)
{
    enum { FROM = 128, DOUBLINGS = 5, MOVES_PER_DOUBLING = 4 };

    size_t moves = 0;
    unsigned char *block = malloc(FROM);
    CHECK(block != NULL);
    for (size_t i = 0; i < FROM; i++)
        block[i] = (unsigned char)(i * 7);
    for (size_t size = FROM; size < (size_t)FROM << DOUBLINGS; size++) {
        unsigned char *grown = realloc(block, size + 1);
        CHECK(grown != NULL, "at %zu", size);
        moves += grown != block;
        block = grown;
        block[size] = (unsigned char)(size * 7);
    }
    CHECK(moves <= (size_t)DOUBLINGS * MOVES_PER_DOUBLING, "%zu moves in %d doublings", moves, DOUBLINGS);
    for (size_t i = 0; i < (size_t)FROM << DOUBLINGS; i++)
        CHECK(block[i] == (unsigned char)(i * 7), "byte %zu changed", i);
    free(block);

    for (size_t size = FROM; size <= (size_t)FROM << DOUBLINGS; size *= 2) {
        void *fresh = malloc(size * 3 / 2);
        void *doubled = realloc(malloc(size), size * 3 / 2);
        CHECK(fresh != NULL && doubled != NULL);
        CHECK(malloc_usable_size(doubled) == malloc_usable_size(fresh),
              "%zu to %zu bytes: usable %zu, malloc gives %zu", size, size * 3 / 2, malloc_usable_size(doubled),
              malloc_usable_size(fresh));
        free(doubled);
        free(fresh);
    }
    return 0;
}

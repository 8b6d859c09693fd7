/*
 * store.h: memory that is given back all at once, and words that are kept once. For the commands that read files.
 *
 * A store grows until store_free. Running out of memory ends the program: there is nothing that it could do without.
 */
#ifndef TOOL_STORE_H
#define TOOL_STORE_H

#include <stddef.h>
#include <stdint.h>

struct store_chunk;

struct store {
    struct store_chunk *chunks; /* the newest first; the others are full */
};

/* Zeroed, aligned for anything. */
void *store_take(struct store *store, size_t bytes);

/* count times bytes, which may be too much. */
void *store_array(struct store *store, size_t count, size_t bytes);

/* A copy with a NUL behind it. */
char *store_text(struct store *store, const char *text, size_t length);

char *store_format(struct store *store, const char *format, ...) __attribute__((format(printf, 2, 3)));

void store_free(struct store *store);

/* realloc that does not fail; for arrays that grow. */
void *store_grow(void *array, size_t count, size_t bytes);

/* Room for one more in an array that doubles. */
#define STORE_ROOM(array, count, capacity)                              \
    do {                                                                \
        if ((count) == (capacity)) {                                    \
            (capacity) = (capacity) == 0 ? 16 : 2 * (capacity);         \
            (array) = store_grow((array), (capacity), sizeof *(array)); \
        }                                                               \
    } while (0)

/* Words with numbers 0, 1, 2, ... in the order in which they came. */
struct words {
    struct store store;
    const char **word;
    uint32_t *slots; /* word's number plus 1; capacity is a power of two */
    size_t count, capacity, slot_capacity;
};

uint32_t words_number(struct words *words, const char *word);
void words_free(struct words *words);

uint64_t store_hash(const void *bytes, size_t length, uint64_t seed);

#endif

/*
 * store.c: memory that is given back all at once, and words that are kept once.
 */
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 64 << 10, ALIGNMENT = 16 };

struct store_chunk {
    struct store_chunk *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static _Noreturn void out_of_memory(void)
{
    fputs("quarry: out of memory\n", stderr);
    exit(1);
}

void *store_take(struct store *store, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        out_of_memory();
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct store_chunk *chunk = store->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < bytes) {
        const size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + capacity);
        if (chunk == NULL)
            out_of_memory();
        chunk->capacity = capacity;
        chunk->next = store->chunks;
        store->chunks = chunk;
    }
    void *taken = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return taken;
}

void *store_array(struct store *store, size_t count, size_t bytes)
{
    size_t all;
    if (__builtin_mul_overflow(count, bytes, &all))
        out_of_memory();
    return store_take(store, all);
}

char *store_text(struct store *store, const char *text, size_t length)
{
    char *copy = store_take(store, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *store_format(struct store *store, const char *format, ...)
{
    va_list arguments;
    char *text;
    va_start(arguments, format);
    const int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        out_of_memory();
    char *copy = store_text(store, text, (size_t)length);
    free(text);
    return copy;
}

void store_free(struct store *store)
{
    while (store->chunks != NULL) {
        struct store_chunk *next = store->chunks->next;
        free(store->chunks);
        store->chunks = next;
    }
}

void *store_grow(void *array, size_t count, size_t bytes)
{
    void *grown = reallocarray(array, count, bytes);
    if (grown == NULL)
        out_of_memory();
    return grown;
}

/* FNV-1a, with a last mixing step, since tables use the low bits. */
uint64_t store_hash(const void *bytes, size_t length, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325U ^ seed;
    for (const unsigned char *at = bytes, *end = at + length; at < end; at++)
        hash = (hash ^ *at) * 0x100000001b3U;
    return hash ^ (hash >> 29);
}

static void rehash(struct words *words)
{
    free(words->slots);
    words->slot_capacity = words->slot_capacity == 0 ? 256 : 2 * words->slot_capacity;
    words->slots = calloc(words->slot_capacity, sizeof *words->slots);
    if (words->slots == NULL)
        out_of_memory();
    for (size_t i = 0; i < words->count; i++) {
        size_t slot = store_hash(words->word[i], strlen(words->word[i]), 0) & (words->slot_capacity - 1);
        while (words->slots[slot] != 0)
            slot = (slot + 1) & (words->slot_capacity - 1);
        words->slots[slot] = (uint32_t)i + 1;
    }
}

uint32_t words_number(struct words *words, const char *word)
{
    if (2 * words->count >= words->slot_capacity)
        rehash(words);
    const size_t length = strlen(word);
    size_t slot = store_hash(word, length, 0) & (words->slot_capacity - 1);
    for (; words->slots[slot] != 0; slot = (slot + 1) & (words->slot_capacity - 1))
        if (strcmp(words->word[words->slots[slot] - 1], word) == 0)
            return words->slots[slot] - 1;
    STORE_ROOM(words->word, words->count, words->capacity);
    words->word[words->count] = store_text(&words->store, word, length);
    words->slots[slot] = (uint32_t)++words->count;
    return (uint32_t)words->count - 1;
}

void words_free(struct words *words)
{
    store_free(&words->store);
    free(words->word);
    free(words->slots);
    *words = (struct words){0};
}

/*
 * Growth by realloc: many vectors that grow by half or double, strings that grow by a few bytes, and one block that
 * grows by a page at a time to a large size, as a log or a download without a known length does.
 */
#include "workload.h"

#include <string.h>

enum { VECTOR_COUNT = 512, STRING_COUNT = 512, PAGE_SIZE = 4096, LARGE_LIMIT = 256 * 1024 * 1024 };

static void *grow(void *block, size_t size)
{
    block = realloc(block, size);
    check(block != NULL, "realloc returned NULL");
    return block;
}

struct vector {
    uint64_t *items;
    size_t count;
    size_t capacity;
};

/* Even vectors double, odd ones grow by half. */
static void vector_push(struct vector *vector, bool doubling, uint64_t item)
{
    if (vector->count == vector->capacity) {
        vector->capacity += vector->capacity < 4 ? 4 : doubling ? vector->capacity : vector->capacity / 2;
        vector->items = grow(vector->items, vector->capacity * sizeof vector->items[0]);
    }
    vector->items[vector->count++] = item;
}

static double run_vectors(double scale)
{
    static struct vector vectors[VECTOR_COUNT];
    struct random random = random_seeded(9);

    double start = now_seconds();
    for (size_t round = scaled(800, scale); round > 0; round--) {
        for (size_t i = 0; i < VECTOR_COUNT; i++) {
            size_t index = random_below(&random, VECTOR_COUNT);
            for (size_t burst = random_below(&random, 1000); burst > 0; burst--)
                vector_push(&vectors[index], index % 2 == 0, burst);
            /* A vector that has become long is done: its place is taken by a new one. */
            if (vectors[index].count > random_below(&random, 100000)) {
                check(vectors[index].items[vectors[index].count / 2] > 0, "a vector lost its contents");
                free(vectors[index].items);
                vectors[index] = (struct vector){0};
            }
        }
    }
    for (size_t i = 0; i < VECTOR_COUNT; i++)
        free(vectors[i].items);
    return now_seconds() - start;
}

struct string {
    char *text;
    size_t length;
};

static double run_strings(double scale)
{
    static struct string strings[STRING_COUNT];
    static const char words[] = "every block that is handed out can be counted from any pointer into it";
    struct random random = random_seeded(10);

    double start = now_seconds();
    for (size_t count = scaled(12000000, scale); count > 0; count--) {
        struct string *string = &strings[random_below(&random, STRING_COUNT)];
        size_t length = 1 + random_below(&random, 16);
        string->text = grow(string->text, string->length + length + 1);
        memcpy(string->text + string->length, words + random_below(&random, 40), length);
        string->length += length;
        string->text[string->length] = '\0';
        if (string->length > 64 + random_below(&random, 2000)) {
            free(string->text);
            *string = (struct string){0};
        }
    }
    for (size_t i = 0; i < STRING_COUNT; i++)
        free(strings[i].text);
    return now_seconds() - start;
}

static double run_pages(double scale)
{
    size_t limit = shrunk(LARGE_LIMIT, scale);
    double start = now_seconds();
    for (size_t round = scaled(2, scale); round > 0; round--) {
        char *block = NULL;
        for (size_t size = PAGE_SIZE; size <= limit; size += PAGE_SIZE) {
            block = grow(block, size);
            block[size - PAGE_SIZE] = (char)(size / PAGE_SIZE);
        }
        for (size_t size = PAGE_SIZE; size <= limit; size += PAGE_SIZE)
            check(block[size - PAGE_SIZE] == (char)(size / PAGE_SIZE), "a growing block lost its contents");
        free(block);
    }
    return now_seconds() - start;
}

const struct workload growth_workloads[] = {
    {"realloc-vectors", "512 vectors that grow by half or double", run_vectors},
    {"realloc-strings", "512 strings that grow by a few bytes", run_strings},
    {"realloc-pages", "one block that grows by 4 KiB steps to 256 MiB", run_pages},
    {0},
};

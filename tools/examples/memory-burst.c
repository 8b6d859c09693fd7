/*
 * memory-burst: memory that is free and waits, and memory that malloc knows nothing of. doc/finding-memory.md looks for both.
 *
 * A job sorts the records of a day, frees all of them, and sleeps till the next day. With --map its records lie in a mapping
 * of its own, which it keeps.
 *
 *     memory-burst [--map] [SECONDS]      how long the night is
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone)) /* of a name that a profile shows */

enum { RECORDS = 100000, RECORD_BYTES = 500 };

static char *records[RECORDS];

static void *must(void *block)
{
    if (block == NULL || block == MAP_FAILED) {
        perror("memory-burst");
        exit(EXIT_FAILURE);
    }
    return block;
}

static int compare_records(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static FUNCTION void read_records(char *mapping)
{
    for (size_t i = 0; i < RECORDS; i++) {
        records[i] = mapping != NULL ? mapping + i * RECORD_BYTES : must(malloc(RECORD_BYTES));
        memset(records[i], 0, RECORD_BYTES);
        snprintf(records[i], RECORD_BYTES, "%zu", i * 7919 % RECORDS);
    }
}

int main(int argc, char **argv)
{
    const int map = argc > 1 && strcmp(argv[1], "--map") == 0;
    char *mapping = NULL;
    if (map) {
        mapping = must(
            mmap(NULL, (size_t)RECORDS * RECORD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    }
    read_records(mapping);
    qsort(records, RECORDS, sizeof records[0], compare_records);
    for (size_t i = 0; i < RECORDS && !map; i++)
        free(records[i]);
    puts("sorted");
    fflush(stdout);
    sleep(argc > 1 + map ? (unsigned)strtoul(argv[1 + map], NULL, 10) : 0);
    return 0;
}

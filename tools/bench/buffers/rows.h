/*
 * rows.h: what the buffer benchmark's programs share: a table of rows, and the main function that measures them.
 *
 * Each library has a program of its own, so that one that is not installed is left out, and none is measured under
 * another's allocator. buffers.py talks to all of them by turns:
 *
 *     program --list                      one line per row: system, row, threads
 *     program SYSTEM single|threaded      then, for every row's name on standard input, one line: ns, or "-"
 *
 * threaded: another thread exists (and sleeps). The C library and Quarry take shortcuts while there is none.
 */
#ifndef QUARRY_BENCH_ROWS_H
#define QUARRY_BENCH_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The sizes that several programs must agree on. */
enum {
    BLOCK_BYTES = 65536, /* what is cloned, sliced, cut into frames */
    FRAME_BYTES = 512,
    FRAME_COUNT = BLOCK_BYTES / FRAME_BYTES,
    SLICE_OFFSET = 1000,
    SLICE_BYTES = 200,
    PART_COUNT = 8, /* of a message, PART_BYTES each, one after the other from SLICE_OFFSET on */
    PART_BYTES = 100,
    OBJECT_BYTES = 256, /* of a pool */
    OBJECT_COUNT = 1024,
    BULK_COUNT = 32,
};

struct work {
    size_t rounds;
    size_t bytes;  /* from the row */
    void *subject; /* from prepare */
};

struct row {
    const char *system;
    const char *name;
    void (*run)(const struct work *work); /* rounds times; in every thread at once when there are several */
    void *(*prepare)(size_t bytes);
    void (*finish)(void *subject);
    size_t bytes;
    unsigned parts;   /* of a round, that the result is per; 0: 1 */
    unsigned threads; /* 0: 1 */
};

struct program {
    const struct row *rows;
    size_t row_count;
    bool (*start)(void);        /* once; false: the library does not work here, and has said why */
    void (*start_thread)(void); /* in every thread of a row but the first */
};

int rows_main(int argc, char **argv, const struct program *program);

/* One line on standard error, and the end of the program, when something that cannot fail does. */
#define must(x) ((x) ? (void)0 : rows_fail(#x))
_Noreturn void rows_fail(const char *what);

/* Have the compiler believe that p and what it points to are used here. */
static inline void keep(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* What whoever makes a buffer does first. */
static inline void touch(void *p)
{
    *(volatile char *)p = 1;
}

#define CREATE_ROWS(system, run)                                                                          \
    {system, "create-64", run, NULL, NULL, 64, 0, 0}, {system, "create-1k", run, NULL, NULL, 1024, 0, 0}, \
        {system, "create-16k", run, NULL, NULL, 16384, 0, 0},                                             \
    {                                                                                                     \
        system, "create-64k", run, NULL, NULL, 65536, 0, 0                                                \
    }

#endif

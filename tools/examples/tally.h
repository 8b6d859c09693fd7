/*
 * tally.h: two small libraries of the kind that a program uses without having written them. They know malloc() and free() and
 * nothing of Quarry, and both log pipelines use them as they are.
 */
#ifndef EXAMPLES_TALLY_H
#define EXAMPLES_TALLY_H

#include <stddef.h>
#include <stdint.h>

/* ---- history: the last lines of a stream ---- */

struct history;

struct history *history_new(size_t lines);

/* Takes line, a block from malloc: it is given to free() as soon as it is no longer one of the last. */
void history_add(struct history *history, char *line, size_t length);

/* Calls each() with the lines, oldest first. */
void history_each(const struct history *history, void (*each)(const char *line, size_t length));

void history_free(struct history *history);

/* ---- tally: how often each key occurred ---- */

struct tally;

struct tally *tally_new(void);

struct tally_row {
    char *key; /* a block from malloc, the tally's to free() */
    size_t length;
    uint64_t count, sum;
    uint64_t hash;
};

/*
 * The row of a key. A new one has the count 0 and key NULL: the caller makes the key one that the tally can keep, a block from
 * malloc. NULL without memory.
 */
struct tally_row *tally_row(struct tally *tally, const char *key, size_t length);

/* All rows, most frequent first, equally frequent ones by key. The array belongs to the tally, which takes no more keys. */
struct tally_row *tally_sorted(struct tally *tally, size_t *count);

void tally_free(struct tally *tally);

#endif

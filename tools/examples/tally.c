/*
 * tally.c: see tally.h. Nothing here knows of Quarry.
 */
#include "tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- history: a ring ---- */

struct history {
    size_t room, next;
    struct {
        char *text;
        size_t length;
    } lines[];
};

struct history *history_new(size_t lines)
{
    struct history *history = calloc(1, sizeof *history + lines * sizeof history->lines[0]);
    if (history != NULL)
        history->room = lines;
    return history;
}

void history_add(struct history *history, char *line, size_t length)
{
    if (history->room == 0) {
        free(line);
        return;
    }
    free(history->lines[history->next].text);
    history->lines[history->next].text = line;
    history->lines[history->next].length = length;
    history->next = (history->next + 1) % history->room;
}

void history_each(const struct history *history, void (*each)(const char *line, size_t length))
{
    for (size_t i = 0; i < history->room; i++) {
        const size_t at = (history->next + i) % history->room;
        if (history->lines[at].text != NULL)
            each(history->lines[at].text, history->lines[at].length);
    }
}

void history_free(struct history *history)
{
    for (size_t i = 0; i < history->room; i++)
        free(history->lines[i].text);
    free(history);
}

/* ---- tally: open addressing, at most half full ---- */

struct tally {
    size_t room, used;
    struct tally_row *rows; /* free ones have the length 0 and the hash 0 */
};

static uint64_t hash_of(const char *key, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3;
    return hash | 1;
}

struct tally *tally_new(void)
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL)
        return NULL;
    tally->room = 1024;
    tally->rows = calloc(tally->room, sizeof *tally->rows);
    if (tally->rows == NULL) {
        free(tally);
        return NULL;
    }
    return tally;
}

static struct tally_row *place_of(struct tally *tally, const char *key, size_t length, uint64_t hash)
{
    size_t at = hash & (tally->room - 1);
    for (;;) {
        struct tally_row *row = &tally->rows[at];
        if (row->hash == 0 || (row->hash == hash && row->length == length && memcmp(row->key, key, length) == 0))
            return row;
        at = (at + 1) & (tally->room - 1);
    }
}

static bool grow(struct tally *tally)
{
    struct tally larger = {.room = tally->room * 2};
    larger.rows = calloc(larger.room, sizeof *larger.rows);
    if (larger.rows == NULL)
        return false;
    for (size_t i = 0; i < tally->room; i++) {
        const struct tally_row *row = &tally->rows[i];
        if (row->hash != 0)
            *place_of(&larger, row->key, row->length, row->hash) = *row;
    }
    free(tally->rows);
    tally->rows = larger.rows;
    tally->room = larger.room;
    return true;
}

struct tally_row *tally_row(struct tally *tally, const char *key, size_t length)
{
    if (tally->used >= tally->room / 2 && !grow(tally))
        return NULL;
    const uint64_t hash = hash_of(key, length);
    struct tally_row *row = place_of(tally, key, length, hash);
    if (row->hash == 0) {
        *row = (struct tally_row){.length = length, .hash = hash};
        tally->used++;
    }
    return row;
}

static int by_count(const void *left, const void *right)
{
    const struct tally_row *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    const int order = memcmp(a->key, b->key, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

struct tally_row *tally_sorted(struct tally *tally, size_t *count)
{
    size_t used = 0;
    for (size_t i = 0; i < tally->room; i++) {
        if (tally->rows[i].hash != 0)
            tally->rows[used++] = tally->rows[i];
    }
    memset(&tally->rows[used], 0, (tally->room - used) * sizeof *tally->rows);
    qsort(tally->rows, used, sizeof *tally->rows, by_count);
    *count = used;
    return tally->rows;
}

void tally_free(struct tally *tally)
{
    for (size_t i = 0; i < tally->room; i++)
        free(tally->rows[i].key);
    free(tally->rows);
    free(tally);
}

/*
 * text.h: composing text in a buffer and writing it out, without stdio and without malloc. Layer 1.
 *
 *     put -> | buffer | -> write(2) when it is full, and at qyi_text_flush
 *
 * With fd -1 nothing is written: what does not fit the buffer is dropped, and `failed` says so.
 */
#ifndef QYI_TEXT_H
#define QYI_TEXT_H

#include "base.h"

#include <signal.h>

struct qyi_text {
    char *start; /* the buffer */
    size_t length, capacity;
    int fd;
    bool failed; /* nobody reads it, or (fd -1) the buffer was too small */
    int error;   /* errno of the write that failed; 0: none did, or it is not known */
};

void qyi_put(struct qyi_text *text, const char *part);
void qyi_put_part(struct qyi_text *text, const char *part, size_t length);
void qyi_put_spaces(struct qyi_text *text, size_t count);

/* Write what has been gathered. A reader that has gone away, or is slower than a second, makes it fail. */
void qyi_text_flush(struct qyi_text *text);

/*
 * Between these two, writing to a pipe that nobody reads, or beyond a limit, costs the process nothing: the thread's signals for it
 * are held off, and taken away unless they were there before. Keeps errno.
 */
struct qyi_text_guard {
    sigset_t before, ends;
    int saved_errno;
    bool held;
};
void qyi_text_guard(struct qyi_text_guard *guard);
void qyi_text_unguard(struct qyi_text_guard *guard, const struct qyi_text *text);

/* A number as text. */
struct qyi_word {
    size_t length;
    char text[32];
};

struct qyi_word qyi_number_word(uint64_t number);
struct qyi_word qyi_tenths_word(uint64_t tenths, const char *unit); /* "12.3" and the unit */
struct qyi_word qyi_bytes_word(size_t bytes);                       /* "12.3 MiB" */
struct qyi_word qyi_share_word(uint64_t part, uint64_t whole);      /* "12.3%" */
struct qyi_word qyi_percent_word(uint64_t part, uint64_t whole);    /* "12%", for sentences */

/* In thousandths, rounded; 0 of nothing. */
uint64_t qyi_share(uint64_t part, uint64_t whole);

/* Aligned to the right of a column; width 0: as it is. */
void qyi_put_word(struct qyi_text *text, struct qyi_word word, size_t width);
void qyi_put_left(struct qyi_text *text, const char *part, size_t width);
void qyi_put_right(struct qyi_text *text, const char *part, size_t width);

QYI_INLINE void qyi_put_number(struct qyi_text *text, uint64_t number)
{
    qyi_put_word(text, qyi_number_word(number), 0);
}

/* "0.1.0" */
void qyi_put_version(struct qyi_text *text);

/* Control characters become '?': a file's name can hold anything. */
void qyi_put_printable(struct qyi_text *text, const char *part);

/* Bytes of the character in UTF-8 that starts here; 0: none does. Not called at the end of the text. */
size_t qyi_utf8_bytes(const char *at);

#endif

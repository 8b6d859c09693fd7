/*
 * text.c: composing text in a buffer and writing it out. Layer 1.
 *
 * Reports are written when neither stdio nor malloc need work: at exit, in a process that has closed what it did not know, beside
 * threads that stand anywhere.
 */
#include "text.h"

#include "quarry/quarry.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 1000 }; /* for a reader that is slow, of a descriptor that does not block */

void qyi_text_flush(struct qyi_text *text)
{
    const char *next = text->start;
    if (text->fd < 0)
        text->failed = true;
    size_t left = text->failed ? 0 : text->length;
    while (left > 0) {
        const ssize_t written = write(text->fd, next, left);
        if (written > 0) {
            next += written;
            left -= (size_t)written;
        } else if (written < 0 && errno == EINTR) {
            continue;
        } else {
            struct pollfd wait = {.fd = text->fd, .events = POLLOUT};
            const int error = written == 0 ? 0 : errno;
            text->failed = error != EAGAIN || poll(&wait, 1, WAIT_MS) <= 0;
            if (text->failed) {
                text->error = error;
                break;
            }
        }
    }
    text->length = 0;
}

void qyi_put_part(struct qyi_text *text, const char *part, size_t length)
{
    while (length > 0) {
        if (text->length == text->capacity)
            qyi_text_flush(text);
        const size_t fits = qyi_min(length, text->capacity - text->length);
        memcpy(text->start + text->length, part, fits);
        text->length += fits;
        part += fits;
        length -= fits;
    }
}

void qyi_put(struct qyi_text *text, const char *part)
{
    qyi_put_part(text, part, strlen(part));
}

void qyi_put_printable(struct qyi_text *text, const char *part)
{
    for (; *part != '\0'; part++)
        qyi_put_part(text, (unsigned char)*part < ' ' || *part == 0x7f ? "?" : part, 1);
}

void qyi_put_version(struct qyi_text *text)
{
    qyi_put_number(text, QY_VERSION_MAJOR);
    qyi_put(text, ".");
    qyi_put_number(text, QY_VERSION_MINOR);
    qyi_put(text, ".");
    qyi_put_number(text, QY_VERSION_PATCH);
}

/* As RFC 3629 has it: no longer forms than needed, no surrogates, nothing beyond U+10FFFF. */
size_t qyi_utf8_bytes(const char *at)
{
    const unsigned char *c = (const unsigned char *)at;
    if (c[0] < 0x80)
        return 1;
    const size_t bytes = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
                         : c[0] >= 0xe0 && c[0] <= 0xef ? 3
                         : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                        : 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((c[i] & 0xc0) != 0x80) /* nor is a 0 */
            return 0;
    }
    const bool wrong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
                       (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f);
    return wrong ? 0 : bytes;
}

void qyi_put_spaces(struct qyi_text *text, size_t count)
{
    while (count-- > 0)
        qyi_put_part(text, " ", 1);
}

struct qyi_word qyi_number_word(uint64_t number)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    struct qyi_word word = {.length = sizeof digits - first};
    memcpy(word.text, digits + first, word.length);
    return word;
}

struct qyi_word qyi_tenths_word(uint64_t tenths, const char *unit)
{
    struct qyi_word word = qyi_number_word(tenths / 10);
    word.text[word.length++] = '.';
    word.text[word.length++] = (char)('0' + tenths % 10);
    const size_t length = qyi_min(strlen(unit), sizeof word.text - word.length);
    memcpy(word.text + word.length, unit, length);
    word.length += length;
    return word;
}

struct qyi_word qyi_bytes_word(size_t bytes)
{
    static const char *const units[] = {" KiB", " MiB", " GiB", " TiB"};
    unsigned shift = 10;
    unsigned unit = 0;
    while (unit + 1 < sizeof units / sizeof units[0] && bytes >> shift >= 1024) {
        shift += 10;
        unit++;
    }
    /* the whole units first: ten times as many bytes need not fit a word */
    const size_t rest = bytes & (((size_t)1 << shift) - 1);
    return qyi_tenths_word((bytes >> shift) * 10 + ((rest * 10 + ((size_t)1 << shift) / 2) >> shift), units[unit]);
}

uint64_t qyi_share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (part * 1000 + whole / 2) / whole; /* bytes of an address space are few enough */
}

struct qyi_word qyi_share_word(uint64_t part, uint64_t whole)
{
    return qyi_tenths_word(qyi_share(part, whole), "%");
}

struct qyi_word qyi_percent_word(uint64_t part, uint64_t whole)
{
    struct qyi_word word = qyi_number_word((qyi_share(part, whole) + 5) / 10);
    word.text[word.length++] = '%';
    return word;
}

void qyi_put_word(struct qyi_text *text, struct qyi_word word, size_t width)
{
    if (word.length < width)
        qyi_put_spaces(text, width - word.length);
    qyi_put_part(text, word.text, word.length);
}

void qyi_put_left(struct qyi_text *text, const char *part, size_t width)
{
    const size_t length = strlen(part);
    qyi_put_part(text, part, length);
    if (length < width)
        qyi_put_spaces(text, width - length);
}

void qyi_put_right(struct qyi_text *text, const char *part, size_t width)
{
    const size_t length = strlen(part);
    if (length < width)
        qyi_put_spaces(text, width - length);
    qyi_put_part(text, part, length);
}

/* ---- writing where nobody may read ---- */

void qyi_text_guard(struct qyi_text_guard *guard)
{
    static const int signals[] = {SIGPIPE, SIGXFSZ};
    sigset_t pending;
    guard->saved_errno = errno;
    sigpending(&pending);
    sigemptyset(&guard->ends);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigismember(&pending, signals[i]) != 1)
            sigaddset(&guard->ends, signals[i]);
    }
    guard->held = pthread_sigmask(SIG_BLOCK, &guard->ends, &guard->before) == 0;
}

void qyi_text_unguard(struct qyi_text_guard *guard, const struct qyi_text *text)
{
    if (guard->held && text->failed) {
        const struct timespec at_once = {0};
        while (sigtimedwait(&guard->ends, NULL, &at_once) > 0 || errno == EINTR)
            continue;
    }
    if (guard->held)
        pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
    errno = guard->saved_errno;
}

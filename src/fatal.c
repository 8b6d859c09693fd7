/*
 * fatal.c: messages by raw write and the end of the process. Layer 0.
 *
 * The caller may hold locks, be inside a signal handler or have no thread state at all; so a line is composed on the
 * stack and leaves in one system call.
 */
#include "fatal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void append(struct qyi_line *line, const char *text, size_t length)
{
    const size_t room = sizeof line->text - 1 - line->length; /* one byte is kept for the newline */
    length = qyi_min(length, room);
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

void qyi_line_text(struct qyi_line *line, const char *text)
{
    append(line, text, strlen(text));
}

static void append_in_base(struct qyi_line *line, uint64_t number, unsigned base)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    append(line, digits + first, sizeof digits - first);
}

void qyi_line_number(struct qyi_line *line, uint64_t number)
{
    append_in_base(line, number, 10);
}

void qyi_line_hex(struct qyi_line *line, uint64_t number)
{
    append(line, "0x", 2);
    append_in_base(line, number, 16);
}

void qyi_line_write(struct qyi_line *line, int fd)
{
    const int saved_errno = errno;
    line->text[line->length++] = '\n';
    const char *next = line->text;
    size_t left = line->length;
    while (left > 0) {
        const ssize_t written = write(fd, next, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            break; /* nobody to tell */
        next += written;
        left -= (size_t)written;
    }
    line->length = 0;
    errno = saved_errno;
}

void qyi_message(const char *text)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: ");
    qyi_line_text(&line, text);
    qyi_line_write(&line, STDERR_FILENO);
}

void (*qyi_fatal_explain)(const void *pointer);

_Noreturn void qyi_fatal_pointer(const char *function, const void *pointer, size_t class_bytes, const char *reason)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: ");
    qyi_line_text(&line, function);
    qyi_line_text(&line, "(");
    qyi_line_hex(&line, (uintptr_t)pointer);
    qyi_line_text(&line, "): ");
    qyi_line_text(&line, reason);
    if (class_bytes == 1) {
        qyi_line_text(&line, " (large block)");
    } else if (class_bytes != 0) {
        qyi_line_text(&line, " (class of ");
        qyi_line_number(&line, class_bytes);
        qyi_line_text(&line, " bytes)");
    }
    qyi_line_write(&line, STDERR_FILENO);
    if (qyi_fatal_explain != NULL)
        qyi_fatal_explain(pointer);
    abort();
}

_Noreturn void qyi_fatal_invariant(const char *expression, const char *file, int line_number)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: internal error: ");
    qyi_line_text(&line, file);
    qyi_line_text(&line, ":");
    qyi_line_number(&line, (uint64_t)line_number);
    qyi_line_text(&line, ": ");
    qyi_line_text(&line, expression);
    qyi_line_write(&line, STDERR_FILENO);
    abort();
}

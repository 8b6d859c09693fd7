/*
 * fatal.h: messages by raw write, and the end of the process on misuse or a broken invariant. Layer 0.
 *
 * Nothing here allocates, locks or calls stdio, so it can be called from any place.
 */
#ifndef QYI_FATAL_H
#define QYI_FATAL_H

#include "base.h"

/*
 * A line of text under construction on the stack. Appending beyond the end truncates. The line is written in one
 * write(2), so that lines of several threads or processes do not mix.
 */
struct qyi_line {
    size_t length;
    char text[512];
};

void qyi_line_text(struct qyi_line *line, const char *text);
void qyi_line_number(struct qyi_line *line, uint64_t number);
void qyi_line_hex(struct qyi_line *line, uint64_t number);
/* Appends a newline, writes to fd, keeps errno. */
void qyi_line_write(struct qyi_line *line, int fd);

/* One line "quarry: TEXT" on standard error. */
void qyi_message(const char *text);

/*
 * The program misused the allocator: one line "quarry: FUNCTION(POINTER): REASON (class SIZE)" and abort.
 * class_bytes 0 leaves the class out; 1 says "large".
 */
_Noreturn void qyi_fatal_pointer(const char *function, const void *pointer, size_t class_bytes, const char *reason);

/* Called, if set, before such an end: may say more. */
extern QYI_HIDDEN void (*qyi_fatal_explain)(const void *pointer);

/* An invariant of our own does not hold. */
_Noreturn void qyi_fatal_invariant(const char *expression, const char *file, int line);

#ifdef QY_DEBUG
/* Checked in debug builds only; cite the invariant in a comment. */
#define qyi_assert(x) ((x) ? (void)0 : qyi_fatal_invariant(#x, __FILE__, __LINE__))
#else
#define qyi_assert(x) ((void)sizeof(!(x)))
#endif

#endif

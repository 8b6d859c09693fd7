/*
 * unit_report.h: what the unit tests of reports share: reports in memory, and what is looked for in them.
 */
#ifndef QUARRY_TESTS_UNIT_REPORT_H
#define QUARRY_TESTS_UNIT_REPORT_H

#include "unit.h"

#include "report.h"
#include "stats.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char text[64 << 10];

static inline int new_file(void)
{
    const int fd = memfd_create("report", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* The file's contents, in text; closes it. */
static inline const char *contents(int fd)
{
    const ssize_t length = pread(fd, text, sizeof text - 1, 0);
    ck_assert_int_ge(length, 0);
    text[length] = '\0';
    close(fd);
    return text;
}

static inline const char *report_of(const struct qyi_stats *stats)
{
    const int fd = new_file();
    qyi_report_write(stats, fd);
    return contents(fd);
}

static inline unsigned occurrences(const char *where, const char *what)
{
    unsigned count = 0;
    for (const char *at = where; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* The line that starts with this, or NULL. */
static inline const char *line_of(const char *where, const char *start)
{
    for (const char *line = where; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, start, strlen(start)) == 0)
            return line;
    }
    return NULL;
}

static inline size_t number_after(const char *where, const char *start)
{
    const char *line = line_of(where, start);
    ck_assert_msg(line != NULL, "no line \"%s\" in\n%s", start, where);
    return strtoull(line + strlen(start), NULL, 10);
}

static inline void check_whole_report(const char *report, pid_t pid)
{
    char head[64];
    snprintf(head, sizeof head, " (pid %d)\n", (int)pid);
    ck_assert_int_eq(strncmp(report, "quarry ", 7), 0);
    ck_assert_ptr_nonnull(strstr(report, head));
    ck_assert_uint_eq(occurrences(report, "quarry 0."), 1);
    ck_assert_uint_eq(occurrences(report, "verdict: "), 1);
    const char *verdict = line_of(report, "verdict: ");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_ptr_eq(strchr(verdict, '\n'), report + strlen(report) - 1); /* it is the last line */
}
#endif

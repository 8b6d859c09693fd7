/*
 * report_parts.h: the parts of the HTML report: what has been read, and who writes which section.
 */
#ifndef TOOL_REPORT_PARTS_H
#define TOOL_REPORT_PARTS_H

#include "html.h"
#include "profile_data.h"
#include "tree.h"

#include <jansson.h>

struct report_stats {
    const char *path;
    json_t *root;
    uint64_t time_ms, started_ms; /* since 1970; 0: unknown */
    uint64_t pid;
};

struct report {
    struct report_stats *stats; /* the oldest first */
    struct profile *profiles;   /* as given, or the oldest first where they know */
    size_t stats_count, profile_count;
    const char *title; /* or NULL */
};

/* Whether this is statistics as far as the report needs; false: said why. */
bool report_check_stats(const char *path, const json_t *root);

/* The newest of the process that the report is about, or NULL. */
const struct report_stats *report_newest(const struct report *report);

/* A number of an object inside an object; 0 when it is not there. */
uint64_t report_number(const json_t *root, const char *object, const char *name);

/* Section heads: an anchor for the list of contents, a title and a sentence that says what it is. */
void report_section(FILE *page, const char *id, const char *title, const char *note);
void report_section_end(FILE *page);

/* Sections, each of which writes nothing when there is nothing to say. */
void report_put_memory(FILE *page, const struct report *report);
void report_put_timeline(FILE *page, const struct report *report);
void report_put_classes(FILE *page, const struct report *report);
void report_put_threads(FILE *page, const struct report *report);
void report_put_map(FILE *page, const struct report *report);
void report_put_work(FILE *page, const struct report *report);
void report_put_buffers(FILE *page, const struct report *report);
void report_put_timeline_data(FILE *page, const struct report *report);
void report_put_profile(FILE *page, const struct report *report);
void report_put_leaks(FILE *page, const struct report *report);
void report_put_lifetimes(FILE *page, const struct report *report);
void report_put_profile_data(FILE *page, const struct report *report);

#endif

/*
 * json.h: the numbers of stats.h as JSON, one line; doc/quarry-stats.schema.json says what is in it. Layer 6.
 */
#ifndef QYI_JSON_H
#define QYI_JSON_H

#include "base.h"
#include "stats.h"
#include "text.h"

/* Whose numbers they are. */
struct qyi_whose {
    const char *program;
    uint64_t pid;
    uint64_t time_unix_ms; /* when they were taken */
    uint64_t uptime_ms;    /* how long the process had run then */
};

/* Put the document and a newline. reason: what it is written for; see the schema. */
void qyi_json_put(struct qyi_text *text, const struct qyi_stats *stats, const char *reason);

/* The same, of another process. */
void qyi_json_put_of(struct qyi_text *text, const struct qyi_stats *stats, const char *reason,
                     const struct qyi_whose *whose);

/* Put a string in quotes. What is no UTF-8 becomes U+FFFD. */
void qyi_json_put_string(struct qyi_text *text, const char *string);

#endif

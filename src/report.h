/*
 * report.h: the numbers of stats.h as text for people. Layer 6.
 */
#ifndef QYI_REPORT_H
#define QYI_REPORT_H

#include "base.h"
#include "stats.h"
#include "text.h"

/* Put the report. */
void qyi_report_put(struct qyi_text *text, const struct qyi_stats *stats);

/*
 * Write the report to fd, in one write(2) if the system takes it as one, so that reports of several processes do not
 * mix. Allocates nothing, keeps errno. A reader that has gone away does not cost the process its life.
 */
void qyi_report_write(const struct qyi_stats *stats, int fd);

#endif

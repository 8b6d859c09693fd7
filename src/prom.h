/*
 * prom.h: the numbers of stats.h in the text format of Prometheus, version 0.0.4. Layer 6.
 */
#ifndef QYI_PROM_H
#define QYI_PROM_H

#include "base.h"
#include "stats.h"
#include "text.h"

void qyi_prom_put(struct qyi_text *text, const struct qyi_stats *stats);

#endif

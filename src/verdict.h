/*
 * verdict.h: one sentence on why resident memory is what it is. Layer 6.
 */
#ifndef QYI_VERDICT_H
#define QYI_VERDICT_H

#include "base.h"
#include "stats.h"
#include "text.h"

/* Put the sentence, without a newline. */
void qyi_verdict_put(struct qyi_text *text, const struct qyi_stats *stats);

#endif

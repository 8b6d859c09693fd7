/*
 * dump.h: the statistics of this process, written where and how the options say. Layer 6.
 */
#ifndef QYI_DUMP_H
#define QYI_DUMP_H

#include "base.h"
#include "output.h"

/* Whether the options ask for any. */
bool qyi_dump_is_wanted(void);

/* At start, when the allocator has started: get ready, should a report be wanted. */
void qyi_dump_start(void);

/* At exit: write the report if it is wanted, once per process. */
void qyi_dump_finish(void);

/*
 * Write a report now. One at a time: others wait. False: it was not written, or not whole. *key, unless NULL, says what its name is
 * made from. After qyi_dump_finish nothing is written any more.
 */
bool qyi_dump(const char *reason, struct qyi_output_key *key);

/* The pattern that dumps are named by; NULL: standard error. */
const char *qyi_dump_pattern(void);

#endif

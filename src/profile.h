/*
 * profile.h: the heap profile: which stacks the memory that is in use comes from. Layer 6.
 */
#ifndef QYI_PROFILE_H
#define QYI_PROFILE_H

#include "base.h"
#include "text.h"

/* At load, after the options. */
void qyi_profile_start(void);

bool qyi_profile_is_on(void);

/* Write a profile of this moment into a file, as QUARRY_PROF and prof_format say. False: it could not be written. */
bool qyi_profile_dump(const char *reason);

/* At exit: the same, and the report of leaks, if it is wanted. */
void qyi_profile_finish(void);

/* The profile of this moment. Nothing is put if it is not on. Takes locks; allocates nothing. */
void qyi_profile_put_pprof(struct qyi_text *text);
void qyi_profile_put_legacy(struct qyi_text *text);
void qyi_profile_put_collapsed(struct qyi_text *text);

/* What is in use now, by stack, for people. */
void qyi_profile_put_leaks(struct qyi_text *text);

#endif

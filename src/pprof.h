/*
 * pprof.h: the heap profile as a protocol buffer. Layer 6.
 */
#ifndef QYI_PPROF_H
#define QYI_PPROF_H

#include "base.h"
#include "modules.h"
#include "text.h"

#include <sys/types.h>

struct qyi_pprof_about {
    const char *program;
    pid_t pid;
    size_t rate;
    uint64_t time_ns;     /* since 1970 */
    uint64_t duration_ns; /* since the profile began */
};

/* The caller has called qyi_sample_pin, and nobody else does so meanwhile. */
void qyi_pprof_put(struct qyi_text *text, const struct qyi_modules *modules, const struct qyi_pprof_about *about);

#endif

/*
 * options.h: what the environment asks for. Layer 1.
 *
 * QUARRY_STATS=text|json|prom[:PATH]  report at exit, on standard error or in a file named by a pattern (output.h)
 * QUARRY_PROF=1[:PATH]                heap profile, written at exit into a file named by a pattern (output.h)
 * QUARRY_ONLY=glob                   all QUARRY_ variables count only in programs whose name matches
 * QUARRY_OPTIONS=key:value,...       the rest; `help` lists the keys
 *
 * Read once, by the constructor (the environment is not yet safe when malloc is called first), with
 * secure_getenv; before that, and in privileged programs, the defaults below hold.
 */
#ifndef QYI_OPTIONS_H
#define QYI_OPTIONS_H

#include "base.h"

enum qyi_thp_policy {
    QYI_THP_DEFAULT, /* leave it to the system's setting */
    QYI_THP_ALWAYS,  /* MADV_HUGEPAGE on payload */
    QYI_THP_NEVER,   /* MADV_NOHUGEPAGE on payload */
};

enum qyi_track_policy {
    QYI_TRACK_OFF,
    QYI_TRACK_SITES, /* where references are made and dropped */
    QYI_TRACK_FULL,  /* the same, with the callers' callers */
};

enum qyi_prof_format {
    QYI_PROF_PPROF,     /* protocol buffer */
    QYI_PROF_LEGACY,    /* gperftools' text */
    QYI_PROF_COLLAPSED, /* a stack a line */
};

enum qyi_stats_format {
    QYI_STATS_OFF,
    QYI_STATS_TEXT,
    QYI_STATS_JSON,
    QYI_STATS_PROM,
};

enum qyi_live_policy {
    QYI_LIVE_OFF,
    QYI_LIVE_PAGE, /* numbers in shared memory, see page.h */
};

/* A value as it stands in the environment, not terminated: for those who look at start, for the program may overwrite it. */
struct qyi_option_text {
    const char *start;
    size_t length; /* 0: not set */
};

struct qyi_options {
    enum qyi_stats_format stats; /* QUARRY_STATS: report at exit */
    const char *stats_path;      /* where to, in the environment; NULL: standard error */
    uint32_t stats_interval_s;   /* stats_interval: a dump that often; 0: none */
    bool stats_peak;             /* stats_peak: a dump at every new peak */
    uint32_t stats_files;        /* stats_files: how many dumps of peaks are kept */
    uint32_t stats_cgroup; /* stats_cgroup: a dump when that many per cent of the cgroup's limit are used; 0: none */
    uint32_t stats_signal; /* stats_signal: a dump for this signal; 0: none */
    bool background;       /* background: a thread that purges while the program is idle */
    bool deepbind_drop;    /* deepbind: the interposed dlopen drops RTLD_DEEPBIND (default on) */
    bool verbose;          /* verbose: say once what was done on the program's behalf */
    enum qyi_thp_policy thp;
    enum qyi_track_policy buf_track;
    struct qyi_option_text http; /* http: where to serve, see listen.h */
    bool prof;                   /* QUARRY_PROF: profile the heap */
    bool prof_leaks;             /* prof_leaks: say at exit what has not been freed */
    const char *prof_path;       /* where to, in the environment; NULL: the usual name */
    enum qyi_prof_format prof_format;
    uint64_t prof_rate; /* prof_rate: mean bytes from sample to sample */
    uint64_t prof_seed; /* prof_seed: of the random numbers; 0: another one every time */
    enum qyi_live_policy live;
    uint32_t purge_delay_ms; /* purge: how long free memory stays resident; 0 is at once, -1 (UINT32_MAX) is never */
};

extern QYI_HIDDEN struct qyi_options qyi_options;

/* Parse the environment into qyi_options; warnings and help go to standard error by raw write. Never allocates. */
void qyi_options_read(void);

#endif

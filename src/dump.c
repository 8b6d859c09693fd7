/*
 * dump.c: the statistics of this process, written where and how the options say. Layer 6.
 *
 *     collect -> compose, in one buffer -> write, in one call if the system takes it as one
 *
 * I1  One dump at a time, under a lock, so that the last one of a process, at its end, comes last. Nothing else is locked meanwhile
 *     but what collecting takes for short times.
 * I2  Exit may be called in a signal handler that has interrupted a dump of the same thread: then there is no other.
 */
#include "dump.h"

#include "fork.h"
#include "json.h"
#include "lock.h"
#include "meta.h"
#include "options.h"
#include "prom.h"
#include "report.h"
#include "stats.h"
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10 }; /* holds everything but a map of gigabytes */

static struct {
    struct qyi_lock lock;
    struct memory {
        struct qyi_stats stats;
        char text[BUFFER_BYTES];
    } * memory; /* under the lock; NULL: no reports */
    const char *pattern;
    _Atomic pid_t finished; /* the process that has written its last report: a forked child writes one of its own */
} dump;

static void put(struct qyi_text *text, const struct qyi_stats *stats, const char *reason)
{
    switch (qyi_options.stats) {
    case QYI_STATS_JSON: qyi_json_put(text, stats, reason); break;
    case QYI_STATS_PROM: qyi_prom_put(text, stats); break;
    default: qyi_report_put(text, stats); break;
    }
}

static bool write_whole(struct qyi_output *output, const char *reason)
{
    struct memory *memory = dump.memory;
    struct qyi_text text = {.start = memory->text, .capacity = sizeof memory->text, .fd = output->fd};
    struct qyi_text_guard guard;
    qyi_stats_collect(&memory->stats);
    qyi_stats_measure(&memory->stats);
    qyi_text_guard(&guard);
    put(&text, &memory->stats, reason);
    qyi_text_flush(&text);
    qyi_text_unguard(&guard, &text);
    output->error = text.error;
    return qyi_output_commit(output, !text.failed);
}

/* The last one of the process if that is what it is for. */
static bool write_one(const char *reason, bool last, struct qyi_output_key *key)
{
    if (dump.memory == NULL || qyi_lock_is_mine(&dump.lock)) /* I2 */
        return false;
    const int saved_errno = errno;
    /* Reading and writing are points where a thread can be cancelled; exit and allocation functions are not. */
    int cancellation;
    const bool disabled = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation) == 0;
    struct qyi_output output;
    const pid_t pid = getpid();
    qyi_fork_check(); /* a child forked from now on has to know of the lock */
    qyi_lock(&dump.lock);
    bool done = atomic_load_explicit(&dump.finished, memory_order_relaxed) != pid;
    if (last)
        atomic_store_explicit(&dump.finished, pid, memory_order_relaxed);
    done = done && qyi_output_open(&output, dump.pattern, reason) && write_whole(&output, reason);
    qyi_unlock(&dump.lock);
    if (done && key != NULL)
        *key = output.key;
    if (disabled)
        pthread_setcancelstate(cancellation, NULL);
    errno = saved_errno;
    return done;
}

bool qyi_dump(const char *reason, struct qyi_output_key *key)
{
    return write_one(reason, false, key);
}

const char *qyi_dump_pattern(void)
{
    return dump.pattern;
}

/* ---- start and end ---- */

static void in_child(void)
{
    qyi_lock_after_fork(&dump.lock);
}

bool qyi_dump_is_wanted(void)
{
    return qyi_options.stats != QYI_STATS_OFF || qyi_options.stats_interval_s != 0 || qyi_options.stats_peak ||
           qyi_options.stats_cgroup != 0 || qyi_options.stats_signal != 0;
}

static void get_ready(void)
{
    qyi_output_start();
    dump.memory = qyi_meta_take(sizeof *dump.memory);
    if (qyi_options.stats_path != NULL) {
        dump.pattern = qyi_output_keep(qyi_options.stats_path);
        if (dump.pattern == NULL)
            dump.pattern = qyi_options.stats_path;
    }
    qyi_fork_add_hook(in_child);
}

QYI_ONCE void qyi_dump_start(void)
{
    if (qyi_dump_is_wanted())
        get_ready();
    else if (qyi_options.buf_track != QYI_TRACK_OFF)
        qyi_output_start();
}

QYI_ONCE void qyi_dump_finish(void)
{
    if (qyi_options.stats != QYI_STATS_OFF)
        write_one("exit", true, NULL);
}

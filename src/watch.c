/*
 * watch.c: dumps of the statistics while the program runs. Layer 6.
 *
 *     stats_interval  ---.                                       every so many seconds
 *     stats_peak      ---+-->  one thread, asleep between  -->   the footprint is a tenth and 4 MiB above that at the last dump
 *     stats_cgroup    ---|                                       the control group's limit is near
 *     stats_signal    ---'  a signal handler rings the bell      at once
 *
 * I1  There is no thread unless an option asks for it. It is lost in a forked child; the child's first tick starts another.
 * I2  All signals are blocked in the thread, so no handler of the program's runs there; it has a table of descriptors of its own
 *     where the kernel can do that, so it is never in the way of a program that counts on numbers of descriptors, or closes
 *     those that it does not know.
 * I3  The handler stores a number and wakes the thread; it calls nothing that is not safe in a handler.
 * I4  A signal that would end the program still does: after the dump, or, where there is no thread (in a forked child), or when it comes
 *     a second time, at once. A handler that the program installs takes the place of ours.
 * I5  The thread does not keep a process alive whose other threads have ended, and is never its last: it ends before main does, when
 *     main leaves by pthread_exit.
 */
#include "watch.h"

#include "cgroup.h"
#include "dump.h"
#include "fatal.h"
#include "fork.h"
#include "meta.h"
#include "options.h"
#include "os.h"
#include "profile.h"
#include "reclaim.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    STACK_BYTES = 128 << 10,
    LOOK_MS = 1000,     /* at the control group, and whether there are other threads */
    PEAK_LOOK_MS = 100, /* less than it takes to fill much memory */
    TICK_MS = 250,      /* a forked child's first tick after this time starts its thread */
    PEAK_PART = 10,     /* a new peak is higher by this part of the last one ... */
    CGROUP_CALM = 5,    /* per cent below the mark: the next time counts again */
    WAITING = 0,        /* of the bell: no signal has come */
};
static const size_t PEAK_STEP_BYTES = (size_t)4 << 20; /* ... and by this */

static struct {
    _Atomic pid_t runs_in;  /* the process that the thread runs in, or did before a fork */
    _Atomic uint32_t bell;  /* the signal that has come, or WAITING */
    _Atomic bool main_left; /* there is no thread from then on */
    _Atomic bool joinable;  /* `thread` is this process's */
    pthread_t thread;
    uint64_t (*others)(uint64_t now_ms); /* who used the tick before us */
    /* the thread's */
    uint64_t interval_ms, peak_ms, look_ms; /* when they are due */
    size_t peak_bytes;                      /* at the last dump; a forked child goes on from there */
    bool near;                              /* the control group's limit; there has been a dump */
    struct qyi_output_key *kept;            /* of peaks: a ring of stats_files; NULL: no memory for it */
    unsigned kept_count;                    /* so far */
} watch;

/* ---- signals ---- */

/* Those that are sent to end a program. The others say something else, although they may end it, too. */
static bool is_end(int number)
{
    return number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTERM || number == SIGXCPU ||
           number == SIGALRM || number == SIGVTALRM || number == SIGPROF;
}

static void on_signal(int number)
{
    const int saved_errno = errno;
    if (!is_end(number) || atomic_load_explicit(&watch.runs_in, memory_order_relaxed) == getpid()) {
        /* nothing else goes with it; where there is no thread yet, it waits for one */
        atomic_store_explicit(&watch.bell, (uint32_t)number, memory_order_relaxed);
        qyi_os_futex_wake(&watch.bell, 1);
    } else {
        raise(number); /* ours is not installed any more: SA_RESETHAND; it comes when this returns */
    }
    errno = saved_errno;
}

static void install_handler(int number)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct sigaction before;
    if (is_end(number))
        action.sa_flags |= (int)SA_RESETHAND;
    sigfillset(&action.sa_mask);
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
        sigaction(number, &action, NULL);
    else
        qyi_message("QUARRY_OPTIONS: stats_signal: the signal is ignored or handled already, and stays so");
}

/* ---- what the thread does ---- */

static void answer_signal(void)
{
    const uint32_t number = atomic_exchange_explicit(&watch.bell, WAITING, memory_order_relaxed);
    if (number == WAITING)
        return;
    qyi_dump("signal", NULL);
    (void)qyi_profile_dump("signal");
    if (is_end((int)number))
        kill(getpid(), (int)number); /* I4 */
}

static void look_at_interval(uint64_t now_ms)
{
    const uint64_t interval_ms = (uint64_t)qyi_options.stats_interval_s * 1000;
    if (interval_ms == 0 || now_ms < watch.interval_ms)
        return;
    if (watch.interval_ms != 0)
        qyi_dump("interval", NULL);
    else
        watch.interval_ms = now_ms;
    while (watch.interval_ms <= now_ms)
        watch.interval_ms += interval_ms;
}

/* Whether the files of two dumps have different names. */
static bool differ(const char *pattern, const struct qyi_output_key *a, const struct qyi_output_key *b)
{
    bool numbered = false;
    bool timed = false;
    for (const char *c = strchr(pattern, '%'); c != NULL && c[1] != '\0'; c = strchr(c + 2, '%')) {
        numbered |= c[1] == 'n';
        timed |= c[1] == 't';
    }
    return numbered || (timed && a->time_s != b->time_s);
}

/* The files of the latest peaks stay. On standard error nothing can be taken back: there the first ones are all. */
static void dump_peak(void)
{
    const unsigned limit = qyi_options.stats_files;
    const char *pattern = qyi_dump_pattern();
    struct qyi_output_key key;
    if ((pattern == NULL || watch.kept == NULL) && watch.kept_count >= limit)
        return;
    if (!qyi_dump("peak", &key))
        return;
    if (pattern != NULL && watch.kept != NULL) {
        struct qyi_output_key *oldest = &watch.kept[watch.kept_count % limit];
        const struct qyi_output_key *next = limit == 1 ? &key : &watch.kept[(watch.kept_count + 1) % limit];
        if (watch.kept_count >= limit && differ(pattern, oldest, next))
            qyi_output_remove(pattern, oldest);
        *oldest = key;
    }
    watch.kept_count++;
}

static void look_at_peak(uint64_t now_ms)
{
    if (!qyi_options.stats_peak || now_ms < watch.peak_ms)
        return;
    watch.peak_ms = now_ms + PEAK_LOOK_MS;
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    const size_t bytes = totals.used + totals.dirty;
    if (bytes < watch.peak_bytes + qyi_max(PEAK_STEP_BYTES, watch.peak_bytes / PEAK_PART))
        return;
    watch.peak_bytes = bytes;
    dump_peak();
}

static void look_at_cgroup(void)
{
    if (qyi_options.stats_cgroup == 0)
        return;
    const unsigned percent = qyi_cgroup_percent("/proc/self/cgroup", "/sys/fs/cgroup");
    if (percent >= qyi_options.stats_cgroup && !watch.near) {
        watch.near = true;
        qyi_dump("cgroup", NULL);
    } else if (percent + CGROUP_CALM <= qyi_options.stats_cgroup) {
        watch.near = false;
    }
}

/* The state letter of a process or thread, or 0: what follows its name, which may contain anything. */
static char state_of(const char *path)
{
    char text[128]; /* a number, and a name of 15 characters in brackets */
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[qyi_max((size_t)0, length > 0 ? (size_t)length : 0)] = '\0';
    const char *bracket = strrchr(text, ')');
    return bracket != NULL && bracket[1] == ' ' ? bracket[2] : '\0';
}

/* I5: main has left by pthread_exit, and what is left of it is the only entry beside this thread's. */
static bool is_alone(void)
{
    char entries[512];
    if (state_of("/proc/self/stat") != 'Z')
        return false;
    const int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned threads = 0;
    for (long got; fd >= 0 && (got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < got;) {
            const char *entry = entries + at; /* inode (8), offset (8), length (2), type (1), name */
            uint16_t length;
            memcpy(&length, entry + 16, sizeof length);
            threads += entry[19] != '.';
            at += length;
        }
    }
    if (fd >= 0)
        close(fd);
    return threads != 0 && threads <= 2;
}

/* Whether to go on. */
static bool look_around(uint64_t now_ms)
{
    if (now_ms < watch.look_ms)
        return true;
    watch.look_ms = now_ms + LOOK_MS;
    look_at_cgroup();
    return !is_alone();
}

/* ---- the thread ---- */

static void *watch_main(void *unused)
{
    (void)unused;
    (void)qyi_os_own_descriptors(qyi_output_stderr()); /* I2: but for standard error, where we have it */
    do {
        const uint64_t now_ms = qyi_os_now_ms();
        look_at_interval(now_ms);
        look_at_peak(now_ms);
        uint64_t pause_ms = qyi_options.stats_peak ? PEAK_LOOK_MS : LOOK_MS;
        if (qyi_options.stats_interval_s != 0)
            pause_ms = qyi_min(pause_ms, qyi_max(1, watch.interval_ms - now_ms));
        qyi_os_futex_wait_until(&watch.bell, WAITING, qyi_os_now_ns() + pause_ms * 1000000);
        answer_signal();
    } while (!atomic_load_explicit(&watch.main_left, memory_order_relaxed) && look_around(qyi_os_now_ms()));
    atomic_store_explicit(&watch.runs_in, 0, memory_order_relaxed);
    return NULL;
}

/* Unless it runs. Refused: the next tick tries again. */
static void start_thread(void)
{
    pid_t none = 0;
    if (atomic_load_explicit(&watch.main_left, memory_order_relaxed))
        return;
    /* elects one; what it hands to the thread goes by way of pthread_create */
    if (!atomic_compare_exchange_strong_explicit(&watch.runs_in, &none, getpid(), memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    const int saved_errno = errno;
    qyi_fork_register();
    watch.interval_ms = 0;
    watch.kept_count = 0; /* those of a parent are its own */
    if (qyi_os_thread(&watch.thread, STACK_BYTES, watch_main) == 0)
        atomic_store_explicit(&watch.joinable, true, memory_order_release); /* pairs with the acquire in main_ends */
    else
        atomic_store_explicit(&watch.runs_in, 0, memory_order_relaxed);
    errno = saved_errno;
}

/* Main leaves by pthread_exit, and others go on: I5. */
static void main_ends(void *unused)
{
    (void)unused;
    atomic_store_explicit(&watch.main_left, true, memory_order_relaxed);
    /* acquire: pairs with the release in start_thread, so that `thread` is there */
    if (!atomic_exchange_explicit(&watch.joinable, false, memory_order_acquire))
        return;
    qyi_os_futex_wake(&watch.bell, 1);
    pthread_join(watch.thread, NULL);
}

/* In the slow paths of malloc, now and then. */
static uint64_t tick(uint64_t now_ms)
{
    if (atomic_load_explicit(&watch.runs_in, memory_order_relaxed) == 0)
        start_thread();
    const uint64_t due_ms = watch.others != NULL ? watch.others(now_ms) : UINT64_MAX - 1;
    return qyi_min(due_ms, now_ms + TICK_MS);
}

static void in_child(void)
{
    atomic_store_explicit(&watch.joinable, false, memory_order_relaxed);
    atomic_store_explicit(&watch.main_left, false, memory_order_relaxed);
    atomic_store_explicit(&watch.runs_in, 0, memory_order_relaxed);
}

static QYI_COLD void begin(void)
{
    if (qyi_options.stats_peak)
        watch.kept = qyi_meta_take(qyi_options.stats_files * sizeof *watch.kept);
    watch.others = atomic_load_explicit(&qyi_reclaim_watcher, memory_order_acquire);
    atomic_store_explicit(&qyi_reclaim_watcher, tick, memory_order_release); /* pairs with the acquire in reclaim.c */
    qyi_fork_add_hook(in_child);
    if (qyi_os_is_main_thread())
        (void)qyi_os_at_main_end(main_ends);
    start_thread();
    if (qyi_options.stats_signal != 0)
        install_handler((int)qyi_options.stats_signal);
}

QYI_ONCE void qyi_watch_start(void)
{
    if (QYI_UNLIKELY(qyi_options.stats_interval_s != 0 || qyi_options.stats_peak || qyi_options.stats_cgroup != 0 ||
                     qyi_options.stats_signal != 0))
        begin();
}

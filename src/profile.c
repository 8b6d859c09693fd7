/*
 * profile.c: the heap profile's reports. Layer 6.
 *
 *     pprof      pprof.c
 *     legacy     text of gperftools' kind: "objects: bytes [allocated objects: bytes] @ addresses", then the process's mappings
 *     collapsed  "main;parse;malloc_user 4096": a stack a line, from the outside in, with the bytes in use, for flame graphs
 *
 * Numbers are estimates as they stand: readers must not correct them once more, hence "@ heapprofile" and not "@ heap_v2".
 *
 * A process that goes on meanwhile changes the numbers: each stack's are of one moment, and the stacks' moments differ a little.
 * Whoever writes a report holds a lock that only others who do so want; the tables' own is held for moments.
 */
#include "profile.h"

#include "fatal.h"
#include "fork.h"
#include "lock.h"
#include "meta.h"
#include "modules.h"
#include "options.h"
#include "os.h"
#include "output.h"
#include "pprof.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LEAKS_SHOWN = 10,
    LEAK_FRAMES = 12,
    NAME_MAX_SHOWN = 200,
    BUFFER_BYTES = 4096,
    LOCK_TRY_COUNT = 100000,
};

static struct {
    struct qyi_lock lock;
    struct qyi_modules *modules; /* under the lock */
    const char *pattern;
    uint64_t started_ns;
    _Atomic pid_t told; /* the process that has ended with a profile */
} reports;

/* ---- taking turns ---- */

static void in_child(void)
{
    (void)qyi_lock_after_fork(&reports.lock);
}

/* 0; EBUSY: there is no profile, or somebody writes one and does not end, or it is this thread, interrupted; ENOMEM. */
static int take_turn(void)
{
    if (!qyi_is_profiling() || qyi_lock_is_mine(&reports.lock) || qyi_sample_is_mine())
        return EBUSY;
    unsigned tries = LOCK_TRY_COUNT;
    while (!qyi_lock_try(&reports.lock)) {
        if (--tries == 0)
            return EBUSY;
        sched_yield();
    }
    if (reports.modules == NULL)
        reports.modules = qyi_meta_take(sizeof *reports.modules);
    if (reports.modules == NULL) {
        qyi_unlock(&reports.lock);
        return ENOMEM;
    }
    qyi_modules_list(reports.modules);
    return 0;
}

/* False: there will be no report, and what it was to be written to is not whole. */
static bool begin(struct qyi_text *text)
{
    const int error = take_turn();
    if (error == 0)
        return true;
    text->failed = true;
    text->error = error;
    return false;
}

static void end(void)
{
    qyi_unlock(&reports.lock);
}

/* ---- names of places ---- */

/* What would end a name, in a format that separates by these. */
static void put_name(struct qyi_text *text, const char *name)
{
    for (size_t i = 0; name[i] != '\0' && i < NAME_MAX_SHOWN; i++) {
        const char c = name[i] > ' ' && name[i] != ';' && name[i] != 0x7f ? name[i] : '_';
        qyi_put_part(text, &c, 1);
    }
}

static void put_hex(struct qyi_text *text, uint64_t number)
{
    char digits[2 + 16];
    size_t first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[number & 15];
        number >>= 4;
    } while (number != 0);
    digits[--first] = 'x';
    digits[--first] = '0';
    qyi_put_part(text, digits + first, sizeof digits - first);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The module and the address in it, as addr2line wants it. */
static void put_place(struct qyi_text *text, uintptr_t address, bool with_folder)
{
    const unsigned number = qyi_modules_find(reports.modules, address);
    if (number == reports.modules->count) {
        put_hex(text, address);
        return;
    }
    const struct qyi_module *module = &reports.modules->module[number];
    put_name(text, with_folder ? module->name : base_name(module->name));
    qyi_put(text, "+");
    put_hex(text, address - module->base);
}

/* ---- formats ---- */

static uint64_t objects(struct qyi_weight weight)
{
    return (weight.objects + (1 << (QYI_WEIGHT_SHIFT - 1))) >> QYI_WEIGHT_SHIFT;
}

void qyi_profile_put_pprof(struct qyi_text *text)
{
    struct timespec now;
    if (!begin(text))
        return;
    qyi_sample_pin();
    clock_gettime(CLOCK_REALTIME, &now);
    const struct qyi_pprof_about about = {
        .program = qyi_output_program(),
        .pid = getpid(),
        .rate = qyi_meter_rate,
        .time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
        .duration_ns = qyi_os_now_ns() - reports.started_ns,
    };
    qyi_pprof_put(text, reports.modules, &about);
    end();
}

static void put_counts(struct qyi_text *text, struct qyi_weight live, struct qyi_weight allocated)
{
    qyi_put_word(text, qyi_number_word(objects(live)), 6);
    qyi_put(text, ": ");
    qyi_put_word(text, qyi_number_word(live.bytes), 8);
    qyi_put(text, " [");
    qyi_put_word(text, qyi_number_word(objects(allocated)), 6);
    qyi_put(text, ": ");
    qyi_put_word(text, qyi_number_word(allocated.bytes), 8);
    qyi_put(text, "] @");
}

static void put_maps(struct qyi_text *text)
{
    char part[1024];
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    for (;;) {
        const ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        qyi_put_part(text, part, (size_t)got);
    }
    close(fd);
}

void qyi_profile_put_legacy(struct qyi_text *text)
{
    struct qyi_stack_values values;
    struct qyi_sample_totals totals;
    if (!begin(text))
        return;
    qyi_sample_totals(&totals);
    qyi_put(text, "heap profile: ");
    put_counts(text, totals.live, totals.allocated);
    qyi_put(text, " heapprofile\n");
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        qyi_sample_read(stack, &values);
        put_counts(text, values.live, values.allocated);
        for (uint32_t i = 0; i < stack->depth; i++) {
            if (stack->place[i] == 0)
                continue;
            qyi_put(text, " ");
            put_hex(text, qyi_sample_place(stack->place[i]) + 1); /* readers expect return addresses */
        }
        qyi_put(text, "\n");
    }
    qyi_put(text, "\nMAPPED_LIBRARIES:\n");
    put_maps(text);
    end();
}

void qyi_profile_put_collapsed(struct qyi_text *text)
{
    struct qyi_stack_values values;
    if (!begin(text))
        return;
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        qyi_sample_read(stack, &values);
        if (values.live.bytes == 0)
            continue;
        bool first = true;
        for (uint32_t i = stack->depth; i-- > 0;) {
            if (stack->place[i] == 0)
                continue;
            qyi_put(text, first ? "" : ";");
            put_place(text, qyi_sample_place(stack->place[i]), false);
            first = false;
        }
        qyi_put(text, first ? "unknown " : " ");
        qyi_put_number(text, values.live.bytes);
        qyi_put(text, "\n");
    }
    end();
}

/* ---- leaks ---- */

/* The stack with the most in use, of those with less than the last one that was shown. */
static const struct qyi_stack *largest_below(uint64_t bytes, const struct qyi_stack *last,
                                             struct qyi_stack_values *values)
{
    const struct qyi_stack *largest = NULL;
    bool passed = last == NULL; /* of those that are equal, the ones after it */
    values->live.bytes = 0;
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        struct qyi_stack_values own;
        qyi_sample_read(stack, &own);
        if (own.live.bytes > values->live.bytes && (own.live.bytes < bytes || (own.live.bytes == bytes && passed))) {
            largest = stack;
            *values = own;
        }
        passed = passed || stack == last;
    }
    return largest;
}

static void put_leak(struct qyi_text *text, const struct qyi_stack *stack, const struct qyi_stack_values *values)
{
    qyi_put(text, "quarry:   ");
    qyi_put_word(text, qyi_bytes_word(values->live.bytes), 0);
    qyi_put(text, " in ");
    qyi_put_number(text, objects(values->live));
    qyi_put(text, " blocks (");
    qyi_put_number(text, values->samples);
    qyi_put(text, values->samples == 1 ? " sample), allocated at\n" : " samples), allocated at\n");
    unsigned shown = 0;
    for (uint32_t i = 0; i < stack->depth && shown < LEAK_FRAMES; i++) {
        if (stack->place[i] == 0)
            continue;
        qyi_put(text, "quarry:     ");
        put_place(text, qyi_sample_place(stack->place[i]), true);
        qyi_put(text, "\n");
        shown++;
    }
}

void qyi_profile_put_leaks(struct qyi_text *text)
{
    struct qyi_sample_totals totals;
    struct qyi_stack_values values = {0};
    if (!begin(text))
        return;
    qyi_sample_totals(&totals);
    qyi_put(text, "quarry: heap profile: about ");
    qyi_put_word(text, qyi_bytes_word(totals.live.bytes), 0);
    qyi_put(text, " in ");
    qyi_put_number(text, objects(totals.live));
    qyi_put(text, " blocks not freed\n");
    const struct qyi_stack *stack = NULL;
    uint64_t bytes = UINT64_MAX;
    for (unsigned i = 0; i < LEAKS_SHOWN; i++) {
        stack = largest_below(bytes, stack, &values);
        if (stack == NULL)
            break;
        put_leak(text, stack, &values);
        bytes = values.live.bytes;
    }
    end();
}

/* ---- files ---- */

bool qyi_profile_is_on(void)
{
    return qyi_is_profiling();
}

static void put_in_format(struct qyi_text *text)
{
    switch (qyi_options.prof_format) {
    case QYI_PROF_PPROF: qyi_profile_put_pprof(text); break;
    case QYI_PROF_LEGACY: qyi_profile_put_legacy(text); break;
    case QYI_PROF_COLLAPSED: qyi_profile_put_collapsed(text); break;
    }
}

/* Write with put to a file, or (pattern NULL) to standard error. */
static bool write_output(const char *pattern, const char *reason, void (*put)(struct qyi_text *))
{
    char buffer[BUFFER_BYTES];
    struct qyi_output output;
    struct qyi_text_guard guard;
    int cancellation;
    const int saved_errno = errno;
    const bool disabled = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation) == 0;
    bool written = false;
    if (qyi_output_open(&output, pattern, reason)) {
        struct qyi_text text = {.start = buffer, .capacity = sizeof buffer, .fd = output.fd};
        qyi_text_guard(&guard);
        put(&text);
        qyi_text_flush(&text);
        qyi_text_unguard(&guard, &text);
        output.error = text.error;
        written = qyi_output_commit(&output, !text.failed);
    }
    if (disabled)
        pthread_setcancelstate(cancellation, NULL);
    errno = saved_errno;
    return written;
}

bool qyi_profile_dump(const char *reason)
{
    return qyi_is_profiling() && write_output(reports.pattern, reason, put_in_format);
}

QYI_ONCE void qyi_profile_start(void)
{
    static const char *const patterns[] = {"quarry.%e.%p.%n.pb", "quarry.%e.%p.%n.heap", "quarry.%e.%p.%n.collapsed"};
    if (!qyi_options.prof)
        return;
    qyi_output_start();
    const char *pattern = qyi_options.prof_path != NULL ? qyi_options.prof_path : patterns[qyi_options.prof_format];
    reports.pattern = qyi_output_keep(pattern);
    if (reports.pattern == NULL)
        reports.pattern = pattern;
    reports.started_ns = qyi_os_now_ns();
    if (!qyi_sample_start(qyi_options.prof_rate, qyi_options.prof_seed)) {
        qyi_message("QUARRY_PROF: there is no memory, or callers cannot be found: there will be no profile");
        return;
    }
    qyi_fork_add_hook(in_child);
}

static void tell_missing(uint64_t missing, uint64_t all, const char *reason, const char *advice)
{
    if (missing == 0)
        return;
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: QUARRY_PROF: ");
    qyi_line_text(&line, reason);
    qyi_line_number(&line, missing);
    qyi_line_text(&line, " samples of ");
    qyi_line_number(&line, all);
    qyi_line_text(&line, " are missing in the profile");
    qyi_line_text(&line, advice);
    qyi_line_write(&line, STDERR_FILENO);
}

static void tell_lost(void)
{
    struct qyi_sample_totals totals;
    qyi_sample_totals(&totals);
    tell_missing(totals.lost, totals.lost + totals.samples,
                 "the tables are full: ", "; a larger prof_rate takes fewer");
    tell_missing(totals.forgotten, totals.samples,
                 "another thread was changing the tables at the fork: ", " of this child, as live ones");
}

QYI_ONCE void qyi_profile_finish(void)
{
    if (!qyi_is_profiling())
        return;
    const pid_t pid = getpid();
    if (atomic_exchange_explicit(&reports.told, pid, memory_order_relaxed) == pid) /* elects one thread */
        return;
    tell_lost();
    (void)qyi_profile_dump("exit");
    if (qyi_options.prof_leaks)
        (void)write_output(NULL, "exit", qyi_profile_put_leaks);
}

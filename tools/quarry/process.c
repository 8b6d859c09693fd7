/*
 * process.c: memory of a process that goes on meanwhile, or stands still: process_vm_readv, which neither traces nor stops it. It takes
 * the right to trace it, all the same: to be the same user, and the system's leave.
 */
#include "command.h"
#include "target.h"

#include "base.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 64 };

static FILE *open_proc(pid_t pid, const char *file)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    return fopen(path, "re");
}

/* ---- why not ---- */

static long yama_scope(void)
{
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    long scope = 0;
    if (file != NULL) {
        if (fscanf(file, "%ld", &scope) != 1)
            scope = 0;
        fclose(file);
    }
    return scope;
}

/* The user that the process runs as; false: it has gone. */
static bool user_of(pid_t pid, uid_t *user)
{
    FILE *file = open_proc(pid, "status");
    if (file == NULL)
        return false;
    char line[256];
    unsigned id = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "Uid: %u", &id) == 1;
    fclose(file);
    *user = id;
    return found;
}

/* The page needs less than its memory does. */
#define LIVE_HINT "; or start it with QUARRY_OPTIONS=live:page, which is enough for quarry stat"

const char *process_refusal(pid_t pid)
{
    uid_t user = 0;
    if (user_of(pid, &user) && user != geteuid() && geteuid() != 0)
        return "it runs as another user: be that user, or root";
    switch (yama_scope()) {
    case 0: return "it may not be looked into (it has privileges, or has asked not to be dumped): be root";
    case 1:
        return "the system lets only parents look into a process (kernel.yama.ptrace_scope is 1): be root, "
               "or set kernel.yama.ptrace_scope to 0" LIVE_HINT;
    case 2: return "the system lets only root look into a process (kernel.yama.ptrace_scope is 2): be root" LIVE_HINT;
    default: return "the system lets nobody look into a process (kernel.yama.ptrace_scope is 3)" LIVE_HINT;
    }
}

bool process_is_closed(pid_t pid)
{
    char byte;
    const struct iovec here = {.iov_base = &byte, .iov_len = 1};
    const struct iovec there = {.iov_base = NULL, .iov_len = 1}; /* who may read is told that this cannot be */
    return process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

static _Noreturn void fail_gone(pid_t pid)
{
    fail("there is no process %d", pid);
}

/* Zombies have a number, and no memory. */
static char state_of(pid_t pid)
{
    FILE *file = open_proc(pid, "stat");
    char state = 0;
    if (file != NULL) {
        char line[512];
        const char *end = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
        if (end != NULL)
            state = end[2];
        fclose(file);
    }
    return state;
}

static bool has_ended(pid_t pid)
{
    const char state = state_of(pid);
    return state == 0 || state == 'Z' || state == 'X';
}

/* ---- mappings ---- */

static void forget_mappings(struct target *target)
{
    for (size_t i = 0; i < target->mapping_count; i++)
        free(target->mappings[i].path);
    free(target->mappings);
    target->mappings = NULL;
    target->mapping_count = 0;
}

static void add_line(struct target *target, const char *line, size_t *room)
{
    struct mapping mapping = {0};
    int path_at = 0;
    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &mapping.start, &mapping.end, &mapping.offset, &path_at) < 3)
        return;
    if (path_at != 0 && line[path_at] == '/')
        mapping.path = strndup(line + path_at, strcspn(line + path_at, "\n"));
    if (target->mapping_count == *room) {
        *room = *room * 2 + 64;
        target->mappings = realloc(target->mappings, *room * sizeof *target->mappings);
        if (target->mappings == NULL)
            fail("out of memory");
    }
    target->mappings[target->mapping_count++] = mapping;
}

void process_read_mappings(struct target *target)
{
    forget_mappings(target);
    FILE *file = open_proc(target->pid, "maps");
    if (file == NULL && (errno == ENOENT || errno == ESRCH))
        fail_gone(target->pid);
    if (file == NULL && (errno == EACCES || errno == EPERM))
        fail("%s cannot be read: %s", target->name, process_refusal(target->pid));
    if (file == NULL)
        fail("%s: cannot read its mappings: %s", target->name, strerror(errno));
    char *line = NULL;
    size_t line_bytes = 0;
    size_t room = 0;
    while (getline(&line, &line_bytes, file) > 0)
        add_line(target, line, &room);
    free(line);
    fclose(file);
    if (target->mapping_count == 0 && has_ended(target->pid))
        fail("%s has ended", target->name);
    if (target->mapping_count == 0)
        fail("%s has no memory of its own: it is the kernel's", target->name);
}

int open_regular(const char *path)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

int process_open_file(const struct target *target, const struct mapping *mapping)
{
    char path[PATH_BYTES];
    int fd = -1;
    if (!target->is_core) {
        /* The very file, even if it has been replaced; takes privileges. */
        snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", target->pid, mapping->start, mapping->end);
        fd = open_regular(path);
        if (fd < 0) { /* by its name, where that means something */
            char *inside = NULL;
            if (asprintf(&inside, "/proc/%d/root%s", target->pid, mapping->path) > 0)
                fd = open_regular(inside);
            free(inside);
        }
    }
    return fd >= 0 ? fd : open_regular(mapping->path);
}

/* ---- memory ---- */

static size_t process_read(struct target *target, void *copy, uint64_t address, size_t bytes)
{
    const struct iovec here = {.iov_base = copy, .iov_len = bytes};
    const struct iovec there = {.iov_base = (void *)address, .iov_len = bytes}; /* NOLINT(performance-no-int-to-ptr) */
    const ssize_t got = process_vm_readv(target->pid, &here, 1, &there, 1, 0);
    return got < 0 ? 0 : (size_t)got;
}

void target_check_alive(struct target *target)
{
    if (target->is_core)
        return;
    if (has_ended(target->pid))
        fail("%s has ended", target->name);
    char byte;
    const struct iovec here = {.iov_base = &byte, .iov_len = 1};
    const struct iovec there = {.iov_base = (void *)(target->mapping_count == 0 ? 0 : target->mappings[0].start),
                                .iov_len = 1};
    if (process_vm_readv(target->pid, &here, 1, &there, 1, 0) >= 0)
        return;
    if (errno == ESRCH)
        fail("%s has ended", target->name);
    if (errno == EPERM)
        fail("%s cannot be read: %s", target->name, process_refusal(target->pid));
    if (errno == ENOSYS)
        fail("%s cannot be read: this kernel has no process_vm_readv", target->name);
}

static void read_program(struct target *target)
{
    FILE *file = open_proc(target->pid, "comm");
    if (file == NULL)
        fail_gone(target->pid);
    if (fgets(target->program, sizeof target->program, file) == NULL)
        target->program[0] = '\0';
    target->program[strcspn(target->program, "\n")] = '\0';
    fclose(file);
}

struct target *process_open(pid_t pid)
{
    struct target *target = calloc(1, sizeof *target);
    if (target == NULL)
        fail("out of memory");
    target->pid = pid;
    target->read = process_read;
    read_program(target);
    char *name;
    if (asprintf(&name, "process %d (%s)", pid, target->program) < 0)
        fail("out of memory");
    target_set_name(target, name);
    process_read_mappings(target);
    target_check_alive(target);
    return target;
}

/* ---- what is resident ---- */

/* What the kernel counts as resident of these addresses; unlike pagemap, without pages of zeros that were only read. */
static size_t resident_between(pid_t pid, uint64_t start, uint64_t end)
{
    FILE *file = open_proc(pid, "smaps");
    char *line = NULL;
    size_t line_bytes = 0;
    size_t kib = 0;
    uint64_t from = 0;
    uint64_t to = 0;
    size_t resident = 0;
    while (file != NULL && getline(&line, &line_bytes, file) > 0) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            continue;
        if (from >= start && to <= end && sscanf(line, "Rss: %zu", &kib) == 1)
            resident += kib << 10;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return resident;
}

static void read_status(const struct target *target, struct qyi_stats *stats)
{
    FILE *file = open_proc(target->pid, "status");
    char line[256];
    size_t kib;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %zu", &kib) == 1)
            stats->resident = kib << 10;
        if (sscanf(line, "VmHWM: %zu", &kib) == 1)
            stats->resident_peak = kib << 10;
    }
    if (file != NULL)
        fclose(file);
}

void process_measure(const struct target *target, struct qyi_stats *stats, uint64_t base, uint64_t bytes)
{
    stats->resident = stats->resident_peak = stats->resident_ours = 0;
    read_status(target, stats);
    stats->resident_ours = qyi_min(resident_between(target->pid, base, base + bytes), stats->resident);
    stats->resident_peak = qyi_max(stats->resident_peak, stats->resident);
}

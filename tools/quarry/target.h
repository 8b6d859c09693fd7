/*
 * target.h: whom we look at: a process, running or stopped, or a core file. Nothing is stopped, traced or injected.
 */
#ifndef QUARRY_TARGET_H
#define QUARRY_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A stretch of memory, and the file it comes from. */
struct mapping {
    uint64_t start, end, offset;
    char *path; /* NULL: no file's */
};

struct target {
    const char *name; /* "process 123 (redis-server)", "core file x (redis-server)": for messages */
    pid_t pid;        /* 0: a core that does not say */
    char program[64];
    bool is_core;
    uint64_t written_ms;      /* a core file's time, in milliseconds since 1970 */
    struct mapping *mappings; /* in order */
    size_t mapping_count;
    /* Copy memory; returns the bytes from the start on that could be had. The target may vanish any time: then 0, ever after. */
    size_t (*read)(struct target *target, void *copy, uint64_t address, size_t bytes);
    struct core *core;
};

/* A number is a process; everything else is the name of a core file. Ends with a message if it cannot be had. */
struct target *target_open(const char *argument);

/* The same, but core files are refused, for command. */
struct target *target_open_process(const char *command, const char *argument);

/* Take the name, without what a terminal would obey: a process chooses what it is called. */
void target_set_name(struct target *target, char *name);

/* All of it or nothing. */
bool target_read(struct target *target, void *copy, uint64_t address, size_t bytes);

/* End with a message if the process has gone, or cannot be read any more. */
void target_check_alive(struct target *target);

/* Where qy_root is. Ends with a message if there is no Quarry in it. */
uint64_t target_find_root(struct target *target);

/* ---- process.c ---- */

struct target *process_open(pid_t pid);

/* The kernel lets nobody, or not us, read the memory of this process. */
bool process_is_closed(pid_t pid);

/* Open a file whose name the target has chosen: no pipe that nobody writes to, no device. -1 if it cannot be had. */
int open_regular(const char *path);

/* Read the list of mappings again. */
void process_read_mappings(struct target *target);

/* A file that is mapped, opened; -1 if it cannot be had. */
int process_open_file(const struct target *target, const struct mapping *mapping);

struct qyi_stats;

/* Fill in what is resident, of the whole process and of the addresses [base, base + bytes). */
void process_measure(const struct target *target, struct qyi_stats *stats, uint64_t base, uint64_t bytes);

/* Why the kernel says no, as part of a sentence. */
const char *process_refusal(pid_t pid);

/* ---- core.c ---- */

struct target *core_open(const char *path);

/* ---- module.c ---- */

/* The value of a symbol in an ELF file that is mapped with its byte `offset` at start; 0: no such symbol. */
uint64_t module_symbol(int fd, const char *symbol, uint64_t start, uint64_t offset);

#endif

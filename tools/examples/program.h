/*
 * program.h: what every program of this folder needs to behave: messages that name the culprit, options, signals.
 */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* The name that messages begin with: the last part of argv[0]. */
void program_name(const char *argv0);

/* "NAME: message" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and exit status 1. */
noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For wrong options: exit status 2, and where to find help. */
noreturn void die_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same where getopt has said already what is wrong. */
noreturn void die_option(void);

/* NULL ends the program: out of memory. */
void *need(void *block);

/* An option's number, with K, M or G for powers of 1024; anything else, or beyond the limits, ends the program. */
uint64_t number_of(const char *option, const char *text, uint64_t least, uint64_t most);

/* The index of text in names, which ends with NULL; anything else ends the program. */
int choice_of(const char *option, const char *text, const char *const *names);

/* SIGTERM and SIGINT arrive at the descriptor from now on, and SIGPIPE nowhere. */
int signals_to_descriptor(void);

/* A listening TCP socket; port 0: any free one. Ends the program if that does not work. */
int listen_at(const char *address, uint16_t port);

/* The port that a socket has. */
uint16_t port_of(int fd);

/* As many descriptors as the system allows. */
void raise_descriptor_limit(void);

void set_nonblocking(int fd);

double seconds_now(void);

/* CPU seconds of this process so far. */
struct cpu_seconds {
    double user, system;
};
struct cpu_seconds cpu_seconds(void);

/* A value of /proc/self/status in KiB, "VmRSS" or "VmHWM"; 0 if it cannot be read. */
size_t memory_kib(const char *name);

#endif

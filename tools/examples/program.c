/*
 * program.c: see program.h. Nothing here knows of Quarry.
 */
#define _GNU_SOURCE
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *name = "?";

void program_name(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    name = slash != NULL ? slash + 1 : argv0;
}

static void say(const char *format, va_list arguments)
{
    fflush(stdout);
    fprintf(stderr, "%s: ", name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    exit(1);
}

void die_option(void)
{
    fprintf(stderr, "Try '%s --help'.\n", name);
    exit(2);
}

void die_usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    die_option();
}

void *need(void *block)
{
    if (block == NULL)
        die("out of memory");
    return block;
}

uint64_t number_of(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    bool good = errno == 0 && end != text && *text != '-';
    const char *unit = *end != '\0' ? strchr("KMG", *end) : NULL;
    if (unit != NULL) {
        const unsigned shift = *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
        good = good && value <= UINT64_MAX >> shift;
        value <<= shift;
        end++;
    }
    if (!good || *end != '\0')
        die_usage("--%s: '%s' is not a number", option, text);
    if (value < least || value > most)
        die_usage("--%s: %s is not between %ju and %ju", option, text, (uintmax_t)least, (uintmax_t)most);
    return value;
}

int choice_of(const char *option, const char *text, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(text, names[i]) == 0)
            return i;
    }
    die_usage("--%s: there is no '%s'", option, text);
}

int signals_to_descriptor(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0)
        die("sigprocmask: %s", strerror(errno));
    const int fd = signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        die("signalfd: %s", strerror(errno));
    return fd;
}

int listen_at(const char *address, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        die_usage("'%s' is not an IPv4 address", address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int yes = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0)
        die("cannot listen at %s port %u: %s", address, port, strerror(errno));
    return fd;
}

uint16_t port_of(int fd)
{
    struct sockaddr_in at = {0};
    socklen_t length = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &length) != 0)
        die("getsockname: %s", strerror(errno));
    return ntohs(at.sin_port);
}

void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void set_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        die("fcntl: %s", strerror(errno));
}

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

struct cpu_seconds cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct cpu_seconds){.user = seconds_of(usage.ru_utime), .system = seconds_of(usage.ru_stime)};
}

size_t memory_kib(const char *field)
{
    char line[256];
    size_t kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        const size_t length = strlen(field);
        if (strncmp(line, field, length) == 0 && line[length] == ':')
            kib = strtoul(line + length + 1, NULL, 10);
    }
    if (status != NULL)
        fclose(status);
    return kib;
}

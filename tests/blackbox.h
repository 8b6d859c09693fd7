/*
 * Black-box test helpers.
 *
 * Every program that includes this file is an ordinary program: it knows nothing of Quarry, runs under LD_PRELOAD and
 * checks what any malloc must do. Nothing here allocates, so that a broken allocator cannot break its own harness:
 * messages go through a buffer on the stack and write(2), failures leave by _exit(2).
 *
 * When BLACKBOX_LIB names a shared library, a constructor verifies that malloc really comes from that file. Without this a
 * library that fails to load would pass every test, because glibc does.
 */
#ifndef BLACKBOX_H
#define BLACKBOX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BB_KIB ((size_t)1 << 10)
#define BB_MIB ((size_t)1 << 20)
#define BB_GIB ((size_t)1 << 30)
#define BB_SKIP_STATUS 77
#define BB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define BB_UNUSED __attribute__((unused))

/* ---- messages ---- */

static BB_UNUSED void bb_write(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, text, length);
        if (done <= 0)
            return;
        text += done;
        length -= (size_t)done;
    }
}

__attribute__((format(printf, 2, 0))) static BB_UNUSED void bb_vprint(int fd, const char *format, va_list args)
{
    char text[1024];
    int length = vsnprintf(text, sizeof(text) - 1, format, args);
    if (length < 0)
        return;
    if ((size_t)length > sizeof(text) - 2)
        length = (int)sizeof(text) - 2;
    text[length++] = '\n';
    bb_write(fd, text, (size_t)length);
}

/* Says something on stdout: figures worth keeping in the log. */
__attribute__((format(printf, 1, 2))) static BB_UNUSED void bb_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bb_vprint(STDOUT_FILENO, format, args);
    va_end(args);
}

__attribute__((format(printf, 1, 2), noreturn)) static BB_UNUSED void bb_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bb_vprint(STDERR_FILENO, format, args);
    va_end(args);
    _exit(1);
}

__attribute__((format(printf, 1, 2), noreturn)) static BB_UNUSED void bb_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bb_vprint(STDOUT_FILENO, format, args);
    va_end(args);
    _exit(BB_SKIP_STATUS);
}

/* CHECK(condition) or CHECK(condition, "format", …): prints where and what, and ends the program. */
#define CHECK(...)                                                                                     \
    BB_CHECK_PICK(__VA_ARGS__, BB_CHECK_MESSAGE, BB_CHECK_MESSAGE, BB_CHECK_MESSAGE, BB_CHECK_MESSAGE, \
                  BB_CHECK_MESSAGE, BB_CHECK_MESSAGE, BB_CHECK_PLAIN, unused)                          \
    (__VA_ARGS__)
#define BB_CHECK_PICK(a, b, c, d, e, f, g, name, ...) name
#define BB_CHECK_PLAIN(condition)                                                           \
    do {                                                                                    \
        if (!(condition))                                                                   \
            bb_fail("%s:%d: failed: %s (errno %d)", __FILE__, __LINE__, #condition, errno); \
    } while (0)
#define BB_CHECK_MESSAGE(condition, format, ...)                                                  \
    do {                                                                                          \
        if (!(condition))                                                                         \
            bb_fail("%s:%d: failed: %s: " format, __FILE__, __LINE__, #condition, ##__VA_ARGS__); \
    } while (0)

/* ---- hiding values from the optimiser, so that it neither deletes calls nor warns about misuse ---- */

static inline void *bb_hide(const void *pointer)
{
    void *hidden = (void *)(uintptr_t)pointer;
    __asm__ volatile("" : "+r"(hidden) : : "memory");
    return hidden;
}

static inline size_t bb_hide_size(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

/* ---- the allocator under test ---- */

/* True when both names lead to one file. */
static BB_UNUSED bool bb_same_file(const char *left, const char *right)
{
    struct stat a, b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The file that defines the code at address, or NULL. */
static BB_UNUSED const char *bb_file_of(void *address)
{
    Dl_info info;
    return dladdr(address, &info) != 0 ? info.dli_fname : NULL;
}

/*
 * Through the program's own relocation, not through dlsym: a malloc with a symbol version is found by dlsym and yet not
 * used by the program. An executable that is not position independent sees its own PLT here; then dlsym has to do.
 */
static BB_UNUSED const char *bb_malloc_file(void)
{
    void *(*volatile pointer)(size_t) = malloc;
    const char *file = bb_file_of((void *)pointer);
    if (file == NULL || bb_same_file(file, "/proc/self/exe"))
        file = bb_file_of(dlsym(RTLD_DEFAULT, "malloc"));
    return file;
}

#ifndef BLACKBOX_MODULE /* libraries that a test opens leave this to the program */
static __attribute__((constructor)) void bb_verify_provider(void)
{
    const char *expected = getenv("BLACKBOX_LIB");
    if (expected == NULL || *expected == '\0')
        return;
    const char *file = bb_malloc_file();
    CHECK(file != NULL && bb_same_file(file, expected), "malloc comes from %s, not from %s",
          file != NULL ? file : "nowhere", expected);
}
#endif

/* ---- contents ---- */

static inline uint64_t bb_word(uint64_t seed, size_t index)
{
    uint64_t word = (seed + index + 1) * 0x9e3779b97f4a7c15u;
    return word ^ (word >> 29);
}

/* Fills all of the block with a pattern that depends on the seed and on the position. */
static BB_UNUSED void bb_fill(void *block, size_t size, uint64_t seed)
{
    unsigned char *bytes = (unsigned char *)block;
    size_t words = size / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = bb_word(seed, i);
        memcpy(bytes + i * 8, &word, 8);
    }
    uint64_t word = bb_word(seed, words);
    memcpy(bytes + words * 8, &word, size % 8);
}

/* True when the first `size` bytes still hold what bb_fill wrote (into a block of at least that size). */
static BB_UNUSED bool bb_holds(const void *block, size_t size, uint64_t seed)
{
    const unsigned char *bytes = (const unsigned char *)block;
    size_t words = size / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = bb_word(seed, i);
        if (memcmp(bytes + i * 8, &word, 8) != 0)
            return false;
    }
    uint64_t word = bb_word(seed, words);
    return memcmp(bytes + words * 8, &word, size % 8) == 0;
}

static BB_UNUSED bool bb_is_zero(const void *block, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline bool bb_aligned(const void *pointer, size_t alignment)
{
    return ((uintptr_t)pointer & (alignment - 1)) == 0;
}

/* Small, seeded, one state per thread (splitmix64). */
static inline uint64_t bb_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- the process ---- */

static BB_UNUSED size_t bb_read_file(const char *path, char *buffer, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0, "cannot open %s", path);
    ssize_t length = read(fd, buffer, capacity - 1);
    close(fd);
    CHECK(length >= 0, "cannot read %s", path);
    buffer[length] = '\0';
    return (size_t)length;
}

/* Resident bytes, counted exactly: statm may be off by a batch of pages per processor. */
static BB_UNUSED size_t bb_rss_bytes(void)
{
    char text[4096];
    bb_read_file("/proc/self/smaps_rollup", text, sizeof(text));
    const char *line = strstr(text, "\nRss:");
    CHECK(line != NULL);
    return (size_t)strtoull(line + 5, NULL, 10) * BB_KIB;
}

/* Number of mappings: lines of /proc/self/maps. */
static BB_UNUSED size_t bb_vma_count(void)
{
    char text[4096];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    size_t lines = 0;
    ssize_t length;
    while ((length = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < length; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

static BB_UNUSED uint64_t bb_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static BB_UNUSED void bb_sleep_ms(unsigned milliseconds)
{
    struct timespec pause = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}

/* A number from the environment, so that a long run needs no second program. */
static BB_UNUSED size_t bb_setting(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? (size_t)strtoull(text, NULL, 0) : otherwise;
}

/* ---- threads ---- */

static BB_UNUSED pthread_t bb_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    CHECK(error == 0, "pthread_create: %s", strerror(error));
    return thread;
}

static BB_UNUSED void *bb_join(pthread_t thread)
{
    void *result = NULL;
    int error = pthread_join(thread, &result);
    CHECK(error == 0, "pthread_join: %s", strerror(error));
    return result;
}

/* ---- shared libraries that the build made for the tests ---- */

static BB_UNUSED void *bb_open_module(const char *name, int flags)
{
    const char *folder = getenv("BLACKBOX_MODULES");
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.so", folder != NULL ? folder : "tests/.libs", name);
    void *handle = dlopen(path, flags);
    CHECK(handle != NULL, "dlopen: %s", dlerror());
    return handle;
}

static BB_UNUSED void *bb_module_symbol(void *handle, const char *name)
{
    void *symbol = dlsym(handle, name);
    CHECK(symbol != NULL, "dlsym: %s", dlerror());
    return symbol;
}

#endif

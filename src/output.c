/*
 * output.c: where reports go: standard error as it was at start, or files named by patterns. Layer 6.
 *
 *     pattern --name--> NAME        open    NAME.tmp-PID    O_EXCL, O_NOFOLLOW, 0600: whatever lies there is left alone
 *                                   write
 *                                   commit  rename to NAME, which replaces a link and does not follow it
 *
 * I1  What is remembered from the start is a copy: programs write over their arguments and environment, change their directory, and
 *     close descriptors that they do not know.
 * I2  What comes from outside (names of program and machine) has no '/' and no control characters in a file's name, and does not
 *     begin it with a dot.
 * I3  Only ordinary files are replaced: a name such as /dev/null is refused.
 * I4  A process renames and removes its own files only: what a forked child finds half done is its parent's.
 * I5  The same failure of outputs in a row is told of once.
 */
#include "output.h"

#include "meta.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h> /* rename */
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
    FD_WANTED = 100,     /* out of the way of programs that count on small numbers */
    PATTERN_COUNT = 4,   /* that are kept */
    NAMES_COUNT = 3,     /* outputs at a time */
    WORD_BYTES = 100,    /* of a program's or machine's name */
    TEMPORARY_COUNT = 8, /* names to try */
    SUFFIX_BYTES = 32,
};

struct qyi_output_names {
    _Atomic pid_t user; /* the process that uses this; 0, or another process: nobody does */
    char name[PATH_MAX];
    char temporary[PATH_MAX + SUFFIX_BYTES];
};

struct memory {
    char program[WORD_BYTES + 1];
    char machine[WORD_BYTES + 1];
    char folder[PATH_MAX]; /* empty: unknown */
    char patterns[PATTERN_COUNT][PATH_MAX];
    struct qyi_output_names names[NAMES_COUNT];
};

static struct {
    bool known; /* standard error was open */
    int fd;     /* our duplicate of it, or -1 */
    dev_t device;
    ino_t inode;
    pid_t pid; /* of the process that started; another one is its child */
    struct memory *memory;
    unsigned patterns_used;
    /* outputs so far, by pattern: who has counted, and how many */
    struct {
        const char *_Atomic pattern;
        _Atomic uint64_t pid_and_count;
    } counters[PATTERN_COUNT];
    _Atomic int told; /* the last failure that was told of */
} output = {.fd = -1};

/* ---- standard error ---- */

static void remember_stderr(void)
{
    struct stat status;
    output.known = fstat(STDERR_FILENO, &status) == 0;
    if (!output.known)
        return;
    output.device = status.st_dev;
    output.inode = status.st_ino;
    output.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FD_WANTED);
    if (output.fd < 0) /* beyond the limit */
        output.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

/* Programs close what they do not know, and the number then stands for a file of theirs. */
static bool is_standard_error(int fd)
{
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == output.device && status.st_ino == output.inode;
}

int qyi_output_stderr(void)
{
    const int saved_errno = errno;
    int fd = -1;
    if (output.known)
        fd = is_standard_error(output.fd) ? output.fd : is_standard_error(STDERR_FILENO) ? STDERR_FILENO : -1;
    errno = saved_errno;
    return fd;
}

/* ---- what is remembered ---- */

/* Part of a file's name: I2. */
static void copy_word(char word[WORD_BYTES + 1], const char *from)
{
    size_t length = 0;
    for (; length < WORD_BYTES && from[length] != '\0'; length++) {
        const unsigned char c = (unsigned char)from[length];
        word[length] = c < ' ' || c == 0x7f || c == '/' || (length == 0 && c == '.') ? '_' : (char)c;
    }
    word[length] = '\0';
}

void qyi_output_start(void)
{
    if (output.pid != 0)
        return;
    const int saved_errno = errno;
    output.pid = getpid();
    remember_stderr();
    output.memory = qyi_meta_take(sizeof *output.memory);
    if (output.memory != NULL) {
        struct memory *memory = output.memory;
        struct utsname machine;
        strncpy(memory->program, program_invocation_short_name, WORD_BYTES);
        if (uname(&machine) == 0)
            copy_word(memory->machine, machine.nodename);
        /* By number: libc's function may allocate. What is not under the root has another first character. */
        if (syscall(SYS_getcwd, memory->folder, sizeof memory->folder) <= 0 || memory->folder[0] != '/')
            memory->folder[0] = '\0';
    }
    errno = saved_errno;
}

const char *qyi_output_program(void)
{
    return output.memory != NULL ? output.memory->program : program_invocation_short_name;
}

const char *qyi_output_keep(const char *pattern)
{
    struct memory *memory = output.memory;
    if (memory == NULL || output.patterns_used == PATTERN_COUNT)
        return NULL;
    char *kept = memory->patterns[output.patterns_used];
    size_t length = 0;
    if (pattern[0] != '/' && memory->folder[0] != '\0') {
        for (const char *c = memory->folder; *c != '\0' && length + 3 < PATH_MAX; c++) {
            if (*c == '%')
                kept[length++] = '%';
            kept[length++] = *c;
        }
        kept[length++] = '/';
    }
    if (strlen(pattern) >= PATH_MAX - length)
        return NULL;
    memcpy(kept + length, pattern, strlen(pattern) + 1);
    output.patterns_used++;
    return kept;
}

/* ---- names ---- */

static void put_field(struct qyi_text *text, char letter, const struct qyi_output_key *key)
{
    char word[WORD_BYTES + 1] = "";
    switch (letter) {
    case 'p': qyi_put_number(text, (uint64_t)key->pid); break;
    case 'n': qyi_put_number(text, key->number); break;
    case 't': qyi_put_number(text, key->time_s); break;
    case 'r': qyi_put(text, key->reason); break;
    case 'e':
        copy_word(word, qyi_output_program());
        qyi_put(text, word);
        break;
    case 'h': qyi_put(text, output.memory != NULL ? output.memory->machine : ""); break;
    default: qyi_put_part(text, &letter, 1); break;
    }
}

size_t qyi_output_name(char *name, size_t room, const char *pattern, const struct qyi_output_key *key)
{
    struct qyi_text text = {.start = name, .capacity = room - 1, .fd = -1};
    bool has_process = false;
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c != '%' || c[1] == '\0') {
            qyi_put_part(&text, c, 1);
        } else {
            c++;
            has_process |= *c == 'p';
            put_field(&text, *c, key);
        }
    }
    if (!has_process && output.pid != 0 && key->pid != output.pid) {
        qyi_put(&text, ".");
        qyi_put_number(&text, (uint64_t)key->pid);
    }
    if (text.failed)
        return 0;
    name[text.length] = '\0';
    return text.length;
}

/* The number of the next output by this pattern. Nothing depends on the order of these counters with other memory. */
static uint64_t next_number(const char *pattern, pid_t pid)
{
    for (unsigned i = 0; i < PATTERN_COUNT; i++) {
        const char *owner = NULL;
        if (!atomic_compare_exchange_strong_explicit(&output.counters[i].pattern, &owner, pattern, memory_order_relaxed,
                                                     memory_order_relaxed) &&
            owner != pattern)
            continue;
        uint64_t old = atomic_load_explicit(&output.counters[i].pid_and_count, memory_order_relaxed);
        uint64_t new;
        do {
            const uint64_t count = old >> 32 == (uint32_t)pid ? (uint32_t)old : 0;
            new = (uint64_t)(uint32_t)pid << 32 | (uint32_t)(count + 1);
        } while (!atomic_compare_exchange_weak_explicit(&output.counters[i].pid_and_count, &old, new,
                                                        memory_order_relaxed, memory_order_relaxed));
        return (uint32_t) new;
    }
    return 1;
}

/* Room for names, or NULL: there are enough outputs already. */
static struct qyi_output_names *take_names(pid_t pid)
{
    for (unsigned i = 0; output.memory != NULL && i < NAMES_COUNT; i++) {
        struct qyi_output_names *names = &output.memory->names[i];
        pid_t user = atomic_load_explicit(&names->user, memory_order_relaxed);
        /* acquire: pairs with the release in give_names */
        if (user != pid && atomic_compare_exchange_strong_explicit(&names->user, &user, pid, memory_order_acquire,
                                                                   memory_order_relaxed))
            return names;
    }
    return NULL;
}

static void give_names(struct qyi_output_names *names)
{
    atomic_store_explicit(&names->user, 0, memory_order_release); /* pairs with the acquire in take_names */
}

/* ---- messages ---- */

static const char *reason_of(int error)
{
    switch (error) {
    case EACCES:
    case EPERM: return "permission denied";
    case EBUSY: return "another report is being written";
    case EDQUOT: return "the quota is used up";
    case EEXIST: return "the names for the time of writing (.tmp-PID) are all taken";
    case EFBIG: return "it would be larger than the limit for files";
    case EINVAL: return "it is not an ordinary file";
    case EIO: return "input or output error";
    case EISDIR: return "it is a directory";
    case ELOOP: return "there is a symbolic link in the way";
    case EMFILE:
    case ENFILE: return "too many open files";
    case ENAMETOOLONG: return "the name is too long";
    case ENOENT: return "there is no such directory";
    case ENOMEM: return "out of memory";
    case ENOSPC: return "no space left on the device";
    case ENOSYS: return "a sandbox refuses the system call";
    case ENOTDIR: return "part of the path is not a directory";
    case EROFS: return "the file system is read-only";
    default: return NULL;
    }
}

static void tell_failure(const char *name, int error)
{
    const int fd = qyi_output_stderr();
    if (fd < 0 || atomic_exchange_explicit(&output.told, error, memory_order_relaxed) == error) /* I5 */
        return;
    char line[256];
    struct qyi_text text = {.start = line, .capacity = sizeof line, .fd = fd};
    struct qyi_text_guard guard;
    qyi_text_guard(&guard);
    qyi_put(&text, "quarry: cannot write ");
    qyi_put_printable(&text, name);
    qyi_put(&text, ": ");
    if (reason_of(error) != NULL) {
        qyi_put(&text, reason_of(error));
    } else {
        qyi_put(&text, "error ");
        qyi_put_number(&text, (uint64_t)error);
    }
    qyi_put(&text, "\n");
    qyi_text_flush(&text);
    qyi_text_unguard(&guard, &text);
}

/* ---- opening and closing ---- */

/* Out of the way of programs that count on small numbers, if there is one. */
static int move_up(int fd)
{
    const int higher = fd < FD_WANTED ? fcntl(fd, F_DUPFD_CLOEXEC, FD_WANTED) : -1;
    if (higher < 0)
        return fd;
    close(fd);
    return higher;
}

/* What lies there already stays: the rest of a process of this number, of one of another container, or a trap. */
static int open_temporary(struct qyi_output_names *names, size_t length, pid_t pid)
{
    memcpy(names->temporary, names->name, length);
    for (unsigned i = 0; i < TEMPORARY_COUNT; i++) {
        struct qyi_text suffix = {.start = names->temporary + length, .capacity = SUFFIX_BYTES - 1, .fd = -1};
        qyi_put(&suffix, ".tmp-");
        qyi_put_number(&suffix, (uint64_t)pid);
        if (i > 0) {
            qyi_put(&suffix, "-");
            qyi_put_number(&suffix, i);
        }
        suffix.start[suffix.length] = '\0';
        const int fd = open(names->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd >= 0)
            return move_up(fd);
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

/* I3. False, and errno: what is there cannot be replaced. */
static bool is_replaceable(const char *name)
{
    struct stat status;
    if (lstat(name, &status) != 0)
        return true; /* nothing; or nothing that can be told, and then opening fails, too */
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return S_ISREG(status.st_mode) || S_ISLNK(status.st_mode);
}

static bool open_file(struct qyi_output *out, const char *pattern)
{
    out->names = take_names(out->key.pid);
    if (out->names == NULL) {
        tell_failure(pattern, ENOMEM);
        return false;
    }
    const size_t length = qyi_output_name(out->names->name, sizeof out->names->name, pattern, &out->key);
    errno = ENAMETOOLONG;
    if (length != 0 && is_replaceable(out->names->name))
        out->fd = open_temporary(out->names, length, out->key.pid);
    if (out->fd >= 0)
        return true;
    tell_failure(length != 0 ? out->names->name : pattern, errno);
    give_names(out->names);
    return false;
}

bool qyi_output_open(struct qyi_output *out, const char *pattern, const char *reason)
{
    const int saved_errno = errno;
    *out = (struct qyi_output){.fd = -1, .key = {.reason = reason, .pid = getpid()}};
    if (pattern == NULL) {
        out->fd = qyi_output_stderr();
    } else {
        struct timespec now = {0};
        (void)clock_gettime(CLOCK_REALTIME, &now);
        out->key.time_s = (uint64_t)now.tv_sec;
        out->key.number = next_number(pattern, out->key.pid);
        open_file(out, pattern);
    }
    errno = saved_errno;
    return out->fd >= 0;
}

bool qyi_output_commit(struct qyi_output *out, bool whole)
{
    struct qyi_output_names *names = out->names;
    if (names == NULL)
        return whole;
    const int saved_errno = errno;
    const bool mine = getpid() == out->key.pid; /* I4 */
    if (close(out->fd) != 0 && errno != EINTR &&
        whole) { /* on some file systems it is only now that there is no room */
        out->error = errno;
        whole = false;
    }
    if (mine && whole && rename(names->temporary, names->name) != 0) {
        out->error = errno;
        whole = false;
    }
    if (mine && !whole) {
        unlink(names->temporary);
        tell_failure(names->name, out->error);
    }
    if (mine && whole)
        atomic_store_explicit(&output.told, 0, memory_order_relaxed);
    give_names(names);
    errno = saved_errno;
    return mine && whole;
}

void qyi_output_remove(const char *pattern, const struct qyi_output_key *key)
{
    const int saved_errno = errno;
    struct qyi_output_names *names = take_names(getpid());
    if (names != NULL) {
        if (qyi_output_name(names->name, sizeof names->name, pattern, key) != 0)
            unlink(names->name);
        give_names(names);
    }
    errno = saved_errno;
}

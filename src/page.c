/*
 * page.c: numbers for readers with little privilege: a page in shared memory, kept up to date. Layer 6.
 *
 *     file in memory, sealed:  neither size nor contents can be changed by anybody, but through
 *     our mapping              which is shared and writable, and older than the seals
 *
 * The file stays open, close-on-exec, and that is how others find it. A program may close what it does not know: then there is a new
 * one at the next update. So it is in a forked child, which must not write into its parent's.
 *
 * I1  only the process whose pid is in `page` writes to the mapping, one thread at a time: the one that has set `writer`.
 */
#include "page.h"

#include "quarry/quarry.h"

#include "options.h"
#include "os.h"
#include "reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

enum {
    FD_WANTED = 100, /* out of the way of programs that count on small numbers */
    REST_FACTOR =
        128, /* an update is followed by so many times its own time without one: it costs less than a per cent */
    MEASURE_INTERVAL_MS = 1000, /* what is resident is asked for less often: it takes system calls */
    READ_TRIES = 1000,
};

static const uint64_t NS_PER_MS = 1000000;

static struct {
    struct qyi_page *shared; /* NULL: none */
    pid_t pid;               /* whose */
    int fd;
    dev_t device;
    ino_t inode;
    _Atomic pid_t writer; /* the process one of whose threads is at work; 0: none */
    uint64_t due_ms, measure_ms;
    uint64_t spent_ns;
} page = {.fd = -1};

/* Made by each update, and then copied: a walk over all memory takes longer than readers want to wait. */
static struct qyi_stats stats;

/* ---- the file ---- */

/* Where it is out of the way, or where it is now. */
static int move_up(int fd)
{
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_WANTED);
    if (moved < 0)
        return fd;
    close(fd);
    return moved;
}

static bool is_ours(int fd)
{
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == page.device && status.st_ino == page.inode;
}

/* Map the file and say in it whose it is. */
static bool fill(int fd, pid_t pid)
{
    struct stat status;
    if (ftruncate(fd, sizeof(struct qyi_page)) != 0 || fstat(fd, &status) != 0)
        return false;
    struct qyi_page *shared = qyi_os_map_shared(fd, sizeof *shared);
    if (shared == NULL)
        return false;
    memcpy(shared->magic, QYI_PAGE_MAGIC, sizeof shared->magic);
    shared->version = QYI_PAGE_VERSION;
    shared->page_bytes = sizeof *shared;
    shared->library_version = QY_VERSION;
    shared->pid = pid;
    const char *program = program_invocation_short_name;
    for (size_t i = 0; i + 1 < sizeof shared->program && program[i] != '\0'; i++)
        shared->program[i] = program[i];
    page.shared = shared;
    page.pid = pid;
    page.device = status.st_dev;
    page.inode = status.st_ino;
    return true;
}

/* An older kernel does not know the last of the seals, and is better than none. */
static void seal(int fd)
{
    static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE) != 0)
        (void)fcntl(fd, F_ADD_SEALS, seals);
}

/* The old one, if any, is the parent's, or its file has been closed. */
static void make(pid_t pid, bool interrupted)
{
    if (is_ours(page.fd))
        close(page.fd);
    page.fd = -1;
    if (page.shared != NULL && !interrupted)
        qyi_os_unmap(page.shared, sizeof *page.shared);
    page.shared = NULL;
    int fd = qyi_os_memory_file(QYI_PAGE_NAME);
    if (fd < 0)
        return;
    fd = move_up(fd);
    if (!fill(fd, pid)) {
        close(fd);
        return;
    }
    seal(fd);
    page.fd = fd;
    page.measure_ms = page.spent_ns = 0;
}

/* ---- contents ---- */

static uint64_t unix_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static void gather(uint64_t now_ms)
{
    const size_t resident = stats.resident;
    const size_t peak = stats.resident_peak;
    const size_t ours = stats.resident_ours;
    qyi_stats_collect(&stats);
    if (now_ms >= page.measure_ms) {
        qyi_stats_measure(&stats);
        page.measure_ms = now_ms + MEASURE_INTERVAL_MS;
        return;
    }
    stats.resident = resident;
    stats.resident_peak = peak;
    stats.resident_ours = ours;
}

/* Nobody reads for long, so nobody waits: see the head of page.h. */
static void publish(uint64_t now_ms)
{
    struct qyi_page *shared = page.shared;
    const uint64_t sequence = atomic_load_explicit(&shared->sequence, memory_order_relaxed);
    atomic_store_explicit(&shared->sequence, sequence + 1, memory_order_relaxed);
    /* release: who sees a change sees the odd number, too; pairs with the acquire fence in qyi_page_read */
    atomic_thread_fence(memory_order_release);
    shared->updates++;
    shared->spent_ns = page.spent_ns;
    shared->started_ms = qyi_history.started_ms;
    shared->now_ms = now_ms;
    shared->unix_ms = unix_ms();
    shared->stats = stats;
    shared->history_count = qyi_history_read(shared->history);
    /* release: pairs with the acquire in qyi_page_read */
    atomic_store_explicit(&shared->sequence, sequence + 2, memory_order_release);
}

/* Reading and closing files are points where a thread can be cancelled; allocation functions are not. */
static void update(uint64_t now_ms, bool interrupted)
{
    const int saved_errno = errno;
    int cancellation;
    const bool disabled = pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation) == 0;
    const uint64_t start_ns = qyi_os_now_ns();
    const pid_t pid = getpid();
    if (page.shared == NULL || page.pid != pid || !is_ours(page.fd))
        make(pid, interrupted);
    if (page.shared != NULL) {
        gather(now_ms);
        publish(now_ms);
    }
    const uint64_t took_ns = qyi_os_now_ns() - start_ns;
    page.spent_ns += took_ns;
    page.due_ms = now_ms + qyi_max(QYI_PAGE_INTERVAL_MS, took_ns / (NS_PER_MS / REST_FACTOR));
    if (disabled)
        pthread_setcancelstate(cancellation, NULL);
    errno = saved_errno;
}

void qyi_page_update(void)
{
    if (qyi_options.live != QYI_LIVE_PAGE)
        return;
    const pid_t pid = getpid();
    pid_t writer = atomic_load_explicit(&page.writer, memory_order_relaxed);
    /* acquire: pairs with the release below. A writer of another process is one that did not survive a fork. */
    if (writer == pid || !atomic_compare_exchange_strong_explicit(&page.writer, &writer, pid, memory_order_acquire,
                                                                  memory_order_relaxed))
        return;
    /* Or it was this thread, which forked in a signal handler: then it goes on with the parent's page, when we are done. */
    update(qyi_os_now_ms(), writer != 0);
    atomic_store_explicit(&page.writer, 0, memory_order_release); /* pairs with the acquire above, of the next writer */
}

/* ---- the tick ---- */

QYI_ONCE static uint64_t tick(uint64_t now_ms)
{
    const uint64_t history_ms = qyi_history_step(now_ms);
    if (qyi_options.live != QYI_LIVE_PAGE)
        return history_ms;
    if (now_ms >= page.due_ms)
        qyi_page_update();
    return qyi_min(history_ms, page.due_ms);
}

QYI_ONCE void qyi_page_start(void)
{
    atomic_store_explicit(&qyi_reclaim_watcher, tick, memory_order_release); /* pairs with the acquire in watch */
    if (!qyi_options.stats && qyi_options.live == QYI_LIVE_OFF)
        return;
    qyi_history_start();
    qyi_page_update();
}

/* ---- readers ---- */

static enum qyi_page_fit fits(const struct qyi_page *shared, size_t bytes)
{
    if (bytes < offsetof(struct qyi_page, pid) || memcmp(shared->magic, QYI_PAGE_MAGIC, sizeof shared->magic) != 0)
        return QYI_PAGE_NONE;
    return bytes >= sizeof *shared && shared->version == QYI_PAGE_VERSION && shared->page_bytes == sizeof *shared &&
                   shared->library_version == QY_VERSION
               ? QYI_PAGE_READ
               : QYI_PAGE_OTHER_VERSION;
}

enum qyi_page_fit qyi_page_read(const struct qyi_page *shared, size_t bytes, struct qyi_page *copy)
{
    const enum qyi_page_fit fit = fits(shared, bytes);
    if (fit != QYI_PAGE_READ)
        return fit;
    for (unsigned tries = 0; tries < READ_TRIES; tries++) {
        /* acquire: pairs with the release at the end of publish */
        const uint64_t before = atomic_load_explicit(&shared->sequence, memory_order_acquire);
        memcpy(copy, shared, sizeof *copy);
        atomic_thread_fence(memory_order_acquire); /* pairs with the release fence in publish */
        const uint64_t after = atomic_load_explicit(&shared->sequence, memory_order_relaxed);
        if (before == after && before % 2 == 0 && before != 0)
            return QYI_PAGE_READ;
        sched_yield();
    }
    return QYI_PAGE_BUSY;
}

/*
 * http.c: the numbers and the heap profile over HTTP, while the program runs. Layer 6.
 *
 *     load    socket, bind, listen; thread ---> its own table of descriptors; accept, answer, close; ...
 *             close the socket <--- ready
 *     exit    remove the path
 *
 * The program must not notice. So the thread has a table of descriptors for itself, with nothing in it but its socket and one
 * client: what the program closes, counts on or runs out of is not ours, and what is ours is in none of its children.
 * It allocates nothing, takes no signals, and waits for nobody: see http_answer.c.
 *
 * I1  Only the process that made the socket serves it and removes its path: children of fork have no such thread.
 * I2  The thread is never the last of the process: it ends before main does, when main leaves by pthread_exit.
 */
#include "http.h"

#include "fatal.h"
#include "fork.h"
#include "http_answer.h"
#include "listen.h"
#include "options.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    STACK_BYTES = 256 << 10,
    LOOK_MS = 1000,          /* how long it may take to notice that main leaves */
    SHORTAGE_NS = 100000000, /* the pause when the system has no memory for a connection */
};

enum state { STARTING, SERVING, REFUSED };

QYI_NEAR static struct {
    struct qyi_listener listener;
    _Atomic uint32_t state; /* an enum state: the word that the starting thread sleeps on */
    _Atomic bool ended;
    _Atomic pid_t owner; /* 0: nobody serves */
    pthread_t thread;
} http;

/* ---- the thread ---- */

/* The listening socket is also in place of the three standard ones. */
static bool take_own_descriptors(int fd)
{
    if (!qyi_os_own_descriptors(fd))
        return false;
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++) {
        if (standard != fd)
            dup3(fd, standard, O_CLOEXEC);
    }
    return true;
}

/* One client, or none: whoever hung up before we came. False: the socket is of no more use. */
static bool serve_next(void)
{
    const int fd = accept4(http.listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        struct qyi_http_client client = {
            .fd = fd,
            .by_name = http.listener.everywhere || http.listener.address.any.sa_family == AF_UNIX,
            .by_owner = http.listener.address.any.sa_family == AF_UNIX,
            .ended = &http.ended,
        };
        qyi_http_answer(&client);
        close(fd);
        return true;
    }
    switch (errno) {
    case EBADF:
    case EINVAL:
    case ENOTSOCK: return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: {
        const struct timespec pause = {.tv_nsec = SHORTAGE_NS};
        nanosleep(&pause, NULL);
        return true;
    }
    default: return true;
    }
}

static void *thread_main(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "quarry-http");
    const bool ready = take_own_descriptors(http.listener.fd);
    /* release: pairs with the acquire of the thread that waits */
    atomic_store_explicit(&http.state, ready ? SERVING : REFUSED, memory_order_release);
    qyi_os_futex_wake(&http.state, 1);
    while (ready && !atomic_load_explicit(&http.ended, memory_order_relaxed)) {
        struct pollfd wait = {.fd = http.listener.fd, .events = POLLIN};
        const int count = poll(&wait, 1, LOOK_MS);
        if (count > 0 && !serve_next())
            break;
    }
    return NULL;
}

/* ---- start ---- */

/* "quarry: http: WHAT ADDRESS" and then the reason, if there is one. */
static void tell(const char *what, const char *reason)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: http: ");
    qyi_line_text(&line, what);
    qyi_listen_put(&line, &http.listener);
    if (reason != NULL) {
        qyi_line_text(&line, ": ");
        qyi_line_text(&line, reason);
    }
    qyi_line_write(&line, STDERR_FILENO);
}

static void tell_bad_value(const char *wrong)
{
    struct qyi_line line = {0};
    char value[64];
    const size_t length = qyi_min(qyi_options.http.length, sizeof value - 1);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)qyi_options.http.start[i];
        value[i] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
    value[length] = '\0';
    qyi_line_text(&line, "quarry: QUARRY_OPTIONS: bad value '");
    qyi_line_text(&line, value);
    qyi_line_text(&line, "' for 'http': ");
    qyi_line_text(&line, wrong);
    qyi_line_text(&line, " (");
    qyi_line_text(&line, qyi_listen_forms);
    qyi_line_text(&line, ")");
    qyi_line_write(&line, STDERR_FILENO);
}

static const char *reason_of(int error)
{
    const char *reason = strerrordesc_np(error);
    return reason != NULL ? reason : "unknown error";
}

static bool is_owner(void)
{
    return atomic_load_explicit(&http.owner, memory_order_relaxed) == getpid();
}

/* Main leaves by pthread_exit, and others go on: I2. */
static void main_ends(void *unused)
{
    (void)unused;
    if (!is_owner())
        return;
    atomic_store_explicit(&http.ended, true, memory_order_relaxed);
    pthread_join(http.thread, NULL);
    qyi_listen_remove(&http.listener);
    atomic_store_explicit(&http.owner, 0, memory_order_relaxed);
}

static void in_child(void)
{
    atomic_store_explicit(&http.owner, 0,
                          memory_order_relaxed); /* it may have its parent's number, in a namespace of its own */
}

/* 0: it serves. */
static int start_thread(void)
{
    int error = qyi_os_at_main_end(main_ends);
    if (error == 0)
        error = qyi_os_thread(&http.thread, STACK_BYTES, thread_main);
    if (error != 0)
        return error;
    /* acquire: pairs with the release in thread_main */
    while (atomic_load_explicit(&http.state, memory_order_acquire) == STARTING)
        qyi_os_futex_wait(&http.state, STARTING);
    if (atomic_load_explicit(&http.state, memory_order_relaxed) == SERVING)
        return 0;
    pthread_join(http.thread, NULL);
    return EPERM;
}

static QYI_COLD void start(void)
{
    const char *wrong = qyi_os_is_main_thread()
                            ? qyi_listen_parse(&http.listener, qyi_options.http.start, qyi_options.http.length)
                            : "the library was loaded too late";
    if (wrong != NULL) {
        tell_bad_value(wrong);
        return;
    }
    if (qyi_listen_open(&http.listener) != NULL) {
        tell(errno == EADDRINUSE ? "another process serves " : "cannot listen on ",
             errno == EADDRINUSE ? NULL : reason_of(errno));
        return;
    }
    qyi_fork_register();
    qyi_fork_add_hook(in_child);
    const int error = start_thread();
    close(http.listener.fd); /* the program's; the thread has its own */
    if (error != 0) {
        qyi_listen_remove(&http.listener);
        tell("cannot serve ", reason_of(error));
        return;
    }
    atomic_store_explicit(&http.owner, getpid(), memory_order_relaxed);
    if (qyi_options.verbose || http.listener.picked)
        tell("listening on ", NULL);
}

QYI_ONCE void qyi_http_start(void)
{
    if (QYI_LIKELY(qyi_options.http.length == 0))
        return;
    const int saved_errno = errno;
    start();
    errno = saved_errno;
}

QYI_ONCE void qyi_http_finish(void)
{
    /* with a port, no system call: a sandbox may allow none of them */
    if (QYI_LIKELY(atomic_load_explicit(&http.owner, memory_order_relaxed) == 0) ||
        http.listener.address.any.sa_family != AF_UNIX || !is_owner())
        return;
    qyi_listen_remove(&http.listener);
}

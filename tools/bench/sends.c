/*
 * sends.c: what a send costs: nanoseconds of the sending thread, with the notifications that belong to it, by size,
 * for the ways to do it, over loopback (TCP, to a thread that throws everything away) and through a device that sends
 * from the program's pages (UDP through ifb in a network namespace of its own; root only). And files: sendfile beside
 * writev from the mapping.
 *
 * The bytes are in the processor's cache, as what has just been received is; -cold: out of 64 MiB in turn, so that
 * they are not.
 *
 * sends [REPETITIONS]: prints rows "path system bytes ns", the median of the repetitions.
 */
#include "quarry/arena.h"
#include "quarry/io.h"
#include "quarry/zerocopy.h"

#ifdef HAVE_LIBURING
#include "quarry/uring.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { COLD_PLACES = 1024, REPETITIONS_MAX = 31, MILLISECONDS = 10 };

static unsigned repetitions = 15;

static void check(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "sends: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- where to: a socket, and who reads ---- */

static void *discard(void *argument)
{
    const int fd = (int)(intptr_t)argument;
    static char bytes[1 << 20];
    while (recv(fd, bytes, sizeof bytes, MSG_TRUNC) > 0) {
    }
    close(fd);
    return NULL;
}

static int loopback_socket(void)
{
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(fd, (struct sockaddr *)&address, length) == 0, "connect");
    const int reader = accept(listener, NULL, NULL);
    close(listener);
    pthread_t thread;
    check(pthread_create(&thread, NULL, discard, (void *)(intptr_t)reader) == 0, "pthread_create");
    pthread_detach(thread);
    return fd;
}

static bool enter_namespace(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
           system("ip link add quarry0 type ifb 2>/dev/null && ip link set quarry0 mtu 65535 up && "
                  "ip address add 10.99.0.1/24 dev quarry0 && "
                  "ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev quarry0") == 0;
}

static int sink_socket(void)
{
    const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {.s_addr = inet_addr("10.99.0.2")}};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(connect(fd, (const struct sockaddr *)&peer, sizeof peer) == 0, "connect");
    return fd;
}

/* ---- ways to send: begin, then one step per send, then end ---- */

struct sender {
    int fd;
    qy_slice slice; /* what is sent, cut into pieces */
    qy_slice pieces[8];
    size_t count;
    qy_zerocopy *account;
    unsigned in_flight;
    void *ring; /* qy_uring */
};

static void send_plainly(struct sender *sender)
{
    const struct msghdr message = {.msg_iov = sender->pieces, .msg_iovlen = sender->count};
    check(sendmsg(sender->fd, &message, 0) > 0, "sendmsg");
}

/* Bare MSG_ZEROCOPY: no references, every notification read. */
static void send_zerocopy(struct sender *sender)
{
    const struct msghdr message = {.msg_iov = sender->pieces, .msg_iovlen = sender->count};
    while (sendmsg(sender->fd, &message, MSG_ZEROCOPY) < 0)
        check(errno == ENOBUFS, "sendmsg");
    if (++sender->in_flight % 16 == 0) {
        char control[256];
        struct msghdr notification;
        do
            notification = (struct msghdr){.msg_control = control, .msg_controllen = sizeof control};
        while (recvmsg(sender->fd, &notification, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
    }
}

static void begin_zerocopy(struct sender *sender)
{
    const int on = 1;
    check(setsockopt(sender->fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0, "SO_ZEROCOPY");
}

static void clone_pieces(const struct sender *sender, qy_slice *clones)
{
    memcpy(clones, sender->pieces, sender->count * sizeof *clones);
    check(qy_slices_retain(clones, sender->count) == 0, "qy_slices_retain");
}

static void send_quarry(struct sender *sender)
{
    qy_slice clones[8];
    clone_pieces(sender, clones);
    check(qy_zerocopy_send(sender->account, clones, sender->count, 0) > 0, "qy_zerocopy_send");
    qy_slices_drop(clones, sender->count); /* what a short send has left */
}

static void begin_quarry(struct sender *sender)
{
    sender->account = qy_zerocopy_new(sender->fd);
    check(sender->account != NULL, "qy_zerocopy_new");
}

static void end_quarry(struct sender *sender)
{
    (void)qy_zerocopy_wait(sender->account, 1000);
    qy_zerocopy_drop(sender->account);
    qy_zerocopy_free(sender->account);
}

#ifdef HAVE_LIBURING
static void begin_ring(struct sender *sender, bool fixed)
{
    qy_uring *ring = qy_uring_new(64);
    check(ring != NULL, "qy_uring_new");
    qy_uring_set_limits(ring, 0, 0, 0);
    if (fixed)
        check(qy_uring_register_arena(ring, qy_arena_of(sender->slice.iov_base)) == 0, "qy_uring_register_arena");
    sender->ring = ring;
}

static void begin_send_zc(struct sender *sender)
{
    begin_ring(sender, false);
}

static void begin_send_zc_fixed(struct sender *sender)
{
    begin_ring(sender, true);
}

static void begin_ring_send(struct sender *sender)
{
    begin_ring(sender, false);
    qy_uring_set_limits(sender->ring, SIZE_MAX, 0, SIZE_MAX);
}

static void send_ring(struct sender *sender)
{
    qy_slice clones[8];
    struct qy_uring_event event;
    clone_pieces(sender, clones);
    check(qy_uring_send(sender->ring, sender->fd, clones, sender->count, 0, NULL) == 0, "qy_uring_send");
    check(qy_uring_next(sender->ring, &event, -1) == 1 && event.result > 0, "qy_uring_next");
}

static void end_ring(struct sender *sender)
{
    (void)qy_uring_free(sender->ring, 1000);
}
#endif

struct way {
    const char *name;
    void (*begin)(struct sender *sender);
    void (*step)(struct sender *sender);
    void (*end)(struct sender *sender);
};

static const struct way ways[] = {
    {"send", NULL, send_plainly, NULL},
    {"MSG_ZEROCOPY", begin_zerocopy, send_zerocopy, NULL},
    {"qy_zerocopy", begin_quarry, send_quarry, end_quarry},
#ifdef HAVE_LIBURING
    {"uring-send", begin_ring_send, send_ring, end_ring},
    {"SEND_ZC", begin_send_zc, send_ring, end_ring},
    {"SEND_ZC-fixed", begin_send_zc_fixed, send_ring, end_ring},
#endif
};

enum { WAYS = sizeof ways / sizeof *ways };

static double measure(const struct way *way, int (*open_socket)(void), qy_slice slice, size_t count, size_t places)
{
    struct sender sender = {.fd = open_socket(), .slice = slice, .count = count};
    for (size_t i = 0; i < count; i++) /* scattered: each piece has pages of its own */
        sender.pieces[i] = (qy_slice){(char *)slice.iov_base + i * 65536, slice.iov_len / count};
    if (way->begin != NULL)
        way->begin(&sender);
    for (unsigned i = 0; i < 100; i++)
        way->step(&sender);
    unsigned long sends = 0;
    const double start = now_ns();
    double elapsed;
    do {
        for (unsigned i = 0; i < 32; i++) {
            way->step(&sender);
            sender.pieces[0].iov_base = (char *)slice.iov_base + sends++ % places * 65536;
        }
        elapsed = now_ns() - start;
    } while (elapsed < MILLISECONDS * 1e6);
    if (way->end != NULL)
        way->end(&sender);
    close(sender.fd);
    return elapsed / (double)sends;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, repetitions, sizeof *values, compare);
    return values[repetitions / 2];
}

static void print_sends(const char *path, int (*open_socket)(void), qy_arena *arena, size_t bytes, size_t count,
                        bool cold)
{
    double values[WAYS][REPETITIONS_MAX];
    const size_t places = cold ? COLD_PLACES : 1;
    qy_slice block = qy_arena_slice(arena, (cold ? places : 8) * 65536);
    check(block.iov_len != 0, "qy_arena_slice");
    memset(block.iov_base, 'b', block.iov_len);
    const qy_slice slice = {block.iov_base, bytes};
    for (unsigned r = 0; r < repetitions; r++) { /* interleaved */
        for (unsigned w = 0; w < WAYS; w++)
            values[w][r] = measure(&ways[w], open_socket, slice, count, places);
    }
    for (unsigned w = 0; w < WAYS; w++)
        printf("%s%s\t%s\t%zu\t%.0f\n", path,
               cold        ? "-cold"
               : count > 1 ? "-8-pieces"
                           : "",
               ways[w].name, bytes, median(values[w]));
    fflush(stdout);
    qy_slice_drop(&block);
}

static void print_path(const char *path, int (*open_socket)(void), bool cold)
{
    static const size_t sizes[] = {64, 4096, 8192, 16384, 32768, 61440};
    qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = (COLD_PLACES + 16) * 65536});
    check(arena != NULL, "qy_arena_new");
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        print_sends(path, open_socket, arena, sizes[i], 1, false);
    for (unsigned i = 1; i < sizeof sizes / sizeof *sizes; i++)
        print_sends(path, open_socket, arena, sizes[i], 8, false);
    for (unsigned i = 1; cold && i < sizeof sizes / sizeof *sizes; i++)
        print_sends(path, open_socket, arena, sizes[i], 1, true);
}

/* ---- files: bytes from a file that is in the page cache, to a TCP socket on loopback ---- */

enum { FILE_BYTES = 8 << 20 };

enum file_way { BY_SENDFILE, MAPPED_ONCE, MAPPED_ANEW, FILE_WAYS };

static const char *const file_ways[] = {"sendfile", "sendmsg-mapped-once", "sendmsg-mapped-anew"};

static void send_part_of_file(int fd, int file, qy_slice mapped, size_t offset, size_t bytes, enum file_way way)
{
    if (way == BY_SENDFILE) {
        off_t at = (off_t)offset;
        check(sendfile(fd, file, &at, bytes) > 0, "sendfile");
        return;
    }
    qy_slice part = way == MAPPED_ONCE ? (qy_slice){(char *)mapped.iov_base + offset, bytes}
                                       : qy_slice_map(file, (off_t)offset, bytes);
    const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    check(sendmsg(fd, &message, 0) > 0, "sendmsg");
    if (way == MAPPED_ANEW)
        qy_slice_drop(&part);
}

static double measure_file(int fd, int file, qy_slice mapped, size_t bytes, enum file_way way)
{
    unsigned long sends = 0;
    const double start = now_ns();
    double elapsed;
    do {
        for (unsigned i = 0; i < 16; i++)
            send_part_of_file(fd, file, mapped, sends++ % 8 * (FILE_BYTES / 8), bytes, way);
        elapsed = now_ns() - start;
    } while (elapsed < MILLISECONDS * 1e6);
    return elapsed / (double)sends;
}

static void print_files(void)
{
    char name[] = "/tmp/quarry-sends-XXXXXX";
    const int file = mkstemp(name);
    qy_slice bytes = qy_slice_zeroed(FILE_BYTES);
    check(file >= 0 && unlink(name) == 0 && write(file, bytes.iov_base, FILE_BYTES) == FILE_BYTES, "file");
    qy_slice_drop(&bytes);
    const qy_slice mapped = qy_slice_map(file, 0, 0);
    const int fd = loopback_socket();
    for (size_t size = 4096; size <= 1 << 20; size *= 4) {
        double values[FILE_WAYS][REPETITIONS_MAX];
        for (unsigned r = 0; r < repetitions; r++) {
            for (unsigned way = 0; way < FILE_WAYS; way++)
                values[way][r] = measure_file(fd, file, mapped, size, (enum file_way)way);
        }
        for (unsigned way = 0; way < FILE_WAYS; way++)
            printf("file-loopback\t%s\t%zu\t%.0f\n", file_ways[way], size, median(values[way]));
    }
    close(fd);
    close(file);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        repetitions = (unsigned)strtoul(argv[1], NULL, 10);
    if (repetitions < 1 || repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "usage: sends [REPETITIONS], 1 to %d\n", REPETITIONS_MAX);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    puts("path\tsystem\tbytes\tns");
    print_path("loopback", loopback_socket, false);
    print_files();
    if (enter_namespace())
        print_path("ifb", sink_socket, true);
    else
        fputs("sends: no network namespace with an ifb device: only loopback was measured\n", stderr);
    return 0;
}

/*
 * relay-load.c: load for a relay, and the judge of what it delivers.
 *
 *     publisher threads -> relay -> subscribers, all in one thread
 *
 * The bytes of a frame follow from its publisher's number and its place in the publisher's sequence, and its first 12 bytes say
 * both if it is that long. With --verify, each subscriber compares every byte and the order. Without, the kernel throws the
 * bytes away (MSG_TRUNC) and only their number is compared, so that the load costs little beside the relay.
 */
#define _GNU_SOURCE
#include "program.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PREFIX = 4,
    HEADER = 12, /* publisher (4), sequence (8), big endian */
    PATTERN = 1 << 16,
    PUBLISHERS_MAX = 64,
    CHUNK = 256 << 10,
};

static struct {
    const char *host;
    uint16_t publish_port, subscribe_port;
    size_t frame_least, frame_most;
    uint64_t count;
    double seconds;
    unsigned publishers, subscribers, slow, stalled;
    bool verify, lossy, dribble;
    int socket_bytes;
} options = {.host = "127.0.0.1", .frame_least = 1024, .frame_most = 1024, .publishers = 1, .subscribers = 1};

static unsigned char pattern[2 * PATTERN];

/* Small and good enough: xorshift64*. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static size_t pattern_start(uint32_t publisher, uint64_t sequence)
{
    return (size_t)(publisher * 40503 + sequence * 7919) % PATTERN;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, options.host, &to.sin_addr) != 1)
        die_usage("--host: '%s' is not an IPv4 address", options.host);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    if (fd >= 0 && options.socket_bytes != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.socket_bytes, sizeof options.socket_bytes);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect to %s port %u: %s", options.host, port, strerror(errno));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

/* ---- publishers ---- */

struct publisher {
    pthread_t thread;
    uint32_t number;
    uint64_t random;
};

static atomic_uint publishers_left;
static _Atomic uint64_t frames_sent, bytes_sent;
static atomic_bool stop;

static void send_all(int fd, const unsigned char *bytes, size_t length, uint64_t *random)
{
    while (length != 0) {
        size_t piece = length;
        if (options.dribble) {
            piece = random_next(random) % 5000 + 1;
            piece = piece < length ? piece : length;
            if (random_next(random) % 16 == 0)
                usleep(200); /* so that the relay sees the piece by itself */
        }
        const ssize_t sent = send(fd, bytes, piece, 0);
        if (sent < 0 && errno != EINTR)
            die("the relay does not take more: %s", strerror(errno));
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
}

/* Write a frame; its length. */
static size_t write_frame(unsigned char *at, struct publisher *publisher, uint64_t sequence)
{
    const size_t span = options.frame_most - options.frame_least;
    const size_t length = options.frame_least + (span != 0 ? random_next(&publisher->random) % (span + 1) : 0);
    const size_t start = pattern_start(publisher->number, sequence);
    const uint32_t prefix = htonl((uint32_t)length), number = htonl(publisher->number);
    const uint64_t order = htobe64(sequence);
    memcpy(at, &prefix, PREFIX);
    at += PREFIX;
    for (size_t done = 0; done < length;) {
        const size_t piece = length - done < PATTERN ? length - done : PATTERN;
        memcpy(at + done, pattern + (start + done) % PATTERN, piece);
        done += piece;
    }
    if (length >= HEADER) {
        memcpy(at, &number, sizeof number);
        memcpy(at + sizeof number, &order, sizeof order);
    }
    return PREFIX + length;
}

/* Frames from sequence on until the buffer has its fill or the last frame is reached. */
static size_t fill(unsigned char *buffer, struct publisher *publisher, uint64_t *sequence)
{
    size_t filled = 0;
    while (filled < CHUNK && *sequence < options.count) {
        filled += write_frame(buffer + filled, publisher, *sequence);
        ++*sequence;
    }
    return filled;
}

static void *publish(void *argument)
{
    struct publisher *publisher = argument;
    unsigned char *buffer = need(malloc(CHUNK + PREFIX + options.frame_most));
    const int fd = connect_to(options.publish_port);
    const double end = options.seconds != 0 ? seconds_now() + options.seconds : 0;
    uint64_t sequence = 0, sent = 0;
    size_t filled = 0;
    uint64_t frames = 0;
    while (!atomic_load(&stop) && (end == 0 || seconds_now() < end)) {
        /* Without verification, the same frames again and again do. */
        if (options.verify || filled == 0 || options.seconds == 0) {
            const uint64_t before = sequence;
            filled = fill(buffer, publisher, &sequence);
            frames = sequence - before;
        }
        if (filled == 0)
            break;
        send_all(fd, buffer, filled, &publisher->random);
        sent += filled;
        atomic_fetch_add(&frames_sent, frames);
    }
    atomic_fetch_add(&bytes_sent, sent);
    close(fd);
    free(buffer);
    atomic_fetch_sub(&publishers_left, 1); /* what was added before is complete for who reads 0 */
    return NULL;
}

/* ---- subscribers ---- */

enum pace { PACE_FAST, PACE_SLOW, PACE_STALLED };

struct subscriber {
    int fd;
    unsigned number;
    enum pace pace;
    bool ended;
    uint64_t bytes; /* without the greeting */
    uint64_t frames;
    /* the frame that is being received */
    unsigned char head[PREFIX + HEADER];
    size_t length; /* of the frame, once the prefix is there */
    size_t have;   /* bytes of it, with its prefix */
    size_t start;  /* in the pattern */
    uint64_t next[PUBLISHERS_MAX];
};

static noreturn void wrong(const struct subscriber *subscriber, const char *what)
{
    die("subscriber %u: frame %ju, byte %zu: %s", subscriber->number, (uintmax_t)subscriber->frames,
        subscriber->have > PREFIX ? subscriber->have - PREFIX : 0, what);
}

/* The head of a frame is complete: whose frame is it, and is it the one that must come? */
static void check_head(struct subscriber *subscriber)
{
    uint32_t publisher = 0;
    uint64_t sequence = subscriber->next[0];
    if (subscriber->length >= HEADER) {
        memcpy(&publisher, subscriber->head + PREFIX, sizeof publisher);
        memcpy(&sequence, subscriber->head + PREFIX + sizeof publisher, sizeof sequence);
        publisher = ntohl(publisher);
        sequence = be64toh(sequence);
        if (publisher >= options.publishers)
            wrong(subscriber, "from a publisher that does not exist");
    }
    if (sequence < subscriber->next[publisher])
        wrong(subscriber, "came twice, or late");
    if (sequence != subscriber->next[publisher] && !options.lossy)
        wrong(subscriber, "one before it is missing");
    subscriber->next[publisher] = sequence + 1;
    subscriber->start = pattern_start(publisher, sequence);
}

static void check(struct subscriber *subscriber, const unsigned char *bytes, size_t count)
{
    while (count != 0) {
        const size_t head = subscriber->have < PREFIX      ? PREFIX
                            : subscriber->length >= HEADER ? PREFIX + HEADER
                                                           : PREFIX;
        if (subscriber->have < head) {
            const size_t piece = head - subscriber->have < count ? head - subscriber->have : count;
            memcpy(subscriber->head + subscriber->have, bytes, piece);
            subscriber->have += piece;
            bytes += piece;
            count -= piece;
            if (subscriber->have == PREFIX) {
                uint32_t prefix;
                memcpy(&prefix, subscriber->head, PREFIX);
                subscriber->length = ntohl(prefix);
                if (subscriber->length < options.frame_least || subscriber->length > options.frame_most)
                    wrong(subscriber, "of a length that nobody has sent");
                if (subscriber->length < HEADER)
                    check_head(subscriber);
            } else if (subscriber->have == PREFIX + HEADER) {
                check_head(subscriber);
            }
        } else {
            const size_t done = subscriber->have - PREFIX;
            size_t piece = subscriber->length - done < count ? subscriber->length - done : count;
            piece = piece < PATTERN ? piece : PATTERN;
            if (memcmp(bytes, pattern + (subscriber->start + done) % PATTERN, piece) != 0)
                wrong(subscriber, "or one soon after it is not what was sent");
            subscriber->have += piece;
            bytes += piece;
            count -= piece;
        }
        if (subscriber->have >= PREFIX && subscriber->have == PREFIX + subscriber->length) {
            subscriber->frames++;
            subscriber->have = 0;
            subscriber->length = 0;
        }
    }
}

/* At most limit bytes; what recv() said. */
static ssize_t receive(struct subscriber *subscriber, size_t limit)
{
    static unsigned char buffer[CHUNK];
    const size_t room = options.verify && limit > sizeof buffer ? sizeof buffer : limit;
    const ssize_t got =
        recv(subscriber->fd, options.verify ? buffer : NULL, room, MSG_DONTWAIT | (options.verify ? 0 : MSG_TRUNC));
    if (got > 0) {
        subscriber->bytes += (uint64_t)got;
        if (options.verify)
            check(subscriber, buffer, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (!options.lossy)
            die("subscriber %u: the relay has closed the connection", subscriber->number);
        subscriber->ended = true;
    }
    return got;
}

static struct subscriber *subscribers;
static int epoll;

static void subscribe(struct subscriber *subscriber, unsigned number)
{
    unsigned char greeting[PREFIX];
    subscriber->number = number;
    subscriber->pace = number < options.slow                     ? PACE_SLOW
                       : number < options.slow + options.stalled ? PACE_STALLED
                                                                 : PACE_FAST;
    subscriber->fd = connect_to(options.subscribe_port);
    if (recv(subscriber->fd, greeting, PREFIX, MSG_WAITALL) != PREFIX || memcmp(greeting, "\0\0\0\0", PREFIX) != 0)
        die("subscriber %u: no greeting", number);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = subscriber};
    if (subscriber->pace == PACE_FAST && epoll_ctl(epoll, EPOLL_CTL_ADD, subscriber->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Everything that was sent has arrived everywhere, where nothing may be lost. */
static bool complete(bool with_stalled)
{
    if (atomic_load(&publishers_left) != 0)
        return false;
    for (unsigned i = 0; i < options.subscribers; i++) {
        if ((subscribers[i].pace != PACE_STALLED || with_stalled) && !subscribers[i].ended &&
            subscribers[i].bytes < atomic_load(&bytes_sent))
            return false;
    }
    return true;
}

static void receive_slowly(enum pace pace, size_t limit)
{
    for (unsigned i = 0; i < options.subscribers; i++) {
        if (subscribers[i].pace == pace && !subscribers[i].ended)
            (void)receive(&subscribers[i], limit);
    }
}

static void end_fast(struct subscriber *subscriber)
{
    if (subscriber->ended && subscriber->fd >= 0) {
        close(subscriber->fd);
        subscriber->fd = -1;
    }
}

/* Receive until all is there; or, where frames may be lost, until nothing has come for half a second. */
static void receive_everything(void)
{
    struct epoll_event events[256];
    double last = seconds_now(), last_slow = last;
    uint64_t idle_bytes = 0;
    bool stalled_too = false;
    while (!complete(true)) {
        const int count = epoll_wait(epoll, events, 256, options.slow != 0 ? 2 : 20);
        for (int i = 0; i < count; i++) {
            (void)receive(events[i].data.ptr, MIB);
            end_fast(events[i].data.ptr);
        }
        const double now = seconds_now();
        if (options.slow != 0 && now - last_slow > 0.003) {
            receive_slowly(PACE_SLOW, 64 * KIB);
            last_slow = now;
        }
        if (!stalled_too && options.stalled != 0 && atomic_load(&publishers_left) == 0)
            stalled_too = options.lossy ? now - last > 0.3 : complete(false);
        if (stalled_too)
            receive_slowly(PACE_STALLED, MIB);
        uint64_t bytes = 0;
        for (unsigned i = 0; i < options.subscribers; i++)
            bytes += subscribers[i].bytes;
        if (bytes != idle_bytes)
            last = now;
        idle_bytes = bytes;
        if (options.lossy && now - last > 0.6 && atomic_load(&publishers_left) == 0)
            return;
        if (now - last > 30)
            die("nothing has arrived for 30 s");
    }
}

/* ---- start ---- */

static const char help[] =
    "usage: %s --publish=PORT --subscribe=PORT [OPTION…]\n"
    "Publishes frames to a relay, receives them with many subscribers, and compares.\n"
    "\n"
    "  --host=A            the relay's IPv4 address (127.0.0.1)\n"
    "  --publish=PORT      its port for publishers\n"
    "  --subscribe=PORT    its port for subscribers\n"
    "  --frame=N[-M]       bytes of a frame: N, or between N and M at random (1024)\n"
    "  --count=N           frames of each publisher, or\n"
    "  --tenths=N          how long to publish, in tenths of a second\n"
    "  --publishers=N      (1); more than one need frames of 12 bytes or more\n"
    "  --subscribers=N     (1)\n"
    "  --slow=N            so many of the subscribers read 64 KiB every 3 ms\n"
    "  --stall=N           so many of the subscribers read nothing until all has been published\n"
    "  --lossy             frames may be missing, and connections may be closed\n"
    "  --dribble           publish in small pieces\n"
    "  --verify            compare every byte and the order; without, only the number of bytes\n"
    "  --socket=BYTES      of the subscribers' sockets' buffers (0: as the kernel likes)\n"
    "  --help              print this text\n"
    "\n"
    "Exit status 1 if anything is missing, wrong or in disorder.\n";

static void read_frame_range(const char *text)
{
    char *dash = strchr(text, '-');
    if (dash != NULL)
        *dash = '\0';
    options.frame_least = number_of("frame", text, 0, 64 * MIB);
    options.frame_most =
        dash != NULL ? number_of("frame", dash + 1, options.frame_least, 64 * MIB) : options.frame_least;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"host", required_argument, NULL, 'H'},
                                          {"publish", required_argument, NULL, 'p'},
                                          {"subscribe", required_argument, NULL, 's'},
                                          {"frame", required_argument, NULL, 'f'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"tenths", required_argument, NULL, 't'},
                                          {"publishers", required_argument, NULL, 'P'},
                                          {"subscribers", required_argument, NULL, 'N'},
                                          {"slow", required_argument, NULL, 'w'},
                                          {"stall", required_argument, NULL, 'l'},
                                          {"socket", required_argument, NULL, 'k'},
                                          {"lossy", no_argument, NULL, 'L'},
                                          {"dribble", no_argument, NULL, 'd'},
                                          {"verify", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'H': options.host = optarg; break;
        case 'p': options.publish_port = (uint16_t)number_of("publish", optarg, 1, UINT16_MAX); break;
        case 's': options.subscribe_port = (uint16_t)number_of("subscribe", optarg, 1, UINT16_MAX); break;
        case 'f': read_frame_range(optarg); break;
        case 'c': options.count = number_of("count", optarg, 1, UINT64_MAX); break;
        case 't': options.seconds = (double)number_of("tenths", optarg, 1, 36000) / 10; break;
        case 'P': options.publishers = (unsigned)number_of("publishers", optarg, 1, PUBLISHERS_MAX); break;
        case 'N': options.subscribers = (unsigned)number_of("subscribers", optarg, 0, 100000); break;
        case 'w': options.slow = (unsigned)number_of("slow", optarg, 0, 100000); break;
        case 'l': options.stalled = (unsigned)number_of("stall", optarg, 0, 100000); break;
        case 'k': options.socket_bytes = (int)number_of("socket", optarg, 0, INT32_MAX); break;
        case 'L': options.lossy = true; break;
        case 'd': options.dribble = true; break;
        case 'v': options.verify = true; break;
        case 'h': printf(help, program_invocation_short_name); exit(0);
        default: die_option();
        }
    }
    if (optind < argc)
        die_usage("'%s' is not an option", argv[optind]);
    if (options.publish_port == 0 || options.subscribe_port == 0)
        die_usage("--publish and --subscribe: both ports are needed");
    if ((options.count == 0) == (options.seconds == 0))
        die_usage("--count or --tenths: one of them is needed");
    if (options.slow + options.stalled > options.subscribers)
        die_usage("--slow and --stall: there are only %u subscribers", options.subscribers);
    if (options.verify && (options.publishers > 1 || options.lossy) && options.frame_least < HEADER)
        die_usage("--frame: %zu bytes are too few to tell frames apart", options.frame_least);
    if (options.count == 0)
        options.count = UINT64_MAX;
}

int main(int argc, char **argv)
{
    program_name(argv[0]);
    read_options(argc, argv);
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    uint64_t random = 88172645463325252;
    for (size_t i = 0; i < PATTERN; i++)
        pattern[i] = pattern[PATTERN + i] = (unsigned char)(random_next(&random) >> 32);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    subscribers = need(calloc(options.subscribers + 1, sizeof *subscribers));
    for (unsigned i = 0; i < options.subscribers; i++)
        subscribe(&subscribers[i], i);

    static struct publisher publishers[PUBLISHERS_MAX];
    const double begin = seconds_now();
    atomic_store(&publishers_left, options.publishers);
    for (unsigned i = 0; i < options.publishers; i++) {
        publishers[i] = (struct publisher){.number = i, .random = 0x9e3779b97f4a7c15 * (i + 1)};
        const int error = pthread_create(&publishers[i].thread, NULL, publish, &publishers[i]);
        if (error != 0)
            die("pthread_create: %s", strerror(error));
    }
    receive_everything();
    const double seconds = seconds_now() - begin;
    atomic_store(&stop, true);
    for (unsigned i = 0; i < options.publishers; i++)
        pthread_join(publishers[i].thread, NULL);

    uint64_t delivered = 0, fewest = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < options.subscribers; i++) {
        const uint64_t bytes = subscribers[i].bytes;
        delivered += bytes;
        fewest = bytes < fewest ? bytes : fewest;
        most = bytes > most ? bytes : most;
        if (!options.lossy && bytes != atomic_load(&bytes_sent))
            die("subscriber %u: %ju bytes instead of %ju", i, (uintmax_t)bytes, (uintmax_t)atomic_load(&bytes_sent));
        if (options.verify && !subscribers[i].ended && subscribers[i].have != 0)
            wrong(&subscribers[i], "unfinished");
    }
    printf("frames %ju bytes %ju delivered %ju fewest %ju most %ju seconds %.3f mib_per_second %.1f\n",
           (uintmax_t)atomic_load(&frames_sent), (uintmax_t)atomic_load(&bytes_sent), (uintmax_t)delivered,
           (uintmax_t)(options.subscribers != 0 ? fewest : 0), (uintmax_t)most, seconds,
           (double)delivered / (double)MIB / seconds);
    return 0;
}

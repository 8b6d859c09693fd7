/*
 * relay-server.c: see relay-server.h. One thread, one epoll set.
 *
 * Publishers are level-triggered: one read for each turn, and none while a subscriber is slow and the policy is to wait.
 * Subscribers are edge-triggered for output: their sockets are written to at once, until one says EAGAIN; from then on the bytes
 * wait for the next edge. No epoll_ctl() on the way.
 *
 * A connection that ends in the middle of a turn is only marked, since events of the same turn may still name it.
 */
#define _GNU_SOURCE
#include "relay-server.h"

#include "program.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum kind { KIND_SIGNALS, KIND_OUTPUTS, KIND_PUBLISHERS, KIND_SUBSCRIBERS, KIND_PUBLISHER, KIND_SUBSCRIBER };

struct peer {
    enum kind kind;
    int fd;
    bool ended;
    bool blocked;   /* subscriber: the socket took no more; an edge will come */
    bool congested; /* subscriber: above the mark, counted in relay.congested */
    struct input *input;
    struct output *output;
};

struct peers {
    struct peer **at;
    size_t count, room;
};

enum slow_policy { SLOW_WAIT, SLOW_DROP, SLOW_DISCONNECT };
static const char *const slow_names[] = {"wait", "drop", "disconnect", NULL};
static const char *const send_names[] = {"writev", "auto", "zerocopy", "uring", NULL};

struct relay_options relay_options = {
    .buffer_bytes = 512 * KIB, .frame_limit = 16 * MIB, .queue_bytes = 1 * MIB, .send = SEND_AUTO};

static struct {
    int epoll;
    struct peer signals, outputs, publisher_socket, subscriber_socket;
    struct peers publishers, subscribers;
    struct peer **takers; /* room for all subscribers */
    size_t congested;     /* subscribers */
    bool paused;          /* publishers are not read */
    bool ending;
    bool some_ended;
    uint64_t frames, bytes_in, bytes_out, frames_dropped, slow_disconnected;
} relay;

static struct {
    const char *address;
    uint16_t publish_port, subscribe_port;
    enum slow_policy slow;
    int socket_bytes;
    bool stats;
} options = {.address = "127.0.0.1"};

/* ---- connections ---- */

static void watch(struct peer *peer, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    if (epoll_ctl(relay.epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void peers_add(struct peers *peers, struct peer *peer)
{
    if (peers->count == peers->room) {
        peers->room = peers->room != 0 ? 2 * peers->room : 64;
        peers->at = need(realloc(peers->at, peers->room * sizeof *peers->at));
    }
    peers->at[peers->count++] = peer;
}

/* The peer's part is over; it is freed at the end of the turn. */
static void peer_end(struct peer *peer)
{
    if (peer->ended)
        return;
    peer->ended = relay.some_ended = true;
    if (peer->congested)
        relay.congested--;
    peer->congested = false;
}

static void peer_free(struct peer *peer)
{
    close(peer->fd);
    if (peer->input != NULL)
        input_free(peer->input);
    if (peer->output != NULL)
        output_free(peer->output);
    free(peer);
}

/* Those that have ended go, unless the kernel still needs their bytes. */
static void peers_sweep(struct peers *peers)
{
    for (size_t i = 0; i < peers->count;) {
        struct peer *peer = peers->at[i];
        if (!peer->ended) {
            i++;
        } else if (peer->output != NULL && !output_abandon(peer->output)) {
            relay.some_ended = true;
            i++;
        } else {
            peer_free(peer);
            peers->at[i] = peers->at[--peers->count];
        }
    }
}

static void peers_free(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++)
        peer_free(peers->at[i]);
    free(peers->at);
}

static void drop_slow(struct peer *peer)
{
    complain("subscriber %d is too slow: disconnected with %zu bytes waiting", peer->fd, output_bytes(peer->output));
    relay.slow_disconnected++;
    peer_end(peer);
}

/* ---- sending ---- */

static void send_waiting(struct peer *peer)
{
    while (!peer->blocked && !peer->ended && output_bytes(peer->output) != 0) {
        const ssize_t sent = output_send(peer->output);
        if (sent >= 0)
            relay.bytes_out += (uint64_t)sent;
        else if (errno == EAGAIN)
            peer->blocked = true;
        else if (errno != EINTR)
            peer_end(peer);
    }
    const size_t waiting = peer->ended ? 0 : output_bytes(peer->output);
    if (!peer->congested && waiting > relay_options.queue_bytes) {
        peer->congested = true;
        relay.congested++;
    } else if (peer->congested && waiting <= relay_options.queue_bytes / 2) {
        peer->congested = false;
        relay.congested--;
    }
}

void relay_sent(void *owner, int bytes, bool all)
{
    struct peer *peer = owner;
    if (bytes > 0)
        relay.bytes_out += (uint64_t)bytes;
    if (!all)
        peer_end(peer);
    peer->blocked = false;
    send_waiting(peer);
}

/* Whether a run can wait for this subscriber. One that has nothing waiting takes a run of any length. */
static bool takes(struct peer *peer, const struct run *run)
{
    if (peer->ended)
        return false;
    const size_t waiting = output_bytes(peer->output);
    if (options.slow == SLOW_WAIT || waiting == 0 || waiting + run->length <= relay_options.queue_bytes)
        return true;
    if (options.slow == SLOW_DISCONNECT)
        drop_slow(peer);
    else
        relay.frames_dropped += run->frames;
    return false;
}

void relay_publish(struct run *run)
{
    uint32_t takers = 0;
    relay.frames += run->frames;
    for (size_t i = 0; i < relay.subscribers.count; i++) {
        if (takes(relay.subscribers.at[i], run))
            relay.takers[takers++] = relay.subscribers.at[i];
    }
    if (run_share(run, takers) != 0)
        die("out of memory");
    for (uint32_t i = 0; i < takers; i++) {
        struct peer *peer = relay.takers[i];
        if (output_append(peer->output, run) != 0) {
            complain("subscriber %d: out of memory", peer->fd);
            peer_end(peer);
        } else {
            send_waiting(peer);
        }
    }
}

/* ---- events ---- */

static void publisher_event(struct peer *peer)
{
    size_t room;
    char *space = need(input_space(peer->input, &room));
    const ssize_t got = read(peer->fd, space, room);
    if (got > 0) {
        relay.bytes_in += (uint64_t)got;
        if (input_filled(peer->input, (size_t)got) == 0)
            return;
        complain("publisher %d: %s", peer->fd,
                 errno == EMSGSIZE ? "a frame is longer than --frame-limit" : strerror(errno));
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    } else if (got < 0) {
        complain("publisher %d: %s", peer->fd, strerror(errno));
    } else if (input_rest(peer->input) != 0) {
        complain("publisher %d: left in the middle of a frame", peer->fd);
    }
    peer_end(peer);
}

static void subscriber_event(struct peer *peer, uint32_t events)
{
    char ignored[4096];
    if ((events & EPOLLERR) != 0 && !output_reported(peer->output))
        peer_end(peer);
    if ((events & (EPOLLHUP | EPOLLRDHUP)) != 0)
        peer_end(peer);
    if ((events & EPOLLIN) != 0 && !peer->ended) {
        while (recv(peer->fd, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
            ; /* subscribers have nothing to say */
    }
    if ((events & EPOLLOUT) != 0)
        peer->blocked = false;
    if (!peer->ended)
        send_waiting(peer);
}

static void greet(struct peer *peer)
{
    static const char greeting[PREFIX_BYTES];
    if (send(peer->fd, greeting, sizeof greeting, 0) != (ssize_t)sizeof greeting)
        peer_end(peer);
}

static void add_peer(enum kind kind, int fd)
{
    struct peer *peer = need(calloc(1, sizeof *peer));
    const int yes = 1;
    *peer = (struct peer){.kind = kind, .fd = fd};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (kind == KIND_PUBLISHER) {
        peer->input = need(input_new());
        peers_add(&relay.publishers, peer);
        watch(peer, relay.paused ? 0 : EPOLLIN);
        return;
    }
    if (options.socket_bytes != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options.socket_bytes, sizeof options.socket_bytes);
    peer->output = need(output_new(fd, peer));
    peers_add(&relay.subscribers, peer);
    relay.takers = need(realloc(relay.takers, relay.subscribers.room * sizeof(struct peer *)));
    greet(peer);
    watch(peer, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

static void listener_event(const struct peer *listener)
{
    for (;;) {
        const int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add_peer(listener->kind == KIND_PUBLISHERS ? KIND_PUBLISHER : KIND_SUBSCRIBER, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN)
                complain("accept: %s", strerror(errno));
            return;
        }
    }
}

static void handle(struct peer *peer, uint32_t events)
{
    switch (peer->kind) {
    case KIND_SIGNALS: relay.ending = true; break;
    case KIND_OUTPUTS: break; /* the end of the turn sees to it */
    case KIND_PUBLISHERS:
    case KIND_SUBSCRIBERS: listener_event(peer); break;
    case KIND_PUBLISHER:
        if (!peer->ended && (!relay.paused || (events & EPOLLHUP) != 0))
            publisher_event(peer);
        break;
    case KIND_SUBSCRIBER:
        if (!peer->ended)
            subscriber_event(peer, events);
    }
}

/* With the policy to wait, nothing is read while somebody is slow: the publishers' sockets fill up, and they wait too. */
static void pause_or_resume(void)
{
    const bool pause = options.slow == SLOW_WAIT && relay.congested != 0;
    if (pause == relay.paused)
        return;
    relay.paused = pause;
    for (size_t i = 0; i < relay.publishers.count; i++) {
        struct peer *peer = relay.publishers.at[i];
        struct epoll_event event = {.events = pause ? 0 : EPOLLIN, .data.ptr = peer};
        if (epoll_ctl(relay.epoll, EPOLL_CTL_MOD, peer->fd, &event) != 0)
            die("epoll_ctl: %s", strerror(errno));
    }
}

static void turn(int timeout_ms)
{
    struct epoll_event events[256];
    const int count = epoll_wait(relay.epoll, events, 256, timeout_ms);
    if (count < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        handle(events[i].data.ptr, events[i].events);
        if (options.slow == SLOW_WAIT && relay.congested != 0 && !relay.paused)
            pause_or_resume(); /* at once: other publishers of this turn must wait as well */
    }
    outputs_advance();
    if (relay.some_ended) {
        relay.some_ended = false;
        peers_sweep(&relay.publishers);
        peers_sweep(&relay.subscribers);
    }
    pause_or_resume();
}

static bool all_sent(void)
{
    for (size_t i = 0; i < relay.subscribers.count; i++) {
        const struct peer *peer = relay.subscribers.at[i];
        if (!peer->ended && output_bytes(peer->output) != 0)
            return false;
    }
    return true;
}

/* No more news; what waits is sent, within a second. */
static void finish(void)
{
    const double deadline = seconds_now() + 1;
    close(relay.publisher_socket.fd);
    close(relay.subscriber_socket.fd);
    close(relay.signals.fd);
    for (size_t i = 0; i < relay.publishers.count; i++)
        peer_end(relay.publishers.at[i]);
    while (!all_sent() && seconds_now() < deadline)
        turn(50);
    peers_free(&relay.publishers);
    peers_free(&relay.subscribers);
    free(relay.takers);
    close(relay.epoll);
}

/* ---- start ---- */

static const char help[] =
    "usage: %s [OPTION…]\n"
    "%s\n"
    "\n"
    "Frames are a length of 4 bytes, big endian, and that many bytes. Publishers connect to one port and send frames;\n"
    "subscribers connect to the other one and receive the frames of all publishers, after an empty one as a greeting. The\n"
    "ports are printed when both are open.\n"
    "\n"
    "  --address=A       IPv4 address to listen at (127.0.0.1)\n"
    "  --publish=PORT    port for publishers (any)\n"
    "  --subscribe=PORT  port for subscribers (any)\n"
    "  --slow=POLICY     when more than --queue waits for a subscriber:\n"
    "                    wait        read nothing until it has caught up (this one)\n"
    "                    drop        it misses whole frames\n"
    "                    disconnect  it goes\n"
    "  --queue=BYTES     what may wait for a subscriber (1M)\n"
    "  --frame-limit=N   longest frame (16M); a publisher that sends a longer one is disconnected\n"
    "  --buffer=BYTES    of the buffer that frames are read into (512K)\n"
    "  --socket=BYTES    of the subscribers' sockets' own buffers (0: as the kernel likes)\n"
    "  --send=HOW        writev, zerocopy, uring, or what is best (auto); the copying relay knows writev only\n"
    "  --stats           one line about work and cost at the end, on standard error\n"
    "  --help            print this text\n"
    "\n"
    "SIGTERM and SIGINT end it: what waits is still sent, for up to a second.\n";

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"address", required_argument, NULL, 'a'},
                                          {"publish", required_argument, NULL, 'p'},
                                          {"subscribe", required_argument, NULL, 's'},
                                          {"slow", required_argument, NULL, 'w'},
                                          {"queue", required_argument, NULL, 'q'},
                                          {"frame-limit", required_argument, NULL, 'f'},
                                          {"buffer", required_argument, NULL, 'b'},
                                          {"socket", required_argument, NULL, 'k'},
                                          {"send", required_argument, NULL, 'm'},
                                          {"stats", no_argument, NULL, 'S'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'a': options.address = optarg; break;
        case 'p': options.publish_port = (uint16_t)number_of("publish", optarg, 0, UINT16_MAX); break;
        case 's': options.subscribe_port = (uint16_t)number_of("subscribe", optarg, 0, UINT16_MAX); break;
        case 'w': options.slow = (enum slow_policy)choice_of("slow", optarg, slow_names); break;
        case 'q': relay_options.queue_bytes = number_of("queue", optarg, 1, SIZE_MAX / 4); break;
        case 'f': relay_options.frame_limit = number_of("frame-limit", optarg, 1, UINT32_MAX); break;
        case 'b': relay_options.buffer_bytes = number_of("buffer", optarg, 4 * KIB, 1024 * MIB); break;
        case 'k': options.socket_bytes = (int)number_of("socket", optarg, 0, INT32_MAX); break;
        case 'm': relay_options.send = (enum send_mode)choice_of("send", optarg, send_names); break;
        case 'S': options.stats = true; break;
        case 'h': printf(help, program_invocation_short_name, relay_about); exit(0);
        default: die_option();
        }
    }
    if (optind < argc)
        die_usage("'%s' is not an option", argv[optind]);
}

static void start(void)
{
    raise_descriptor_limit();
    relay.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (relay.epoll < 0)
        die("epoll_create1: %s", strerror(errno));
    relay.signals = (struct peer){.kind = KIND_SIGNALS, .fd = signals_to_descriptor()};
    relay.publisher_socket =
        (struct peer){.kind = KIND_PUBLISHERS, .fd = listen_at(options.address, options.publish_port)};
    relay.subscriber_socket =
        (struct peer){.kind = KIND_SUBSCRIBERS, .fd = listen_at(options.address, options.subscribe_port)};
    outputs_open();
    relay.outputs = (struct peer){.kind = KIND_OUTPUTS, .fd = outputs_descriptor()};
    if (relay.outputs.fd >= 0)
        watch(&relay.outputs, EPOLLIN);
    watch(&relay.signals, EPOLLIN);
    watch(&relay.publisher_socket, EPOLLIN);
    watch(&relay.subscriber_socket, EPOLLIN);
    printf("publish %s:%u\nsubscribe %s:%u\n", options.address, port_of(relay.publisher_socket.fd), options.address,
           port_of(relay.subscriber_socket.fd));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    program_name(argv[0]);
    read_options(argc, argv);
    start();
    while (!relay.ending)
        turn(-1);
    const size_t resident_kib = memory_kib("VmRSS");
    finish();
    if (options.stats) {
        const struct cpu_seconds cpu = cpu_seconds();
        complain(
            "frames %ju bytes_in %ju bytes_out %ju frames_dropped %ju slow_disconnected %ju cpu_user %.3f cpu_system "
            "%.3f resident_kib %zu peak_kib %zu",
            (uintmax_t)relay.frames, (uintmax_t)relay.bytes_in, (uintmax_t)relay.bytes_out,
            (uintmax_t)relay.frames_dropped, (uintmax_t)relay.slow_disconnected, cpu.user, cpu.system, resident_kib,
            memory_kib("VmHWM"));
    }
    return 0;
}

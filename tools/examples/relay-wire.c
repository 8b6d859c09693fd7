/*
 * relay-wire.c: subscribers at the other end of a wire that leads nowhere.
 *
 *     relay -> TCP -> BPF program at the device's exit: notes how far each connection has sent -> ifb device: dropped
 *       ^                                  |
 *       '-- acknowledgements <---- this program, from the notes (raw socket)
 *
 * What a relay costs is hard to see inside one machine: where sender and receiver share a kernel, the kernel copies what
 * MSG_ZEROCOPY promised not to copy. A network card does not, and neither does a device that drops what it is given. TCP needs
 * acknowledgements; this program makes them up, beginning with the handshakes. The relay's socket, its TCP and its
 * notifications are the real ones; no byte is ever received.
 *
 * To be run in a network namespace with such a device (see bench_relay.py); needs the rights of root there.
 */
#define _GNU_SOURCE
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FLOWS_MAX = 4096, FIRST_PORT = 10000, AT_ONCE = 64, OPTIONS_BYTES = 8, WINDOW_SCALE = 14 };

/* What the BPF program notes for a connection: 0, or SEEN and the sequence number after the last byte that was sent. */
#define SEEN ((uint64_t)1 << 32)

static struct {
    const char *device;
    struct in_addr from, to;
    uint16_t port;
    unsigned subscribers;
} options = {.subscribers = 1};

static _Atomic uint64_t *sent_to; /* by connection; written by the BPF program */
static uint32_t acknowledged[FLOWS_MAX];

/* ---- the BPF program ---- */

static int bpf(int command, union bpf_attr *attributes)
{
    return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static int make_map(void)
{
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY,
                          .key_size = sizeof(uint32_t),
                          .value_size = sizeof(uint64_t),
                          .max_entries = FLOWS_MAX,
                          .map_flags = BPF_F_MMAPABLE};
    const int fd = bpf(BPF_MAP_CREATE, &map);
    if (fd < 0)
        die("cannot make a BPF map: %s", strerror(errno));
    sent_to = mmap(NULL, FLOWS_MAX * sizeof *sent_to, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (sent_to == MAP_FAILED)
        die("cannot map the BPF map: %s", strerror(errno));
    return fd;
}

#define INSTRUCTION(c, d, s, o, i) \
    ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define LOAD(size, d, s, o) INSTRUCTION(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, o, s) INSTRUCTION(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define OP(op, d, i) INSTRUCTION(BPF_ALU64 | BPF_K | (op), d, 0, 0, i)
#define OP_REG(op, d, s) INSTRUCTION(BPF_ALU64 | BPF_X | (op), d, s, 0, 0)
#define OP32_REG(op, d, s) INSTRUCTION(BPF_ALU | BPF_X | (op), d, s, 0, 0)
#define FROM_BIG_ENDIAN(d, bits) INSTRUCTION(BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, bits)
#define JUMP(op, d, i, o) INSTRUCTION(BPF_JMP | BPF_K | (op), d, 0, o, i)
#define JUMP_REG(op, d, s, o) INSTRUCTION(BPF_JMP | BPF_X | (op), d, s, o, 0)
#define JUMP32(op, d, i, o) INSTRUCTION(BPF_JMP32 | BPF_K | (op), d, 0, o, i)

/* Offsets in a packet with an Ethernet, an IPv4 (no options) and a TCP header. */
enum { AT_PROTOCOL = 14 + 9, AT_TCP = 14 + 20, HEADERS = AT_TCP + 20 };

static int load_program(int map)
{
    enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };
    const struct bpf_insn code[] = {
        OP_REG(BPF_MOV, R6, R1),
        LOAD(BPF_W, R2, R6, offsetof(struct __sk_buff, data)),
        LOAD(BPF_W, R3, R6, offsetof(struct __sk_buff, data_end)),
        OP_REG(BPF_MOV, R4, R2),
        OP(BPF_ADD, R4, HEADERS),
        JUMP_REG(BPF_JGT, R4, R3, 36), /* too short */
        LOAD(BPF_B, R5, R2, AT_PROTOCOL),
        JUMP(BPF_JNE, R5, IPPROTO_TCP, 34),
        LOAD(BPF_H, R7, R2, AT_TCP + 2), /* r7: the connection, from the port */
        FROM_BIG_ENDIAN(R7, 16),
        OP(BPF_SUB, R7, FIRST_PORT),
        JUMP(BPF_JGE, R7, FLOWS_MAX, 30),
        LOAD(BPF_W, R8, R2, AT_TCP + 4), /* r8: sequence number */
        FROM_BIG_ENDIAN(R8, 32),
        LOAD(BPF_W, R9, R6, offsetof(struct __sk_buff, len)), /* r9: bytes of payload */
        OP(BPF_SUB, R9, AT_TCP),
        LOAD(BPF_B, R5, R2, AT_TCP + 12),
        OP(BPF_RSH, R5, 4),
        OP(BPF_LSH, R5, 2),
        OP_REG(BPF_SUB, R9, R5),
        LOAD(BPF_B, R5, R2, AT_TCP + 13), /* SYN and FIN count as one */
        OP(BPF_AND, R5, 3),
        JUMP(BPF_JEQ, R5, 0, 1),
        OP(BPF_ADD, R9, 1),
        OP32_REG(BPF_ADD, R8, R9),
        STORE(BPF_W, R10, -4, R7),
        OP_REG(BPF_MOV, R2, R10),
        OP(BPF_ADD, R2, -4),
        INSTRUCTION(BPF_LD | BPF_DW | BPF_IMM, R1, BPF_PSEUDO_MAP_FD, 0, map),
        INSTRUCTION(0, 0, 0, 0, 0),
        INSTRUCTION(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
        JUMP(BPF_JEQ, R0, 0, 10),
        LOAD(BPF_DW, R1, R0, 0),
        JUMP(BPF_JEQ, R1, 0, 3), /* the first one */
        OP32_REG(BPF_MOV, R2, R8),
        OP32_REG(BPF_SUB, R2, R1),
        JUMP32(BPF_JSLE, R2, 0, 5), /* sent again: nothing new */
        OP(BPF_MOV, R3, 1),
        OP(BPF_LSH, R3, 32),
        OP32_REG(BPF_MOV, R8, R8),
        OP_REG(BPF_OR, R8, R3),
        STORE(BPF_DW, R0, 0, R8),
        OP(BPF_MOV, R0, 0), /* on to the device */
        INSTRUCTION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    static char log[64 << 10];
    union bpf_attr program = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
                              .insns = (uintptr_t)code,
                              .insn_cnt = sizeof code / sizeof code[0],
                              .license = (uintptr_t) "",
                              .log_buf = (uintptr_t)log,
                              .log_size = sizeof log,
                              .log_level = 1};
    const int fd = bpf(BPF_PROG_LOAD, &program);
    if (fd < 0)
        die("cannot load the BPF program: %s\n%s", strerror(errno), log);
    return fd;
}

/* BPF_TCX_EGRESS of Linux 6.6 and later, which older headers lack. */
enum { TCX_EGRESS = 47 };

/* From now on, until this process ends. */
static void attach(int program)
{
    union bpf_attr link = {0};
    link.link_create.prog_fd = (uint32_t)program;
    link.link_create.target_ifindex = if_nametoindex(options.device);
    link.link_create.attach_type = TCX_EGRESS;
    if (link.link_create.target_ifindex == 0)
        die("--device: %s: %s", options.device, strerror(errno));
    if (bpf(BPF_LINK_CREATE, &link) < 0)
        die("cannot attach the BPF program to %s: %s", options.device, strerror(errno));
}

/* ---- made-up packets ---- */

struct packet {
    struct iphdr ip;
    struct tcphdr tcp;
    unsigned char options[OPTIONS_BYTES]; /* of the first one */
};

static uint32_t sum_of(const void *data, size_t bytes)
{
    const uint16_t *words = data;
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes / 2; i++)
        sum += words[i];
    return sum;
}

static uint16_t tcp_checksum(const struct packet *packet, size_t tcp_bytes)
{
    uint32_t sum = sum_of(&packet->ip.saddr, 8) + htons(IPPROTO_TCP) + htons((uint16_t)tcp_bytes) +
                   sum_of(&packet->tcp, tcp_bytes);
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return (uint16_t)~sum;
}

/* The packet of a connection; its bytes. */
static size_t make_packet(struct packet *packet, unsigned flow, bool first, uint32_t acknowledge)
{
    static const unsigned char wide[OPTIONS_BYTES] = {2, 4, 1460 >> 8, 1460 & 0xff, 3, 3, WINDOW_SCALE, 0};
    const size_t tcp_bytes = sizeof packet->tcp + (first ? OPTIONS_BYTES : 0);
    memset(packet, 0, sizeof *packet);
    packet->ip.version = 4;
    packet->ip.ihl = 5;
    packet->ip.ttl = 64;
    packet->ip.protocol = IPPROTO_TCP;
    packet->ip.saddr = options.from.s_addr;
    packet->ip.daddr = options.to.s_addr;
    packet->tcp.source = htons((uint16_t)(FIRST_PORT + flow));
    packet->tcp.dest = htons(options.port);
    packet->tcp.seq = htonl(first ? 1 : 2);
    packet->tcp.ack_seq = htonl(acknowledge);
    packet->tcp.doff = (uint16_t)(tcp_bytes / 4) & 0xf;
    packet->tcp.syn = first;
    packet->tcp.ack = !first;
    packet->tcp.window = htons(UINT16_MAX);
    memcpy(packet->options, wide, sizeof wide);
    packet->tcp.check = tcp_checksum(packet, tcp_bytes);
    return sizeof packet->ip + tcp_bytes;
}

static struct packet packets[AT_ONCE];
static struct iovec pieces[AT_ONCE];
static struct mmsghdr messages[AT_ONCE];
static unsigned queued;

static void send_queued(int raw)
{
    for (unsigned done = 0; done < queued;) {
        const int sent = sendmmsg(raw, messages + done, queued - done, 0);
        if (sent < 0 && errno != ENOBUFS && errno != EINTR)
            die("cannot send: %s", strerror(errno));
        done += sent > 0 ? (unsigned)sent : 0;
    }
    queued = 0;
}

static void queue_packet(int raw, unsigned flow, bool first, uint32_t acknowledge)
{
    static struct sockaddr_in to;
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = options.to};
    pieces[queued].iov_base = &packets[queued];
    pieces[queued].iov_len = make_packet(&packets[queued], flow, first, acknowledge);
    messages[queued].msg_hdr =
        (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &pieces[queued], .msg_iovlen = 1};
    if (++queued == AT_ONCE)
        send_queued(raw);
}

/* Acknowledge what is new; how many connections had something. */
static unsigned acknowledge_all(int raw)
{
    unsigned count = 0;
    for (unsigned flow = 0; flow < options.subscribers; flow++) {
        const uint64_t note = atomic_load_explicit(&sent_to[flow], memory_order_relaxed);
        if (note == 0 || (uint32_t)note == acknowledged[flow])
            continue;
        acknowledged[flow] = (uint32_t)note;
        queue_packet(raw, flow, false, (uint32_t)note);
        count++;
    }
    send_queued(raw);
    return count;
}

/* Connect all, and wait until each has been greeted. */
static void subscribe(int raw)
{
    static uint32_t greeted[FLOWS_MAX];
    const double deadline = seconds_now() + 10;
    for (unsigned flow = 0; flow < options.subscribers; flow++) {
        queue_packet(raw, flow, true, 0);
        send_queued(raw);
        while (atomic_load(&sent_to[flow]) == 0) {
            if (seconds_now() > deadline)
                die("no answer to connection %u", flow);
            usleep(20);
        }
        greeted[flow] = (uint32_t)atomic_load(&sent_to[flow]) + 4;
        (void)acknowledge_all(raw);
    }
    for (unsigned flow = 0; flow < options.subscribers;) {
        if (acknowledged[flow] == greeted[flow])
            flow++;
        else if (acknowledge_all(raw) == 0)
            usleep(20);
        if (seconds_now() > deadline)
            die("no greeting for connection %u", flow);
    }
}

/* ---- start ---- */

static const char help[] =
    "usage: %s --device=D --from=A --to=A --port=P [--subscribers=N]\n"
    "Pretends to be N subscribers of a relay, behind a device that drops everything: acknowledges what the relay sends.\n"
    "Prints a line when all are connected; SIGTERM and SIGINT end it.\n"
    "\n"
    "  --device=D        an ifb device, up, with the route to --from\n"
    "  --from=A          the subscribers' IPv4 address\n"
    "  --to=A --port=P   where the relay waits for subscribers\n"
    "  --subscribers=N   (1)\n"
    "  --help            print this text\n";

static void read_address(const char *option, const char *text, struct in_addr *address)
{
    if (inet_pton(AF_INET, text, address) != 1)
        die_usage("--%s: '%s' is not an IPv4 address", option, text);
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"device", required_argument, NULL, 'd'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"to", required_argument, NULL, 't'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"subscribers", required_argument, NULL, 'N'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (option) {
        case 'd': options.device = optarg; break;
        case 'f': read_address("from", optarg, &options.from); break;
        case 't': read_address("to", optarg, &options.to); break;
        case 'p': options.port = (uint16_t)number_of("port", optarg, 1, UINT16_MAX); break;
        case 'N': options.subscribers = (unsigned)number_of("subscribers", optarg, 1, FLOWS_MAX); break;
        case 'h': printf(help, program_invocation_short_name); exit(0);
        default: die_option();
        }
    }
    if (options.device == NULL || options.from.s_addr == 0 || options.to.s_addr == 0 || options.port == 0)
        die_usage("--device, --from, --to and --port are needed");
}

int main(int argc, char **argv)
{
    program_name(argv[0]);
    read_options(argc, argv);
    const int signals = signals_to_descriptor();
    const int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (raw < 0)
        die("cannot open a raw socket: %s", strerror(errno));
    attach(load_program(make_map()));
    subscribe(raw);
    printf("connected %u\n", options.subscribers);
    fflush(stdout);
    char byte[256];
    for (unsigned turn = 0; turn % 1024 != 0 || read(signals, byte, sizeof byte) < 0; turn++) {
        if (acknowledge_all(raw) == 0)
            usleep(10);
    }
    return 0;
}

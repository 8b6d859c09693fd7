/*
 * test_zerocopy.c: references held for what the kernel is reading: the account by itself, over loopback (where the
 * kernel copies), and through a device that sends from the program's pages.
 */
#include "unit.h"

#include "quarry/zerocopy.h"

#include "zerocopy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a kernel that is told what to answer ---- */

static int refusal;            /* to MSG_ZEROCOPY: an errno, or 0 */
static bool nothing_is_copied; /* notifications say so, wherever the bytes went */

/* The core's system calls come here. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (refusal != 0 && (flags & MSG_ZEROCOPY) != 0) {
        errno = refusal;
        return -1;
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    const ssize_t got = syscall(SYS_recvmsg, fd, message, flags);
    if (got < 0 || (flags & MSG_ERRQUEUE) == 0 || !nothing_is_copied)
        return got;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == SOL_IP && part->cmsg_type == IP_RECVERR)
            ((struct sock_extended_err *)CMSG_DATA(part))->ee_code = 0;
    }
    return got;
}

/* ---- the account ---- */

static struct qyi_flight *flight_of(qy_slice slice)
{
    struct qyi_flight *flight = qy_malloc(sizeof *flight + sizeof slice);
    flight->count = 1;
    flight->slices[0] = qy_slice_clone(slice);
    return flight;
}

static void add_flights(qy_zerocopy *account, qy_slice slice, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        require(qyi_zerocopy_reserve(account));
        qyi_zerocopy_add(account, flight_of(slice));
    }
}

static qy_zerocopy *unix_account(void)
{
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    require(account != NULL);
    return account;
}

START_TEST(test_references_are_dropped_by_range_in_any_order)
{
    qy_zerocopy *account = unix_account();
    qy_slice slice = qy_slice_new(100);
    add_flights(account, slice, 40);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 41);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 3, 5), 3);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 37);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 3, 5), 0); /* once only */
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 0, 9), 7);
    ck_assert_uint_eq(account->first, 10);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 31);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 8, 9), 0);   /* not in flight any more */
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 39, 40), 0); /* not sent */
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 9, 10), 1);  /* one of them in flight */
    add_flights(account, slice, 10);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 11, 49), 39);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 0);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_numbers_wrap_around)
{
    qy_zerocopy *account = unix_account();
    account->first = UINT32_MAX - 20;
    qy_slice slice = qy_slice_new(100);
    add_flights(account, slice, 100);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, UINT32_MAX - 2, 5), 9);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, UINT32_MAX - 20, UINT32_MAX - 3), 18);
    ck_assert_uint_eq(account->first, 6);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, UINT32_MAX, 5), 0);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, UINT32_MAX, 6), 1);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 7, 78), 72);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    ck_assert_uint_eq(account->count, 0);
}
END_TEST

START_TEST(test_dropping_takes_back_what_is_in_flight)
{
    qy_zerocopy *account = unix_account();
    qy_slice slice = qy_slice_new(100);
    add_flights(account, slice, 5);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 1, 2), 2);
    ck_assert_uint_eq(qy_zerocopy_drop(account), 3);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    ck_assert_uint_eq(qy_zerocopy_drop(account), 0);
    ck_assert_uint_eq(account->first, 5); /* the numbers go on */
    add_flights(account, slice, 1);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 0, 4), 0); /* the notification comes late */
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 5, 5), 1);
    add_flights(account, slice, 2);
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 0, 6), 1); /* together with what was dropped */
    ck_assert_uint_eq(qyi_zerocopy_complete(account, 7, 7), 1);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

START_TEST(test_a_child_has_nothing_in_flight_and_keeps_the_references)
{
    qy_zerocopy *account = unix_account();
    account->able = true;
    qy_slice slice = qy_slice_new(100);
    add_flights(account, slice, 5);
    const pid_t child = fork();
    if (child == 0) {
        const bool right = qy_zerocopy_pending(account) == 0 && qy_zerocopy_reap(account) == 0 &&
                           qy_zerocopy_wait(account, -1) == 0 && qy_zerocopy_drop(account) == 0 &&
                           qy_refcount(slice.iov_base) == 6 && !account->able;
        _exit(right ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 5);
    ck_assert_uint_eq(qy_zerocopy_drop(account), 5);
}
END_TEST

START_TEST(test_what_is_not_a_socket_is_refused)
{
    int pair[2];
    require(pipe(pair) == 0);
    ck_assert_ptr_null(qy_zerocopy_new(pair[0]));
    ck_assert_int_eq(errno, ENOTSOCK);
    ck_assert_ptr_null(qy_zerocopy_new(-1));
    ck_assert_int_eq(errno, EBADF);
    qy_zerocopy_free(NULL);
}
END_TEST

START_TEST(test_a_unix_socket_copies)
{
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_zerocopy_set_limits(account, 0, 0);
    qy_slice slice = qy_slice_copy("some bytes", 10);
    ck_assert_int_eq(qy_zerocopy_send(account, &slice, 1, 0), 10);
    ck_assert_uint_eq(slice.iov_len, 0);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 0);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 0);
    ck_assert_int_eq(qy_zerocopy_wait(account, 0), 0);
}
END_TEST

/* ---- over loopback ---- */

static void tcp_pair(int family, int pair[2])
{
    const int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = (sa_family_t)family, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (family == AF_INET)
        memcpy(&address, &(struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}},
               sizeof(struct sockaddr_in));
    socklen_t length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof address;
    require(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
    require(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    pair[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(pair[0], (struct sockaddr *)&address, length) == 0);
    pair[1] = accept(listener, NULL, NULL);
    require(pair[1] >= 0);
    close(listener);
}

static void udp_pair(int pair[2])
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof peer;
    pair[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    pair[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(bind(pair[1], (struct sockaddr *)&peer, length) == 0);
    require(getsockname(pair[1], (struct sockaddr *)&peer, &length) == 0);
    require(connect(pair[0], (struct sockaddr *)&peer, length) == 0);
}

/* So much fits in between, and no more: the kernel does not let buffers grow whose size was set. */
static void limit_buffers(const int pair[2])
{
    const int bytes = 256 << 10;
    require(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
    require(setsockopt(pair[1], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0);
}

static void read_whole(int fd, char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        const ssize_t part = read(fd, bytes + done, length - done);
        require(part > 0);
        done += (size_t)part;
    }
}

enum { PART = 40000 };

static void send_part(qy_zerocopy *account, int in, qy_slice slice)
{
    static char bytes[PART];
    qy_slice clone = qy_slice_clone(slice);
    ck_assert_int_eq(qy_zerocopy_send(account, &clone, 1, 0), PART);
    ck_assert_uint_eq(clone.iov_len, 0);
    read_whole(in, bytes, PART);
    require(memcmp(bytes, slice.iov_base, PART) == 0);
}

static void check_loopback(int family)
{
    int pair[2];
    tcp_pair(family, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    memset(slice.iov_base, 'z', PART);
    send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).reported, 1);
    /* The kernel has copied: for a while, no more of it. */
    for (unsigned i = 0; i < 256; i++)
        send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 256);
    send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 2);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    for (unsigned i = 0; i < 512; i++)
        send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 2); /* twice as long */
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_zerocopy_free(account);
}

START_TEST(test_references_are_held_until_the_notification)
{
    check_loopback(AF_INET);
}
END_TEST

START_TEST(test_the_same_by_version_six)
{
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe < 0 || bind(probe, (const struct sockaddr *)&address, sizeof address) != 0) {
        puts("test_zerocopy: no IPv6 here, not tested");
        return;
    }
    check_loopback(AF_INET6);
}
END_TEST

START_TEST(test_a_kernel_without_room_copies)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    refusal = ENOBUFS;
    errno = 0;
    for (unsigned i = 0; i < 3; i++)
        send_part(account, pair[1], slice);
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 3);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).refused, 3);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    refusal = 0; /* there may be room again */
    send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_a_kernel_that_knows_no_other_way_copies_for_good)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    refusal = EOPNOTSUPP;
    errno = 0;
    send_part(account, pair[1], slice);
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).refused, 1);
    for (unsigned i = 0; i < 3; i++)
        send_part(account, pair[1], slice);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 4);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).refused, 1); /* it was asked once */
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_a_flag_that_the_socket_does_not_know_is_an_error_of_this_send_only)
{
    int pair[2];
    udp_pair(pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    ck_assert_int_eq(qy_zerocopy_send(account, &slice, 1, MSG_OOB), -1);
    ck_assert_int_eq(errno, EOPNOTSUPP);
    ck_assert_uint_eq(slice.iov_len, PART);
    ck_assert_int_eq(qy_zerocopy_send(account, &slice, 1, 0), PART);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_other_refusals_are_errors)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    refusal = ECONNRESET;
    ck_assert_int_eq(qy_zerocopy_send(account, &slice, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    ck_assert_uint_eq(slice.iov_len, PART);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 0);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_a_path_that_does_not_copy_is_used_at_once)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    limit_buffers(pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_slice slice = qy_slice_zeroed(PART);
    nothing_is_copied = true;
    send_part(account, pair[1], slice);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert(account->proven);
    for (unsigned i = 0; i < 3; i++) {
        qy_slice clone = qy_slice_clone(slice);
        ck_assert_int_eq(qy_zerocopy_send(account, &clone, 1, 0), PART);
    }
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 4); /* without waiting for each */
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).reported, 0);
    static char bytes[PART];
    for (unsigned i = 0; i < 3; i++)
        read_whole(pair[1], bytes, PART);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_zerocopy_free(account);
}
END_TEST

static void send_length(qy_zerocopy *account, qy_slice slice, size_t length, int flags)
{
    qy_slice part = qy_slice_sub(slice, 0, length);
    require(qy_zerocopy_send(account, &part, 1, flags) == (ssize_t)length);
}

START_TEST(test_one_send_is_tried_until_its_path_is_known)
{
    int pair[2];
    udp_pair(pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_zerocopy_set_limits(account, 0, 0);
    qy_slice slice = qy_slice_zeroed(PART);
    /* MSG_MORE: the datagram does not go out yet, so that nobody knows whether it will be copied. */
    for (unsigned i = 0; i < 5; i++)
        send_length(account, slice, 5000, MSG_MORE);
    ck_assert_uint_eq(qy_zerocopy_pending(account), 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 4);
    send_length(account, slice, 5000, 0);
    ck_assert_int_eq(recv(pair[1], slice.iov_base, PART, 0), 30000);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).reported, 1);
    ck_assert(!account->proven);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
    qy_zerocopy_free(account);
}
END_TEST

START_TEST(test_small_sends_and_small_pieces_are_copied)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_zerocopy_set_limits(account, 10000, 1000);
    static char bytes[40000];
    qy_slice small = qy_slice_zeroed(9999);
    ck_assert_int_eq(qy_zerocopy_send(account, &small, 1, 0), 9999);
    read_whole(pair[1], bytes, 9999);
    qy_slice whole = qy_slice_zeroed(20 * 999);
    qy_slice pieces[20];
    require(qy_slice_split_steps(&whole, 999, pieces, 20) == 20);
    ck_assert_int_eq(qy_zerocopy_send(account, pieces, 20, 0), 20 * 999);
    read_whole(pair[1], bytes, 20 * 999);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 0);
    whole = qy_slice_zeroed(20 * 1000);
    require(qy_slice_split_steps(&whole, 1000, pieces, 20) == 20);
    ck_assert_int_eq(qy_zerocopy_send(account, pieces, 20, 0), 20 * 1000);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).copies, 2);
}
END_TEST

START_TEST(test_parts_of_slices_keep_one_reference_each_while_they_fly)
{
    enum { LENGTH = 8 << 20 };
    int pair[2];
    tcp_pair(AF_INET, pair);
    require(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    limit_buffers(pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    account->proven = true; /* several at once, until the first notification */
    qy_slice whole = qy_slice_zeroed(LENGTH);
    qy_slice slices[2] = {whole, qy_slice_zeroed(LENGTH)};
    const void *second = slices[1].iov_base;
    require(qy_retain(whole.iov_base) == 0 && qy_retain(second) == 0);
    size_t sent = 0;
    ssize_t part;
    while ((part = qy_zerocopy_send(account, slices, 2, 0)) > 0) { /* an acknowledgement may make room in between */
        sent += (size_t)part;
        require(sent < LENGTH); /* within the first */
        ck_assert_uint_eq(slices[0].iov_len, LENGTH - sent);
        ck_assert_uint_eq(qy_refcount(second), 2); /* none for what was not sent */
        ck_assert_uint_ge(qy_refcount(whole.iov_base), 2);
    }
    ck_assert_int_eq(part, -1);
    ck_assert_int_eq(errno, EAGAIN);
    require(sent != 0);
    ck_assert_uint_eq(qy_refcount(second), 2);
    static char bytes[1 << 16];
    for (size_t received = 0; received < 2 * LENGTH;) {
        part = read(pair[1], bytes, sizeof bytes);
        require(part > 0);
        received += (size_t)part;
        require(qy_zerocopy_send(account, slices, 2, 0) >= 0 || errno == EAGAIN);
    }
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert_uint_eq(qy_refcount(whole.iov_base), 1);
    ck_assert_uint_eq(qy_refcount(second), 1);
}
END_TEST

START_TEST(test_a_chain_is_sent_and_drained)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    qy_zerocopy *account = qy_zerocopy_new(pair[0]);
    qy_chain chain;
    qy_chain_init(&chain);
    qy_slice slice = qy_slice_zeroed(PART);
    require(qy_chain_push_clone(&chain, slice) == 0 && qy_chain_push_clone(&chain, slice) == 0);
    ck_assert_int_eq(qy_zerocopy_send_chain(account, &chain, 0), 2 * PART);
    ck_assert_uint_eq(chain.count, 0);
    ck_assert_uint_eq(qy_zerocopy_get_stats(account).sends, 1);
    static char bytes[2 * PART];
    read_whole(pair[1], bytes, 2 * PART);
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

/* ---- through a device that does not copy ---- */

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/*
 * Move this process to a network namespace with an ifb device, which throws away what it is told to send, but not
 * before it has been sent. NULL, or what is missing.
 */
static const char *enter_namespace(void)
{
    if (geteuid() != 0)
        return "only root can make a network namespace";
    if (unshare(CLONE_NEWNET) != 0)
        return "network namespaces are not allowed here";
    if (system("ip link add quarry0 type ifb 2>/dev/null && ip link set quarry0 mtu 65535 up && "
               "ip address add 10.99.0.1/24 dev quarry0 && "
               "ip neighbour add 10.99.0.2 lladdr 02:00:00:00:00:02 dev quarry0") != 0)
        return "no ip program, or no ifb device in this kernel";
    (void)write_text("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
    return NULL;
}

static int sink_socket(void)
{
    const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {.s_addr = inet_addr("10.99.0.2")}};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && connect(fd, (const struct sockaddr *)&peer, sizeof peer) == 0);
    return fd;
}

START_TEST(test_a_device_sends_from_the_pages_and_says_when_it_is_done)
{
    const char *missing = enter_namespace();
    if (missing != NULL) {
        printf("test_zerocopy: the path without copies is not tested: %s\n", missing);
        return;
    }
    enum { SENDS = 500, BYTES = 32768 };
    const int fd = sink_socket();
    qy_zerocopy *account = qy_zerocopy_new(fd);
    qy_slice slice = qy_slice_zeroed(BYTES);
    for (unsigned i = 0; i < SENDS; i++) {
        qy_slice parts[2] = {qy_slice_sub(slice, 0, BYTES / 2), qy_slice_sub(slice, BYTES / 2, BYTES / 2)};
        require(qy_zerocopy_send(account, parts, 2, 0) == BYTES);
        require(parts[0].iov_len == 0 && parts[1].iov_len == 0);
        if (i == 0) {
            ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
            ck_assert(account->proven); /* from here on, nothing is held back */
        }
    }
    ck_assert_int_eq(qy_zerocopy_wait(account, 10000), 0);
    const struct qy_zerocopy_stats stats = qy_zerocopy_get_stats(account);
    ck_assert_uint_eq(stats.sends + stats.copies, SENDS);
    ck_assert_uint_eq(stats.copies, stats.refused);
    ck_assert_uint_eq(stats.reported, 0);
    ck_assert_uint_gt(stats.sends, 0);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("zerocopy");
    TCase *tests = tcase_create("zerocopy");
    tcase_add_test(tests, test_references_are_dropped_by_range_in_any_order);
    tcase_add_test(tests, test_numbers_wrap_around);
    tcase_add_test(tests, test_dropping_takes_back_what_is_in_flight);
    tcase_add_test(tests, test_a_child_has_nothing_in_flight_and_keeps_the_references);
    tcase_add_test(tests, test_what_is_not_a_socket_is_refused);
    tcase_add_test(tests, test_a_unix_socket_copies);
    tcase_add_test(tests, test_references_are_held_until_the_notification);
    tcase_add_test(tests, test_the_same_by_version_six);
    tcase_add_test(tests, test_a_kernel_without_room_copies);
    tcase_add_test(tests, test_a_kernel_that_knows_no_other_way_copies_for_good);
    tcase_add_test(tests, test_a_flag_that_the_socket_does_not_know_is_an_error_of_this_send_only);
    tcase_add_test(tests, test_other_refusals_are_errors);
    tcase_add_test(tests, test_a_path_that_does_not_copy_is_used_at_once);
    tcase_add_test(tests, test_one_send_is_tried_until_its_path_is_known);
    tcase_add_test(tests, test_small_sends_and_small_pieces_are_copied);
    tcase_add_test(tests, test_parts_of_slices_keep_one_reference_each_while_they_fly);
    tcase_add_test(tests, test_a_chain_is_sent_and_drained);
    tcase_add_test(tests, test_a_device_sends_from_the_pages_and_says_when_it_is_done);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

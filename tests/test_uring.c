/*
 * test_uring.c: slices sent and received by io_uring: who has a reference when, also after errors, and buffers that go
 * back to the kernel.
 */
#include "unit.h"

#include "quarry/uring.h"

#include "uring.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The program's stands before liburing's. */
static int refusals; /* so many times the kernel is said to have no memory */

int io_uring_submit(struct io_uring *ring)
{
    if (refusals > 0) {
        refusals--;
        return -EAGAIN;
    }
    return ((int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit"))(ring);
}

/* NULL: there is none here, and the test has said so. */
static qy_uring *ring_or_skip(void)
{
    qy_uring *uring = qy_uring_new(8);
    if (uring == NULL)
        printf("test_uring: no io_uring here (%s), not tested\n", strerror(errno));
    return uring;
}

static void tcp_pair(int pair[2])
{
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    require(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
    require(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(pair[0], (struct sockaddr *)&address, length) == 0);
    pair[1] = accept(listener, NULL, NULL);
    require(pair[1] >= 0);
    close(listener);
}

static void expect_bytes(int fd, char byte, size_t length)
{
    static char bytes[1 << 16];
    for (size_t done = 0; done < length;) {
        const ssize_t part = read(fd, bytes, qyi_min(sizeof bytes, length - done));
        require(part > 0);
        for (ssize_t i = 0; i < part; i++)
            require(bytes[i] == byte);
        done += (size_t)part;
    }
}

static struct qy_uring_event next_event(qy_uring *uring)
{
    struct qy_uring_event event;
    require(qy_uring_next(uring, &event, 10000) == 1);
    return event;
}

/* Until the kernel has done with everything. */
static void settle(qy_uring *uring)
{
    struct qy_uring_event event;
    for (unsigned i = 0; i < 100 && qy_uring_pending(uring) != 0; i++)
        require(qy_uring_next(uring, &event, 100) == 0);
    ck_assert_uint_eq(qy_uring_pending(uring), 0);
}

static void send_and_expect(qy_uring *uring, const int pair[2], qy_slice slice, size_t count)
{
    qy_slice parts[4];
    const size_t step = slice.iov_len / count;
    for (size_t i = 0; i < count; i++)
        parts[i] = qy_slice_sub(slice, i * step, step);
    int context;
    ck_assert_int_eq(qy_uring_send(uring, pair[0], parts, count, 0, &context), 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(parts[i].iov_len, 0);
    const struct qy_uring_event event = next_event(uring);
    ck_assert_int_eq(event.kind, QY_URING_SENT);
    ck_assert_int_eq(event.result, (int)(count * step));
    ck_assert_ptr_eq(event.context, &context);
    expect_bytes(pair[1], ((char *)slice.iov_base)[0], count * step);
    settle(uring);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}

static qy_slice filled(qy_slice slice, char byte)
{
    memset(slice.iov_base, byte, slice.iov_len);
    return slice;
}

START_TEST(test_slices_are_let_go_when_the_kernel_has_done_with_them)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    tcp_pair(pair);
    const qy_slice small = filled(qy_slice_new(100), 's');
    const qy_slice large = filled(qy_slice_new(60000), 'l');
    send_and_expect(uring, pair, small, 1);
    send_and_expect(uring, pair, large, 1);
    send_and_expect(uring, pair, small, 4);
    send_and_expect(uring, pair, large, 3);
    qy_slice clone = qy_slice_clone(large);
    ck_assert_int_eq(qy_uring_send(uring, pair[0], &clone, 1, 0, NULL), 0);
    (void)next_event(uring);
    ck_assert_int_eq(qy_uring_free(uring, -1), 0); /* waits for the notification, and no longer */
    ck_assert_uint_eq(qy_refcount(large.iov_base), 1);
}
END_TEST

START_TEST(test_a_chain_is_sent_as_a_whole)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    tcp_pair(pair);
    qy_slice slice = filled(qy_slice_new(20000), 'c');
    qy_chain chain;
    qy_chain_init(&chain);
    ck_assert_int_eq(qy_uring_send_chain(uring, pair[0], &chain, 0, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    require(qy_chain_push_clone(&chain, slice) == 0 && qy_chain_push_clone(&chain, slice) == 0);
    ck_assert_int_eq(qy_uring_send_chain(uring, pair[0], &chain, 0, NULL), 0);
    ck_assert_uint_eq(chain.count, 0);
    ck_assert_int_eq(next_event(uring).result, 40000);
    expect_bytes(pair[1], 'c', 40000);
    settle(uring);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

START_TEST(test_bytes_stay_referenced_while_they_are_in_flight)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    enum { LENGTH = 4 << 20 };
    int pair[2];
    tcp_pair(pair);
    qy_slice slice = filled(qy_slice_new(LENGTH), 'f');
    require(qy_retain(slice.iov_base) == 0);
    const void *p = slice.iov_base;
    ck_assert_int_eq(qy_uring_send(uring, pair[0], &slice, 1, 0, NULL), 0);
    struct qy_uring_event event;
    ck_assert_int_eq(qy_uring_next(uring, &event, 50), 0); /* nobody reads: it cannot end */
    ck_assert_uint_eq(qy_refcount(p), 2);
    ck_assert_int_eq(qy_uring_free(uring, 0), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    static char bytes[1 << 16];
    size_t received = 0;
    while (qy_uring_pending(uring) != 0) {
        const ssize_t part = recv(pair[1], bytes, sizeof bytes, MSG_DONTWAIT);
        received += part > 0 ? (size_t)part : 0;
        (void)qy_uring_next(uring, &event, 0);
    }
    ck_assert_uint_gt(received, 0);
    ck_assert_uint_eq(qy_refcount(p), 1);
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
}
END_TEST

START_TEST(test_a_unix_socket_is_sent_to_by_copying)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    const qy_slice slice = filled(qy_slice_new(60000), 'u');
    send_and_expect(uring, pair, slice, 1);
    send_and_expect(uring, pair, slice, 2);
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
}
END_TEST

START_TEST(test_a_send_that_cannot_be_made_anew_says_why)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    qy_slice slice = filled(qy_slice_new(60000), 'u');
    const void *p = slice.iov_base;
    require(qy_retain(p) == 0);
    ck_assert_int_eq(qy_uring_send(uring, pair[0], &slice, 1, 0, &pair), 0);
    struct io_uring *ring = qy_uring_ring(uring);
    require(io_uring_submit(ring) == 1);
    struct io_uring_sqe *sqe;
    unsigned others = 0;
    for (; (sqe = io_uring_get_sqe(ring)) != NULL; others++) { /* now there is no place left */
        io_uring_prep_nop(sqe);
        io_uring_sqe_set_data64(sqe, 2);
    }
    refusals = 1;
    errno = 0;
    struct qy_uring_event event = next_event(uring);
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(event.kind, QY_URING_SENT);
    ck_assert_ptr_eq(event.context, &pair);
    if (event.result == 60000)
        puts("test_uring: the kernel sends by this socket without copying, not tested");
    else
        ck_assert_int_eq(event.result, -EAGAIN);
    ck_assert_uint_eq(qy_refcount(p), 1);
    for (; others != 0; others--)
        ck_assert_int_eq(next_event(uring).kind, QY_URING_OTHER);
    refusals = 0;
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
}
END_TEST

START_TEST(test_a_failed_send_lets_go_of_its_slices_too)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    tcp_pair(pair);
    shutdown(pair[0], SHUT_WR);
    qy_slice slice = qy_slice_new(60000);
    require(qy_retain(slice.iov_base) == 0);
    const void *p = slice.iov_base;
    ck_assert_int_eq(qy_uring_send(uring, pair[0], &slice, 1, MSG_NOSIGNAL, NULL), 0);
    ck_assert_int_eq(next_event(uring).result, -EPIPE);
    settle(uring);
    ck_assert_uint_eq(qy_refcount(p), 1);
    slice = (qy_slice){(void *)p, 60000};
    ck_assert_int_eq(qy_uring_send(uring, -1, &slice, 1, 0, NULL), 0);
    require(qy_retain(p) == 0);
    ck_assert_int_eq(next_event(uring).result, -EBADF);
    settle(uring);
    ck_assert_uint_eq(qy_refcount(p), 1);
}
END_TEST

START_TEST(test_what_cannot_be_sent_stays_the_callers)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    static qy_slice slices[2000];
    ck_assert_int_eq(qy_uring_send(uring, 0, slices, 1, 0, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    slices[0] = qy_slice_new(10);
    ck_assert_int_eq(qy_uring_send(uring, 0, slices, 2000, 0, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(slices[0].iov_len, 10);
    ck_assert_uint_eq(qy_uring_pending(uring), 0);
    ck_assert_int_eq(qy_uring_receive(uring, 0, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(qy_uring_cancel(uring, NULL), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(qy_uring_free(NULL, 0), 0);
}
END_TEST

START_TEST(test_a_refusal_to_submit_is_reported_and_nothing_is_lost)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    struct qy_uring_event event;
    tcp_pair(pair);
    qy_slice slice = qy_slice_new(100);
    memset(slice.iov_base, 'r', 100);
    ck_assert_int_eq(qy_uring_send(uring, pair[0], &slice, 1, 0, NULL), 0);
    for (int timeout_ms = -1; timeout_ms <= 1; timeout_ms++) {
        refusals = 1;
        errno = 0;
        ck_assert_int_eq(qy_uring_next(uring, &event, timeout_ms), -1);
        ck_assert_int_eq(errno, EAGAIN);
    }
    event = next_event(uring);
    ck_assert_int_eq(event.result, 100);
    expect_bytes(pair[1], 'r', 100);
    ck_assert_int_eq(qy_uring_provide(uring, 4, 4096), 0);
    ck_assert_int_eq(qy_uring_receive(uring, pair[1], NULL), 0);
    ck_assert_int_eq(qy_uring_next(uring, &event, 0), 0);
    refusals = 1;
    errno = 0;
    ck_assert_int_eq(qy_uring_free(uring, -1), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(qy_uring_pending(uring), 1);
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
}
END_TEST

START_TEST(test_more_requests_than_the_ring_has_places)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    tcp_pair(pair);
    qy_slice whole = filled(qy_slice_new(100), 'm');
    for (unsigned i = 0; i < 100; i++) {
        qy_slice one = qy_slice_sub(whole, i, 1);
        require(qy_uring_send(uring, pair[0], &one, 1, 0, NULL) == 0);
    }
    for (unsigned i = 0; i < 100; i++)
        require(next_event(uring).result == 1);
    expect_bytes(pair[1], 'm', 100);
    ck_assert_uint_eq(qy_refcount(whole.iov_base), 1);
}
END_TEST

START_TEST(test_other_requests_of_the_ring_come_through)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int context;
    struct io_uring_sqe *sqe = io_uring_get_sqe(qy_uring_ring(uring));
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, &context);
    const struct qy_uring_event event = next_event(uring);
    ck_assert_int_eq(event.kind, QY_URING_OTHER);
    ck_assert_ptr_eq(event.context, &context);
}
END_TEST

/* ---- registered arenas ---- */

START_TEST(test_a_registered_arena_is_sent_by_number_and_outlives_its_owner)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = 1 << 20});
    if (qy_uring_register_arena(uring, arena) != 0) {
        printf("test_uring: nothing can be registered here (%s), not tested\n", strerror(errno));
        return;
    }
    ck_assert_uint_eq(qy_arena_get_stats(arena).pins, 1);
    ck_assert_int_eq(qy_uring_register_arena(uring, arena), -1);
    ck_assert_int_eq(errno, EBUSY);
    int pair[2];
    tcp_pair(pair);
    const size_t used = unit_used_bytes();
    qy_slice slice = filled(qy_arena_slice(arena, 50000), 'r');
    qy_arena_destroy(arena);
    send_and_expect(uring, pair, slice, 1);
    send_and_expect(uring, pair, slice, 4);
    qy_slice_drop(&slice);
    ck_assert_uint_ge(unit_used_bytes(), used); /* the kernel has it registered */
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
    ck_assert_uint_le(unit_used_bytes(), used - (1 << 20) + (64 << 10));
}
END_TEST

START_TEST(test_an_arena_that_may_not_be_registered_is_sent_all_the_same)
{
    if (geteuid() != 0) {
        puts("test_uring: only root can give up the right to lock memory, not tested");
        return;
    }
    const struct rlimit limit = {.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
    require(setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setresuid(12345, 12345, 12345) == 0);
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    qy_arena *arena = qy_arena_new(&(struct qy_arena_attr){.bytes = 1 << 20});
    ck_assert_int_eq(qy_uring_register_arena(uring, arena), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(qy_arena_get_stats(arena).pins, 0);
    int pair[2];
    tcp_pair(pair);
    send_and_expect(uring, pair, filled(qy_arena_slice(arena, 20000), 'r'), 1);
}
END_TEST

/* ---- receiving ---- */

START_TEST(test_buffers_go_back_to_the_kernel_at_their_last_release)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    tcp_pair(pair);
    if (qy_uring_provide(uring, 4, 1000) != 0) {
        printf("test_uring: no buffer rings here (%s), not tested\n", strerror(errno));
        return;
    }
    ck_assert_int_eq(qy_uring_provide(uring, 4, 1000), -1);
    ck_assert_int_eq(errno, EBUSY);
    int context;
    ck_assert_int_eq(qy_uring_receive(uring, pair[1], &context), 0);
    qy_slice held[4];
    for (unsigned i = 0; i < 4; i++) {
        const char byte = (char)('a' + i);
        require(write(pair[0], &byte, 1) == 1);
        const struct qy_uring_event event = next_event(uring);
        ck_assert_int_eq(event.kind, QY_URING_RECEIVED);
        ck_assert_int_eq(event.result, 1);
        ck_assert_ptr_eq(event.context, &context);
        ck_assert(event.more);
        held[i] = event.slice;
        ck_assert_int_eq(*(char *)held[i].iov_base, byte);
        ck_assert(qy_is_unique(held[i].iov_base));
    }
    require(write(pair[0], "x", 1) == 1);
    struct qy_uring_event event = next_event(uring);
    ck_assert_int_eq(event.result, -ENOBUFS); /* all four are out */
    ck_assert(!event.more);
    ck_assert_int_eq(*(char *)held[2].iov_base, 'c');

    qy_slice clone = qy_slice_clone(held[2]);
    void *block = held[2].iov_base;
    qy_slice_drop(&held[2]);
    ck_assert_int_eq(qy_uring_receive(uring, pair[1], &context), 0);
    ck_assert_int_eq(next_event(uring).result, -ENOBUFS); /* the clone still has it */
    qy_slice_drop(&clone);
    ck_assert_int_eq(qy_uring_receive(uring, pair[1], &context), 0);
    event = next_event(uring);
    ck_assert_int_eq(event.result, 1);
    ck_assert_ptr_eq(event.slice.iov_base, block);
    ck_assert_int_eq(*(char *)block, 'x');
    qy_free(block); /* as code does that knows nothing of slices */
    qy_slices_drop(held, 2);

    for (unsigned i = 0; i < 1000; i++) {
        require(write(pair[0], &i, sizeof i) == sizeof i);
        event = next_event(uring);
        require(event.result == sizeof i && event.more && memcmp(event.slice.iov_base, &i, sizeof i) == 0);
        qy_slice_drop(&event.slice);
    }
    close(pair[0]);
    event = next_event(uring);
    ck_assert_int_eq(event.result, 0);
    ck_assert(!event.more);
    ck_assert_uint_eq(event.slice.iov_len, 0);

    const size_t used = unit_used_bytes();
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0);
    ck_assert_int_eq(*(char *)held[3].iov_base, 'd'); /* outlives the ring */
    qy_slice_drop(&held[3]);
    ck_assert_uint_lt(unit_used_bytes(), used + (64 << 10));
}
END_TEST

static void *drop_slice(void *argument)
{
    qy_slice_drop(argument);
    return NULL;
}

START_TEST(test_other_threads_give_buffers_back)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (qy_uring_provide(uring, 1, 64) != 0)
        return;
    require(qy_uring_receive(uring, pair[1], NULL) == 0);
    for (unsigned i = 0; i < 20; i++) {
        require(write(pair[0], "t", 1) == 1);
        struct qy_uring_event event = next_event(uring);
        require(event.result == 1);
        unit_in_thread(drop_slice, &event.slice);
    }
}
END_TEST

START_TEST(test_receiving_can_be_cancelled)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    int pair[2];
    int context;
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (qy_uring_provide(uring, 2, 64) != 0)
        return;
    require(qy_uring_receive(uring, pair[1], &context) == 0);
    struct qy_uring_event event;
    ck_assert_int_eq(qy_uring_next(uring, &event, 0), 0);
    ck_assert_int_eq(qy_uring_cancel(uring, &context), 0);
    event = next_event(uring);
    ck_assert_int_eq(event.result, -ECANCELED);
    ck_assert(!event.more);
    require(qy_uring_receive(uring, pair[1], &context) == 0);
    ck_assert_int_eq(qy_uring_free(uring, 1000), 0); /* cancels by itself */
}
END_TEST

START_TEST(test_odd_numbers_of_buffers_are_refused)
{
    qy_uring *uring = ring_or_skip();
    if (uring == NULL)
        return;
    static const struct {
        unsigned count;
        size_t bytes;
    } bad[] = {{0, 64}, {3, 64}, {1 << 16, 64}, {4, 0}, {4, 65537}};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(qy_uring_provide(uring, bad[i].count, bad[i].bytes), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uring");
    TCase *tests = tcase_create("uring");
    tcase_add_test(tests, test_slices_are_let_go_when_the_kernel_has_done_with_them);
    tcase_add_test(tests, test_a_chain_is_sent_as_a_whole);
    tcase_add_test(tests, test_bytes_stay_referenced_while_they_are_in_flight);
    tcase_add_test(tests, test_a_unix_socket_is_sent_to_by_copying);
    tcase_add_test(tests, test_a_send_that_cannot_be_made_anew_says_why);
    tcase_add_test(tests, test_a_failed_send_lets_go_of_its_slices_too);
    tcase_add_test(tests, test_what_cannot_be_sent_stays_the_callers);
    tcase_add_test(tests, test_a_refusal_to_submit_is_reported_and_nothing_is_lost);
    tcase_add_test(tests, test_more_requests_than_the_ring_has_places);
    tcase_add_test(tests, test_other_requests_of_the_ring_come_through);
    tcase_add_test(tests, test_a_registered_arena_is_sent_by_number_and_outlives_its_owner);
    tcase_add_test(tests, test_an_arena_that_may_not_be_registered_is_sent_all_the_same);
    tcase_add_test(tests, test_buffers_go_back_to_the_kernel_at_their_last_release);
    tcase_add_test(tests, test_other_threads_give_buffers_back);
    tcase_add_test(tests, test_receiving_can_be_cancelled);
    tcase_add_test(tests, test_odd_numbers_of_buffers_are_refused);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

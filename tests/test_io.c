/*
 * test_io.c: slices written to pipes, files and sockets, in parts and whole, read back, and sent out of files.
 */
#include "unit.h"

#include "quarry/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BIG = 1 << 20 };

static void make_pair(int type, int pair[2])
{
    require(socketpair(AF_UNIX, type, 0, pair) == 0);
}

static void set_nonblocking(int fd)
{
    require(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
}

static char pattern(size_t i)
{
    return (char)(i * 7 + (i >> 8) * 13);
}

static qy_slice patterned(size_t start, size_t length)
{
    const qy_slice slice = qy_slice_new(length);
    require(slice.iov_len == length);
    for (size_t i = 0; i < length; i++)
        ((char *)slice.iov_base)[i] = pattern(start + i);
    return slice;
}

static void expect_pattern(const char *bytes, size_t start, size_t length)
{
    for (size_t i = 0; i < length; i++)
        require(bytes[i] == pattern(start + i));
}

/* An unlinked file with the pattern in it. */
static int patterned_file(size_t length)
{
    char name[] = "/tmp/quarry-io-XXXXXX";
    const int fd = mkstemp(name);
    require(fd >= 0 && unlink(name) == 0);
    qy_slice bytes = patterned(0, length);
    require(write(fd, bytes.iov_base, length) == (ssize_t)length);
    qy_slice_drop(&bytes);
    return fd;
}

/* Reads length bytes of the pattern in another thread. */
struct reader {
    int fd;
    size_t start, length;
    pthread_t thread;
};

static void *read_pattern(void *argument)
{
    const struct reader *reader = argument;
    static char bytes[64 << 10];
    for (size_t done = 0; done < reader->length;) {
        const ssize_t part = read(reader->fd, bytes, qyi_min(sizeof bytes, reader->length - done));
        require(part > 0);
        expect_pattern(bytes, reader->start + done, (size_t)part);
        done += (size_t)part;
    }
    return NULL;
}

static void start_reader(struct reader *reader)
{
    require(pthread_create(&reader->thread, NULL, read_pattern, reader) == 0);
}

START_TEST(test_written_slices_arrive_in_order_and_are_dropped)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    qy_slice whole = patterned(0, 300);
    qy_slice slices[4] = {qy_slice_sub(whole, 0, 100), {NULL, 0}, qy_slice_sub(whole, 100, 150), patterned(250, 50)};
    ck_assert_uint_eq(qy_refcount(whole.iov_base), 3);
    errno = 7;
    ck_assert_int_eq(qy_slices_write(pair[0], slices, 4), 300);
    ck_assert_int_eq(errno, 7);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_uint_eq(slices[i].iov_len, 0);
    ck_assert_uint_eq(qy_refcount(whole.iov_base), 1);
    char bytes[300];
    ck_assert_int_eq(read(pair[1], bytes, 300), 300);
    expect_pattern(bytes, 0, 300);
}
END_TEST

START_TEST(test_empty_slices_write_nothing)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    qy_slice slices[3] = {{NULL, 0}, {pair, 0}, {NULL, 0}};
    ck_assert_int_eq(qy_slices_write(pair[0], slices, 3), 0);
    ck_assert_int_eq(qy_slices_send(pair[0], slices, 3, 0), 0);
    ck_assert_int_eq(qy_slices_send(pair[0], NULL, 0, 0), 0);
}
END_TEST

START_TEST(test_a_full_socket_ends_a_write_with_what_it_took)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    set_nonblocking(pair[0]);
    qy_slice slices[8];
    for (size_t i = 0; i < 8; i++)
        slices[i] = patterned(i * BIG / 8, BIG / 8);
    ssize_t sent = qy_slices_send(pair[0], slices, 8, 0);
    require(sent > 0 && sent < BIG);
    size_t left = 0;
    for (unsigned i = 0; i < 8; i++)
        left += slices[i].iov_len;
    ck_assert_uint_eq(left, BIG - (size_t)sent);
    ck_assert_int_eq(qy_slices_send(pair[0], slices, 8, 0), -1);
    ck_assert_int_eq(errno, EAGAIN);
    char bytes[4096];
    for (size_t received = 0; received < BIG;) {
        const ssize_t part = read(pair[1], bytes, sizeof bytes);
        require(part > 0);
        expect_pattern(bytes, received, (size_t)part);
        received += (size_t)part;
        sent = qy_slices_write(pair[0], slices, 8);
        require(sent >= 0 || errno == EAGAIN);
    }
    for (unsigned i = 0; i < 8; i++)
        ck_assert_uint_eq(slices[i].iov_len, 0);
}
END_TEST

START_TEST(test_more_slices_than_one_call_takes_are_written)
{
    enum { COUNT = 3 * IOV_MAX + 5, STEP = 3 };
    int pair[2];
    require(pipe(pair) == 0);
    qy_slice whole = patterned(0, COUNT * STEP);
    static qy_slice frames[COUNT];
    ck_assert_int_eq(qy_slice_split_steps(&whole, STEP, frames, COUNT), COUNT);
    const void *block = frames[0].iov_base;
    require(qy_retain(block) == 0);
    struct reader reader = {.fd = pair[0], .length = COUNT * STEP};
    start_reader(&reader);
    ck_assert_int_eq(qy_slices_write(pair[1], frames, COUNT), COUNT * STEP);
    pthread_join(reader.thread, NULL);
    ck_assert_uint_eq(qy_refcount(block), 1);
}
END_TEST

START_TEST(test_a_success_leaves_errno)
{
    enum { STEP = 64, COUNT = 2 * IOV_MAX };
    int pair[2];
    require(pipe(pair) == 0);
    set_nonblocking(pair[1]);
    require(fcntl(pair[1], F_SETPIPE_SZ, IOV_MAX * STEP) == IOV_MAX * STEP);
    qy_slice whole = patterned(0, COUNT * STEP);
    static qy_slice frames[COUNT];
    ck_assert_int_eq(qy_slice_split_steps(&whole, STEP, frames, COUNT), COUNT);
    errno = 0;
    ck_assert_int_eq(qy_slices_write(pair[1], frames, COUNT),
                     IOV_MAX * STEP); /* the second system call finds it full */
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(qy_slices_write(pair[1], frames, COUNT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    qy_slices_drop(frames, COUNT);
}
END_TEST

static void on_alarm(int signal)
{
    (void)signal;
}

START_TEST(test_more_bytes_than_one_call_takes_are_written)
{
    if (UNIT_TSAN)
        return;                                 /* which would look at all of them */
    const size_t bytes = ((size_t)5 << 30) + 1; /* nobody looks at them */
    const int null = open("/dev/null", O_WRONLY);
    const int fd = memfd_create("hole", MFD_CLOEXEC);
    require(null >= 0 && fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    qy_slice slice = qy_slice_map(fd, 0, 0);
    ck_assert_uint_eq(slice.iov_len, bytes);
    ck_assert_int_eq(qy_slices_write(null, &slice, 1), (ssize_t)bytes);
    ck_assert_uint_eq(slice.iov_len, 0);
}
END_TEST

START_TEST(test_a_signal_ends_a_write_with_what_was_written)
{
    int pair[2];
    require(pipe(pair) == 0);
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    sigaction(SIGALRM, &action, NULL);
    qy_slice slice = patterned(0, BIG);
    ualarm(200000, 0);
    const ssize_t written = qy_slices_write(pair[1], &slice, 1);
    require(written > 0 && written < BIG);
    ck_assert_uint_eq(slice.iov_len, BIG - (size_t)written);
    ualarm(200000, 0);
    ck_assert_int_eq(qy_slices_write(pair[1], &slice, 1), -1);
    ck_assert_int_eq(errno, EINTR);
    ck_assert_uint_eq(slice.iov_len, BIG - (size_t)written);
}
END_TEST

START_TEST(test_failures_leave_the_slices)
{
    qy_slice slice = patterned(0, 10);
    ck_assert_int_eq(qy_slices_write(-1, &slice, 1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(qy_slices_send(0, &slice, 1, MSG_ZEROCOPY), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_uint_eq(slice.iov_len, 10);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

START_TEST(test_many_slices_are_one_datagram)
{
    int pair[2];
    make_pair(SOCK_DGRAM, pair);
    qy_slice slices[3] = {patterned(0, 10), patterned(10, 20), patterned(30, 5)};
    ck_assert_int_eq(qy_slices_send(pair[0], slices, 3, 0), 35);
    char bytes[100];
    ck_assert_int_eq(recv(pair[1], bytes, sizeof bytes, 0), 35);
    expect_pattern(bytes, 0, 35);
}
END_TEST

START_TEST(test_reading_makes_a_slice_of_what_there_was)
{
    int pair[2];
    require(pipe(pair) == 0);
    qy_slice slice;
    require(write(pair[1], "hello", 5) == 5);
    ck_assert_int_eq(qy_slice_read(pair[0], 4096, &slice), 5);
    ck_assert_uint_eq(slice.iov_len, 5);
    ck_assert_mem_eq(slice.iov_base, "hello", 5);
    qy_slice_drop(&slice);
    set_nonblocking(pair[0]);
    ck_assert_int_eq(qy_slice_read(pair[0], 4096, &slice), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_eq(slice.iov_len, 0);
    close(pair[1]);
    ck_assert_int_eq(qy_slice_read(pair[0], 4096, &slice), 0);
    ck_assert_int_eq(qy_slice_read(pair[0], 0, &slice), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(test_reading_fills_slices_that_nobody_else_has)
{
    int pair[2];
    require(pipe(pair) == 0);
    qy_slice slices[2] = {qy_slice_new(3), qy_slice_new(10)};
    require(write(pair[1], "abcdefg", 7) == 7);
    qy_slice shared = qy_slice_clone(slices[1]);
    ck_assert_int_eq(qy_slices_read(pair[0], slices, 2), -1);
    ck_assert_int_eq(errno, EBUSY);
    qy_slice_drop(&shared);
    ck_assert_int_eq(qy_slices_read(pair[0], slices, 2), 7);
    ck_assert_mem_eq(slices[0].iov_base, "abc", 3);
    ck_assert_mem_eq(slices[1].iov_base, "defg", 4);
    ck_assert_uint_eq(slices[1].iov_len, 10);
    qy_slice constant = qy_slice_static("constant", 8);
    ck_assert_int_eq(qy_slices_read(pair[0], &constant, 1), -1);
    ck_assert_int_eq(errno, EBUSY);
}
END_TEST

START_TEST(test_a_chain_is_written_and_drained)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    set_nonblocking(pair[0]);
    qy_chain chain;
    qy_chain_init(&chain);
    for (size_t i = 0; i < 16; i++)
        require(qy_chain_push(&chain, patterned(i * BIG / 16, BIG / 16)) == 0);
    char bytes[4096];
    bool by_write = false;
    for (size_t received = 0; received < BIG;) {
        const size_t before = chain.bytes;
        const ssize_t sent = by_write ? qy_chain_write(pair[0], &chain) : qy_chain_send(pair[0], &chain, 0);
        require(sent >= 0 || errno == EAGAIN);
        require(chain.bytes == before - (sent < 0 ? 0 : (size_t)sent));
        by_write = !by_write;
        const ssize_t part = read(pair[1], bytes, sizeof bytes);
        require(part > 0);
        expect_pattern(bytes, received, (size_t)part);
        received += (size_t)part;
    }
    ck_assert_uint_eq(chain.count, 0);
    ck_assert_int_eq(qy_chain_send(pair[0], &chain, MSG_ZEROCOPY), -1);
    ck_assert_int_eq(errno, EINVAL);
    qy_chain_clear(&chain);
}
END_TEST

START_TEST(test_a_chain_grows_by_what_was_read)
{
    int pair[2];
    require(pipe(pair) == 0);
    qy_chain chain;
    qy_chain_init(&chain);
    for (unsigned i = 0; i < 20; i++) {
        require(write(pair[1], "abc", 3) == 3);
        require(qy_chain_read(pair[0], &chain, 100) == 3);
    }
    ck_assert_uint_eq(chain.bytes, 60);
    char bytes[60];
    ck_assert_uint_eq(qy_chain_copy_out(&chain, 0, bytes, 60), 60);
    ck_assert_mem_eq(bytes + 57, "abc", 3);
    ck_assert_int_eq(qy_chain_read(pair[0], &chain, SIZE_MAX), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_int_eq(qy_chain_read(pair[0], &chain, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    close(pair[1]);
    ck_assert_int_eq(qy_chain_read(pair[0], &chain, 100), 0);
    ck_assert_uint_eq(chain.bytes, 60);
    qy_chain_clear(&chain);
}
END_TEST

/* ---- parts of files ---- */

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(test_a_file_segment_reads_like_any_slice)
{
    const int fd = patterned_file(100000);
    const unsigned before = descriptors();
    qy_slice slice = qy_slice_file(fd, 5001, 70000);
    ck_assert_uint_eq(slice.iov_len, 70000);
    close(fd);
    expect_pattern(slice.iov_base, 5001, 70000);
    qy_slice part = qy_slice_sub(slice, 10, 20);
    qy_slice_drop(&slice);
    expect_pattern(part.iov_base, 5011, 20);
    ck_assert_ptr_null(qy_slice_try_mut(&part));
    qy_slice_drop(&part);
    ck_assert_uint_eq(descriptors(), before - 1);
}
END_TEST

START_TEST(test_a_file_segment_that_is_not_there_is_refused)
{
    const int fd = patterned_file(100);
    const unsigned before = descriptors();
    ck_assert_uint_eq(qy_slice_file(fd, 101, 0).iov_len, 0);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_uint_eq(qy_slice_file(fd, 50, 51).iov_len, 0);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_uint_eq(qy_slice_file(fd, -1, 1).iov_len, 0);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_uint_eq(qy_slice_file(-1, 0, 0).iov_len, 0);
    ck_assert_int_eq(errno, EBADF);
    errno = 0;
    ck_assert_uint_eq(qy_slice_file(fd, 100, 0).iov_len, 0);
    ck_assert_int_eq(errno, 0);
    int pair[2];
    require(pipe(pair) == 0);
    ck_assert_uint_eq(qy_slice_file(pair[0], 0, 1).iov_len, 0);
    ck_assert_int_ne(errno, 0);
    ck_assert_uint_eq(descriptors(), before + 2);
}
END_TEST

/* bytes, file, bytes, small part of a file, file: into out, read at in */
static void send_mixture(int out, int in, bool by_write, int flags)
{
    const int fd = patterned_file(BIG);
    qy_slice whole = qy_slice_file(fd, 0, 0);
    qy_slice slices[6] = {
        patterned(0, 1000),      qy_slice_sub(whole, 1000, 200000), {NULL, 0},
        patterned(201000, 5000), qy_slice_sub(whole, 206000, 50),   qy_slice_sub(whole, 206050, BIG - 206050)};
    qy_slice_drop(&whole);
    close(fd);
    const unsigned before = descriptors();
    struct reader reader = {.fd = in, .length = BIG};
    start_reader(&reader);
    const ssize_t sent = by_write ? qy_slices_write(out, slices, 6) : qy_slices_send(out, slices, 6, flags);
    ck_assert_int_eq(sent, BIG);
    pthread_join(reader.thread, NULL);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_uint_eq(slices[i].iov_len, 0);
    ck_assert_uint_eq(descriptors(), before - 1); /* that of the segment */
}

START_TEST(test_files_and_bytes_go_through_a_socket_in_order)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    send_mixture(pair[0], pair[1], false, 0);
}
END_TEST

START_TEST(test_files_and_bytes_go_through_a_pipe_in_order)
{
    int pair[2];
    require(pipe(pair) == 0);
    send_mixture(pair[1], pair[0], true, 0);
}
END_TEST

START_TEST(test_files_go_to_a_descriptor_that_takes_no_sendfile)
{
    char name[] = "/tmp/quarry-io-XXXXXX";
    const int in = mkstemp(name);
    const int out = open(name, O_WRONLY | O_APPEND | O_CLOEXEC);
    require(in >= 0 && out >= 0 && unlink(name) == 0);
    const int fd = patterned_file(100000);
    qy_slice slices[2] = {qy_slice_file(fd, 0, 50000), qy_slice_file(fd, 50000, 0)};
    ck_assert_int_eq(qy_slices_write(out, slices, 2), 100000);
    struct reader reader = {.fd = in, .length = 100000};
    read_pattern(&reader);
}
END_TEST

START_TEST(test_files_are_sent_in_parts)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    set_nonblocking(pair[0]);
    const int fd = patterned_file(BIG);
    qy_slice slice = qy_slice_file(fd, 0, 0);
    char bytes[5000];
    for (size_t received = 0; received < BIG;) {
        const ssize_t sent = qy_slices_send(pair[0], &slice, 1, 0);
        require(sent >= 0 || errno == EAGAIN);
        const ssize_t part = read(pair[1], bytes, sizeof bytes);
        require(part > 0);
        expect_pattern(bytes, received, (size_t)part);
        received += (size_t)part;
    }
    ck_assert_uint_eq(slice.iov_len, 0);
}
END_TEST

START_TEST(test_a_file_that_shrank_is_an_error)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    const int fd = patterned_file(65536);
    qy_slice slice = qy_slice_file(fd, 0, 0);
    require(ftruncate(fd, 20000) == 0);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, 0), 20000);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, 0), -1);
    ck_assert_int_eq(errno, EIO);
    ck_assert_uint_eq(slice.iov_len, 45536);
}
END_TEST

START_TEST(test_a_file_that_shrank_is_an_error_also_where_it_is_copied)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    const int fd = patterned_file(65536);
    const qy_slice whole = qy_slice_file(fd, 0, 0);
    require(ftruncate(fd, 20480) == 0);
    qy_slice slice = qy_slice_clone(whole);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, MSG_DONTWAIT), -1); /* which sendfile does not know */
    ck_assert_int_eq(errno, EIO);
    ck_assert_uint_eq(slice.iov_len, 65536);
    qy_slice_drop(&slice);
    slice = qy_slice_sub(whole, 0, 30000);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, 0), 20480);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, 0), -1); /* what is left is short */
    ck_assert_int_eq(errno, EIO);
    ck_assert_uint_eq(slice.iov_len, 9520);
}
END_TEST

START_TEST(test_no_signal_means_no_signal_for_files_too)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    close(pair[1]);
    const int fd = patterned_file(65536);
    qy_slice slice = qy_slice_file(fd, 0, 0);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    sigset_t set;
    sigpending(&set);
    ck_assert(!sigismember(&set, SIGPIPE));
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    ck_assert(!sigismember(&set, SIGPIPE));
    ck_assert_uint_eq(slice.iov_len, 65536);
}
END_TEST

/* Two ends of a TCP connection. */
static void make_connection(int pair[2])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    require(bind(listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(listener, 1) == 0);
    require(getsockname(listener, (struct sockaddr *)&name, &length) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    require(connect(pair[0], (struct sockaddr *)&name, length) == 0);
    pair[1] = accept(listener, NULL, NULL);
    require(pair[1] >= 0);
    close(listener);
}

static void *shut_down_later(void *argument)
{
    usleep(100000); /* the sender waits for room by now */
    require(shutdown(*(const int *)argument, SHUT_WR) == 0);
    return NULL;
}

START_TEST(test_no_signal_means_no_signal_in_the_middle_of_a_file)
{
    const int buffer = 64 << 10;
    int pair[2];
    pthread_t thread;
    make_connection(pair);
    require(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer) == 0);
    const int fd = patterned_file(16 * BIG);
    qy_slice slice = qy_slice_file(fd, 0, 0);
    require(pthread_create(&thread, NULL, shut_down_later, &pair[0]) == 0);
    const ssize_t sent = qy_slices_send(pair[0], &slice, 1, MSG_NOSIGNAL);
    require(sent > 0 && sent < 16 * BIG);
    ck_assert_uint_eq(slice.iov_len, 16 * BIG - (size_t)sent);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(test_dont_wait_means_dont_wait_for_files_too)
{
    int pair[2];
    make_pair(SOCK_STREAM, pair);
    const int fd = patterned_file(BIG);
    qy_slice slice = qy_slice_file(fd, 0, 0);
    const ssize_t sent = qy_slices_send(pair[0], &slice, 1, MSG_DONTWAIT);
    require(sent > 0 && sent < BIG);
    ck_assert_int_eq(qy_slices_send(pair[0], &slice, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *tests = tcase_create("io");
    tcase_add_test(tests, test_written_slices_arrive_in_order_and_are_dropped);
    tcase_add_test(tests, test_empty_slices_write_nothing);
    tcase_add_test(tests, test_a_full_socket_ends_a_write_with_what_it_took);
    tcase_add_test(tests, test_more_slices_than_one_call_takes_are_written);
    tcase_add_test(tests, test_a_success_leaves_errno);
    tcase_add_test(tests, test_more_bytes_than_one_call_takes_are_written);
    tcase_add_test(tests, test_a_signal_ends_a_write_with_what_was_written);
    tcase_add_test(tests, test_failures_leave_the_slices);
    tcase_add_test(tests, test_many_slices_are_one_datagram);
    tcase_add_test(tests, test_reading_makes_a_slice_of_what_there_was);
    tcase_add_test(tests, test_reading_fills_slices_that_nobody_else_has);
    tcase_add_test(tests, test_a_chain_is_written_and_drained);
    tcase_add_test(tests, test_a_chain_grows_by_what_was_read);
    tcase_add_test(tests, test_a_file_segment_reads_like_any_slice);
    tcase_add_test(tests, test_a_file_segment_that_is_not_there_is_refused);
    tcase_add_test(tests, test_files_and_bytes_go_through_a_socket_in_order);
    tcase_add_test(tests, test_files_and_bytes_go_through_a_pipe_in_order);
    tcase_add_test(tests, test_files_go_to_a_descriptor_that_takes_no_sendfile);
    tcase_add_test(tests, test_files_are_sent_in_parts);
    tcase_add_test(tests, test_a_file_that_shrank_is_an_error);
    tcase_add_test(tests, test_a_file_that_shrank_is_an_error_also_where_it_is_copied);
    tcase_add_test(tests, test_no_signal_means_no_signal_for_files_too);
    tcase_add_test(tests, test_no_signal_means_no_signal_in_the_middle_of_a_file);
    tcase_add_test(tests, test_dont_wait_means_dont_wait_for_files_too);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

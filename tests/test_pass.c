/*
 * test_pass.c: slices handed to other processes as sealed memory files, and what a receiver must not believe.
 */
#include "unit.h"

#include "quarry/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void make_pair(int pair[2])
{
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
}

START_TEST(test_a_shared_file_is_sealed_and_has_the_bytes)
{
    qy_slice slice = qy_slice_copy("some bytes", 10);
    const int fd = qy_slice_share(slice);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "x", 1, 0), -1);
    ck_assert_int_eq(ftruncate(fd, 5), -1);
    memset(slice.iov_base, 'x', 10);
    qy_slice other = qy_slice_open_shared(fd, 10);
    close(fd);
    ck_assert_uint_eq(other.iov_len, 10);
    ck_assert_mem_eq(other.iov_base, "some bytes", 10);
    ck_assert_ptr_null(qy_slice_try_mut(&other));
    qy_slice_drop(&other);
}
END_TEST

START_TEST(test_another_process_receives_the_bytes_and_outlives_the_sender)
{
    int pair[2];
    make_pair(pair);
    const pid_t child = fork();
    if (child == 0) {
        qy_slice slice = qy_slice_zeroed(200000);
        memset(slice.iov_base, 'q', 200000);
        _exit(qy_slice_pass(pair[1], slice) != 0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    qy_slice slice;
    ck_assert_int_eq(qy_slice_receive(pair[0], 200000, &slice), 1);
    ck_assert_uint_eq(slice.iov_len, 200000);
    for (unsigned i = 0; i < 200000; i++)
        require(((char *)slice.iov_base)[i] == 'q');
    close(pair[1]);
    qy_slice_drop(&slice);
    ck_assert_int_eq(qy_slice_receive(pair[0], 200000, &slice), 0);
}
END_TEST

START_TEST(test_what_was_received_is_passed_on_without_a_copy)
{
    qy_slice slice = qy_slice_copy("some bytes", 10);
    const int first = qy_slice_share(slice);
    qy_slice received = qy_slice_open_shared(first, 10);
    const int again = qy_slice_share(received);
    struct stat a;
    struct stat b;
    require(fstat(first, &a) == 0 && fstat(again, &b) == 0);
    ck_assert_uint_eq(a.st_ino, b.st_ino);
    qy_slice part = qy_slice_sub(received, 5, 5);
    const int copied = qy_slice_share(part);
    require(fstat(copied, &b) == 0);
    ck_assert_uint_ne(a.st_ino, b.st_ino);
    ck_assert_int_eq(b.st_size, 5);
}
END_TEST

START_TEST(test_files_that_could_change_are_refused)
{
    static const int seals[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_WRITE,
                                F_SEAL_GROW | F_SEAL_WRITE};
    for (unsigned i = 0; i < sizeof seals / sizeof *seals; i++) {
        const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        require(fd >= 0 && write(fd, "abc", 3) == 3 && fcntl(fd, F_ADD_SEALS, seals[i]) == 0);
        ck_assert_uint_eq(qy_slice_open_shared(fd, 100).iov_len, 0);
        ck_assert_int_eq(errno, EPERM);
        close(fd);
    }
    char name[] = "/tmp/quarry-pass-XXXXXX";
    const int file = mkstemp(name);
    require(file >= 0 && unlink(name) == 0);
    ck_assert_uint_eq(qy_slice_open_shared(file, 100).iov_len, 0);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_uint_eq(qy_slice_open_shared(-1, 100).iov_len, 0);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(test_sizes_are_checked)
{
    qy_slice slice = qy_slice_copy("some bytes", 10);
    const int fd = qy_slice_share(slice);
    ck_assert_uint_eq(qy_slice_open_shared(fd, 9).iov_len, 0);
    ck_assert_int_eq(errno, EMSGSIZE);
    const int none = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    require(fcntl(none, F_ADD_SEALS, ALL_SEALS) == 0);
    ck_assert_uint_eq(qy_slice_open_shared(none, 9).iov_len, 0);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(qy_slice_share(QY_SLICE_EMPTY), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(test_messages_of_others_are_refused_and_their_descriptors_closed)
{
    int pair[2];
    make_pair(pair);
    qy_slice slice;
    require(write(pair[1], "q", 1) == 1); /* no descriptor */
    ck_assert_int_eq(qy_slice_receive(pair[0], 100, &slice), -1);
    ck_assert_int_eq(errno, EPROTO);

    for (unsigned count = 1; count <= 12; count++) {
        int fds[12];
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof fds)];
        } control = {0};
        for (unsigned i = 0; i < count; i++)
            fds[i] = pair[0];
        struct iovec bytes = {.iov_base = count == 1 ? (void *)"x" : (void *)"q", .iov_len = 1};
        struct msghdr message = {.msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        require(sendmsg(pair[1], &message, 0) == 1);
        const unsigned before = descriptors();
        ck_assert_int_eq(qy_slice_receive(pair[0], 100, &slice), -1);
        ck_assert_int_eq(errno, EPROTO);
        ck_assert_uint_eq(slice.iov_len, 0);
        ck_assert_uint_eq(descriptors(), before);
    }
}
END_TEST

START_TEST(test_passing_leaves_no_descriptor_behind)
{
    int pair[2];
    make_pair(pair);
    const unsigned before = descriptors();
    qy_slice slice = qy_slice_copy("some bytes", 10);
    qy_slice received;
    ck_assert_int_eq(qy_slice_pass(pair[1], slice), 0);
    ck_assert_int_eq(qy_slice_receive(pair[0], 5, &received), -1);
    ck_assert_int_eq(errno, EMSGSIZE);
    ck_assert_uint_eq(descriptors(), before);
    ck_assert_int_eq(qy_slice_pass(pair[1], slice), 0);
    ck_assert_int_eq(qy_slice_receive(pair[0], 10, &received), 1);
    qy_slice_drop(&received);
    ck_assert_uint_eq(descriptors(), before);
    close(pair[0]);
    ck_assert_int_eq(qy_slice_pass(pair[1], slice), -1); /* no SIGPIPE either */
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_uint_eq(descriptors(), before - 1);
    ck_assert_uint_eq(qy_refcount(slice.iov_base), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pass");
    TCase *tests = tcase_create("pass");
    tcase_add_test(tests, test_a_shared_file_is_sealed_and_has_the_bytes);
    tcase_add_test(tests, test_another_process_receives_the_bytes_and_outlives_the_sender);
    tcase_add_test(tests, test_what_was_received_is_passed_on_without_a_copy);
    tcase_add_test(tests, test_files_that_could_change_are_refused);
    tcase_add_test(tests, test_sizes_are_checked);
    tcase_add_test(tests, test_messages_of_others_are_refused_and_their_descriptors_closed);
    tcase_add_test(tests, test_passing_leaves_no_descriptor_behind);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

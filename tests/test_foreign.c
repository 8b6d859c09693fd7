/*
 * test_foreign.c: slices of memory that is not ours: registered with a function that releases it, static, or a file's.
 */
#include "unit_slices.h"

#include "os.h"

#include <fcntl.h>
#include <sys/wait.h>

/* ---- registered memory ---- */

START_TEST(test_foreign_memory_is_released_once_by_its_last_owner)
{
    static char memory[1000] = "somewhere";
    int context;
    qy_slice slice = qy_slice_foreign(memory, sizeof memory, note_release, &context);
    require(same(slice, ((qy_slice){memory, sizeof memory})));
    require(qy_refcount(memory + 999) == 1 && qy_base(memory + 500) == memory && qy_capacity(memory + 5) == 1000);
    qy_slice part = qy_slice_sub(slice, 4, 5);
    qy_slice clone = qy_slice_clone(part);
    require(is(part, "where") && is(clone, "where") && qy_refcount(memory) == 3);
    require(qy_slice_try_mut(&part) == NULL);
    failed_with(EBUSY);
    qy_slice_drop(&slice);
    qy_slice_drop(&clone);
    require(released.calls == 0 && qy_is_unique(memory));
    require(qy_slice_try_mut(&part) == memory + 4 && qy_slice_make_mut(&part) == memory + 4);
    qy_slice_drop(&part);
    require(released.calls == 1 && released.p == memory && released.length == 1000 && released.context == &context);
    require(errno == 0); /* whatever the function does */
    require(qy_retain(memory) == -1);
    failed_with(EINVAL);
    slice = qy_slice_foreign(memory + 1, 1, note_release, NULL); /* it may come again */
    require(slice.iov_base == memory + 1);
    require(qy_release(memory + 1) == 0 && released.calls == 2);
    only_registry_left(1);
}
END_TEST

static void *drop_it(void *slice)
{
    qy_slice_drop(slice);
    return NULL;
}

static void *who(void *slice)
{
    qy_slice_drop(slice);
    require(pthread_equal(released.thread, pthread_self()));
    return NULL;
}

START_TEST(test_the_thread_that_drops_last_releases)
{
    static char memory[10];
    qy_slice slice = qy_slice_foreign(memory, 10, note_release, NULL);
    qy_slice clone = qy_slice_clone(slice);
    unit_in_thread(drop_it, &slice);
    require(released.calls == 0);
    unit_in_thread(who, &clone);
    require(released.calls == 1);
}
END_TEST

START_TEST(test_foreign_memory_can_do_without_a_function)
{
    static char memory[10];
    qy_slice slice = qy_slice_foreign(memory, 10, NULL, NULL);
    require(qy_refcount(memory) == 1);
    qy_slice_drop(&slice);
    require(qy_refcount(memory) == 0);
    failed_with(EINVAL);
    only_registry_left(1);
}
END_TEST

static char *register_again(void)
{
    static char other[10];
    return qy_slice_foreign(other, 10, note_release, NULL).iov_base;
}

static void release_and_register(void *p, size_t length, void *context)
{
    (void)length;
    require(qy_refcount(p) == 0);
    *(char **)context = register_again();
    qy_slice slice = qy_slice_new(100);
    qy_slice_drop(&slice);
}

START_TEST(test_foreign_memory_without_bytes_is_released_at_once)
{
    static char memory[10];
    int context;
    require(is_empty(qy_slice_foreign(memory, 0, note_release, &context)));
    require(released.calls == 1 && released.p == memory && released.length == 0 && released.context == &context);
    require(errno == 0);
    require(is_empty(qy_slice_foreign(NULL, 0, NULL, NULL)));
    require(errno == 0 && released.calls == 1);
    nothing_left();
}
END_TEST

START_TEST(test_a_release_function_may_call_anything)
{
    static char memory[10];
    char *again = NULL;
    qy_slice slice = qy_slice_foreign(memory, 10, release_and_register, &again);
    qy_slice_drop(&slice);
    require(again != NULL && qy_refcount(again) == 1);
    require(qy_release(again) == 0 && released.calls == 1);
}
END_TEST

START_TEST(test_ranges_that_overlap_are_refused)
{
    static char memory[100];
    qy_slice slice = qy_slice_foreign(memory + 20, 60, note_release, NULL);
    static const struct {
        size_t start, length;
        bool wanted;
    } TRIES[] = {{20, 60, false}, {0, 21, false}, {79, 1, false}, {30, 5, false},
                 {0, 100, false}, {0, 20, true},  {80, 20, true}};
    for (size_t i = 0; i < sizeof TRIES / sizeof TRIES[0]; i++) {
        qy_slice other = qy_slice_foreign(memory + TRIES[i].start, TRIES[i].length, note_release, NULL);
        require(is_empty(other) == !TRIES[i].wanted);
        if (!TRIES[i].wanted) {
            failed_with(EINVAL);
            require(is_empty(qy_slice_static(memory + TRIES[i].start, TRIES[i].length)));
            failed_with(EINVAL);
        }
        qy_slice_drop(&other);
    }
    require(released.calls == 2 && qy_is_unique(memory + 20));
    require(is_empty(qy_slice_foreign(memory, SIZE_MAX, note_release, NULL)));
    failed_with(EINVAL);
    char *block = qyi_malloc(100);
    require(is_empty(qy_slice_foreign(block, 100, note_release, NULL)));
    failed_with(EINVAL);
    require(is_empty(qy_slice_foreign(block - 5000, 10, note_release, NULL)));
    failed_with(EINVAL);
    require(released.calls == 2);
    qyi_free(block);
    qy_slice_drop(&slice);
    require(released.calls == 3);
}
END_TEST

/* Neighbours, in any order, each with a count of its own. */
START_TEST(test_many_ranges_are_found_and_forgotten)
{
    enum { RANGES = 500, EACH = 24 };
    static char memory[RANGES * EACH];
    static qy_slice slices[RANGES];
    uint64_t seed = 7;
    static size_t order[RANGES];
    for (size_t i = 0; i < RANGES; i++) {
        const size_t k = unit_below(&seed, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < RANGES; i++) {
            const size_t k = order[i];
            slices[k] = qy_slice_foreign(memory + k * EACH, EACH - k % 2, note_release, NULL);
            require(!is_empty(slices[k]));
            require(qy_retain_n(memory + k * EACH + 5, (uint32_t)k) == 0);
        }
        for (size_t k = 0; k < RANGES; k++) {
            require(qy_refcount(memory + k * EACH + EACH - 1) == (k % 2 == 0 ? k + 1 : 0));
            require(qy_base(memory + k * EACH + EACH - 2) == memory + k * EACH);
        }
        errno = 0;
        for (size_t i = 0; i < RANGES; i++) {
            const size_t k = order[RANGES - 1 - i];
            require(qy_release_n(memory + k * EACH, (uint32_t)k) == 0);
            qy_slice_drop(&slices[k]);
            require(qy_retain(memory + k * EACH) == -1);
            failed_with(EINVAL);
        }
        require(released.calls == RANGES * (round + 1));
    }
}
END_TEST

START_TEST(test_static_memory_is_sliced_and_never_freed)
{
    static const char words[] = "static words";
    qy_slice slice = qy_slice_static(words, 12);
    require(same(slice, ((qy_slice){(void *)words, 12})));
    for (unsigned i = 0; i < 10; i++)
        require(same(qy_slice_static(words, 12), slice)); /* registered once */
    qy_slice word = qy_slice_sub(slice, 7, 5);
    require(is(word, "words"));
    for (unsigned i = 0; i < 10; i++) {
        qy_slice clone = slice;
        qy_slice_drop(&clone);
    }
    require(is(qy_slice_from(words + 3, 3), "tic"));
    require(!qy_is_unique(words) && qy_slice_try_mut(&slice) == NULL);
    failed_with(EBUSY);
    char *copy = qy_slice_make_mut(&word);
    require(copy != words + 7 && is(word, "words") && qy_is_unique(copy));
    copy[0] = 'W';
    require(is(slice, "static words"));
    qy_slice_drop(&word);
    qy_slice_drop(&slice);
    require(is_empty(slice));
    qyi_free(NULL);
}
END_TEST

START_TEST(test_static_ranges_that_overlap_are_joined)
{
    static const char bytes[100];
    require(!is_empty(qy_slice_static(bytes + 10, 10)));
    require(!is_empty(qy_slice_static(bytes + 30, 10)));
    require(!is_empty(qy_slice_static(bytes + 50, 10)));
    require(qy_capacity(bytes + 15) == 10 && qy_base(bytes + 25) == NULL);
    failed_with(EINVAL);
    require(!is_empty(qy_slice_static(bytes + 15, 40)));
    require(qy_base(bytes + 59) == bytes + 10 && qy_capacity(bytes + 30) == 50);
    require(qy_retain(bytes + 25) == 0);
    require(!is_empty(qy_slice_static(bytes, 100)));
    require(qy_base(bytes + 99) == bytes && qy_capacity(bytes) == 100);
    require(!is_empty(qy_slice_static(bytes + 40, 5)));
    require(qy_capacity(bytes + 40) == 100);
    require(is_empty(qy_slice_foreign((void *)(bytes + 99), 1, NULL, NULL)));
    failed_with(EINVAL);
}
END_TEST

START_TEST(test_without_memory_nothing_is_registered)
{
    if (UNIT_TSAN)
        return;
    static char memory[100];
    qyi_free(qyi_malloc(1));
    use_up(16);
    use_up(32);
    use_up(64);
    use_up(128);
    use_up(256);
    require(is_empty(qy_slice_foreign(memory, 100, note_release, NULL)));
    failed_with(ENOMEM);
    require(is_empty(qy_slice_static(memory, 100)));
    failed_with(ENOMEM);
    require(qy_refcount(memory) == 0);
    failed_with(EINVAL);
    no_memory = false;
    qy_slice slice = qy_slice_foreign(memory, 100, note_release, NULL);
    qy_slice_drop(&slice);
    require(released.calls == 1);
}
END_TEST

START_TEST(test_a_child_has_a_registry_of_its_own)
{
    static char memory[100];
    qy_slice slice = qy_slice_foreign(memory, 100, note_release, NULL);
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        require(qy_refcount(memory) == 1);
        qy_slice clone = qy_slice_clone(slice);
        qy_slice_drop(&slice);
        require(released.calls == 0);
        qy_slice_drop(&clone);
        _exit(released.calls == 1 ? 0 : 1);
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child && status == 0);
    require(qy_refcount(memory) == 1 && released.calls == 0);
    qy_slice_drop(&slice);
}
END_TEST

/* ---- files ---- */

enum { FILE_BYTES = 20000 };

static char file_byte(size_t i)
{
    return (char)(i * 7 + i / 256);
}

static int make_file(void)
{
    const int fd = memfd_create("file", MFD_CLOEXEC);
    require(fd >= 0);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        const char byte = file_byte(i);
        require(write(fd, &byte, 1) == 1);
    }
    return fd;
}

static bool is_mapped(const void *p)
{
    const uintptr_t page = qyi_align_down((uintptr_t)p, qyi_os_page_bytes);
    unsigned char vector;
    const bool mapped = mincore((void *)page, 1, &vector) == 0; /* NOLINT(performance-no-int-to-ptr) */
    errno = 0;
    return mapped;
}

START_TEST(test_parts_of_files_are_slices)
{
    const int fd = make_file();
    static const struct {
        off_t offset;
        size_t length, expected;
    } PARTS[] = {{0, 0, FILE_BYTES},
                 {0, 1, 1},
                 {1, 5000, 5000},
                 {4095, 2, 2},
                 {4096, 4096, 4096},
                 {12345, 0, 7655},
                 {FILE_BYTES - 1, 0, 1},
                 {FILE_BYTES - 1, 1, 1},
                 {8192, FILE_BYTES - 8192, FILE_BYTES - 8192}};
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
        qy_slice slice = qy_slice_map(fd, PARTS[i].offset, PARTS[i].length);
        require(slice.iov_len == PARTS[i].expected);
        for (size_t k = 0; k < slice.iov_len; k++)
            require(*byte_at(slice, k) == file_byte((size_t)PARTS[i].offset + k));
        char *end = byte_at(slice, slice.iov_len - 1);
        qy_slice last = qy_slice_sub(slice, slice.iov_len - 1, 1);
        require(qy_slice_try_mut(&last) == NULL); /* mapped for reading */
        failed_with(EBUSY);
        qy_slice_drop(&slice);
        require(is_mapped(end));
        require(qy_slice_try_mut(&last) == NULL);
        failed_with(EBUSY);
        qy_slice_drop(&last);
        require(!is_mapped(end));
    }
    close(fd);
    only_registry_left(1);
}
END_TEST

START_TEST(test_bytes_of_a_file_are_copied_to_be_written)
{
    const int fd = make_file();
    qy_slice slice = qy_slice_map(fd, 5, 10);
    const void *mapped = slice.iov_base;
    char *mutable = qy_slice_make_mut(&slice);
    require(mutable != NULL && slice.iov_base == mutable && !is_mapped(mapped));
    mutable[0] ^= 1;
    char byte;
    require(pread(fd, &byte, 1, 5) == 1 && byte == file_byte(5));
    qy_slice_drop(&slice);
    close(fd);
    only_registry_left(1);
}
END_TEST

START_TEST(test_what_cannot_be_mapped_says_why)
{
    const int fd = make_file();
    require(is_empty(qy_slice_map(fd, FILE_BYTES, 0)) && errno == 0); /* nothing was asked for */
    require(is_empty(qy_slice_map(fd, FILE_BYTES + 1, 0)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, 5, FILE_BYTES)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, 0, SIZE_MAX)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(fd, -1, 10)));
    failed_with(ERANGE);
    require(is_empty(qy_slice_map(-1, 0, 0)));
    failed_with(EBADF);
    const int write_only = open("/dev/null", O_WRONLY | O_CLOEXEC);
    require(is_empty(qy_slice_map(write_only, 0, 1)));
    failed_with(ERANGE);
    const int no_file = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(is_empty(qy_slice_map(no_file, 0, 1)) && errno != 0);
    close(write_only);
    close(no_file);
    close(fd);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("foreign");
    TCase *foreign = group(suite, "foreign");
    tcase_add_test(foreign, test_foreign_memory_is_released_once_by_its_last_owner);
    tcase_add_test(foreign, test_the_thread_that_drops_last_releases);
    tcase_add_test(foreign, test_foreign_memory_can_do_without_a_function);
    tcase_add_test(foreign, test_foreign_memory_without_bytes_is_released_at_once);
    tcase_add_test(foreign, test_a_release_function_may_call_anything);
    tcase_add_test(foreign, test_ranges_that_overlap_are_refused);
    tcase_add_test(foreign, test_many_ranges_are_found_and_forgotten);
    tcase_add_test(foreign, test_static_memory_is_sliced_and_never_freed);
    tcase_add_test(foreign, test_static_ranges_that_overlap_are_joined);
    tcase_add_test(foreign, test_without_memory_nothing_is_registered);
    tcase_add_test(foreign, test_a_child_has_a_registry_of_its_own);
    TCase *files = group(suite, "files");
    tcase_add_test(files, test_parts_of_files_are_slices);
    tcase_add_test(files, test_bytes_of_a_file_are_copied_to_be_written);
    tcase_add_test(files, test_what_cannot_be_mapped_says_why);
    return unit_run(suite);
}

/*
 * test_fork.c: a forked child finds the allocator as it was at some instant, with other threads anywhere in it, and
 * goes on.
 *
 * Threads are stopped in the middle of things: by taking a lock that a slow path takes, or inside a system call that
 * the core makes while it holds one (mprotect with the region's lock, madvise with memory in hand).
 */
#include "unit.h"

#include "alloc.h"
#include "fork.h"
#include "meta.h"
#include "os.h"
#include "reclaim.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- stopping in the middle ---- */

static __thread bool stop_in_mprotect, stop_in_madvise_before, stop_in_madvise_after;
static __thread bool signal_in_mprotect, signal_in_madvise;
static _Atomic bool stopped;
static _Atomic bool go_on;

static void stop_here(void)
{
    atomic_store(&stopped, true);
    while (!atomic_load(&go_on))
        sched_yield();
}

int mprotect(void *start, size_t bytes, int protection)
{
    if (stop_in_mprotect) {
        stop_in_mprotect = false;
        stop_here();
    }
    if (signal_in_mprotect) {
        signal_in_mprotect = false;
        raise(SIGUSR1);
    }
    return (int)syscall(SYS_mprotect, start, bytes, protection);
}

int madvise(void *start, size_t bytes, int advice)
{
    if (stop_in_madvise_before) {
        stop_in_madvise_before = false;
        stop_here();
    }
    if (signal_in_madvise) {
        signal_in_madvise = false;
        raise(SIGUSR1);
    }
    const int result = (int)syscall(SYS_madvise, start, bytes, advice);
    if (stop_in_madvise_after) {
        stop_in_madvise_after = false;
        stop_here();
    }
    return result;
}

static void wait_until_stopped(void)
{
    while (!atomic_load(&stopped))
        sched_yield();
}

/* ---- children ---- */

static void setup(void)
{
    unit_attach();
    qyi_fork_register();
}

static void finish_child(pid_t child)
{
    int status = -1;
    require(waitpid(child, &status, 0) == child);
    if (status != 0)
        ck_abort_msg("the child ends with %s %d", WIFSIGNALED(status) ? "signal" : "exit status",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* A child that hangs is ended by its alarm. */
static void in_child(void (*function)(void))
{
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        alarm(60);
        function();
        _exit(0);
    }
    finish_child(child);
}

static const size_t SIZES[] = {8, 64, 500, 1024, 1500, 4000, 30000, 130000, 140000, 1000000, 5000000};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* Everything works, in all sizes, and nothing is handed out that somebody has. */
static void use_everything(void)
{
    enum { EACH = 8 };
    unsigned char *blocks[SIZE_COUNT][EACH];
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < SIZE_COUNT; i++) {
            for (unsigned k = 0; k < EACH; k++) {
                blocks[i][k] = k % 2 == 0 ? qyi_malloc(SIZES[i]) : qyi_calloc(1, SIZES[i]);
                require(blocks[i][k] != NULL);
                require(k % 2 == 0 || (blocks[i][k][0] == 0 && blocks[i][k][SIZES[i] - 1] == 0));
                blocks[i][k][0] = (unsigned char)(i + k);
                blocks[i][k][SIZES[i] - 1] = (unsigned char)(i + k);
            }
        }
        for (size_t i = 0; i < SIZE_COUNT; i++) {
            for (unsigned k = 0; k < EACH; k++) {
                require(blocks[i][k][0] == (unsigned char)(i + k) &&
                        blocks[i][k][SIZES[i] - 1] == (unsigned char)(i + k));
                qyi_free(blocks[i][k]);
            }
        }
        qyi_reclaim_all();
        qyi_region_validate();
    }
}

/* What the region says is in use is what has an entry. */
static void check_region(void)
{
    qyi_region_validate();
    size_t used = 0;
    for (uint32_t granule = qyi_region.first; granule < atomic_load(&qyi_region.end); granule++)
        used += qyi_entry(granule) != 0;
    require(used << QYI_GRANULE_SHIFT == unit_used_bytes());
}

/* Blocks of the parent's, by any of its threads, that a child checks and frees. */
enum { SHARED = 200 };
static unsigned char *shared[SHARED];

static void make_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++) {
        shared[i] = qyi_malloc(SIZES[i % (SIZE_COUNT - 1)]);
        require(shared[i] != NULL);
        memset(shared[i], (int)i + 1, SIZES[i % (SIZE_COUNT - 1)]);
    }
}

static void free_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++) {
        const size_t bytes = SIZES[i % (SIZE_COUNT - 1)];
        require(shared[i][0] == (unsigned char)(i + 1) && shared[i][bytes - 1] == (unsigned char)(i + 1));
        qyi_free(shared[i]);
    }
}

static void use_and_free_shared(void)
{
    use_everything();
    free_shared();
    use_everything();
    check_region();
}

/* ---- one thread ---- */

static void expect_nothing_left(void)
{
    use_and_free_shared();
    qyi_reclaim_all();
    require(unit_used_bytes() == 0);
    unit_check_runs();
}

START_TEST(test_a_child_can_use_and_free_everything)
{
    make_shared();
    in_child(expect_nothing_left);
    expect_nothing_left(); /* and so can its parent */
}
END_TEST

static void fork_again(void)
{
    in_child(expect_nothing_left);
    use_everything();
    in_child(expect_nothing_left);
    expect_nothing_left();
}

START_TEST(test_children_have_children)
{
    make_shared();
    in_child(fork_again);
    expect_nothing_left();
}
END_TEST

static void *use_everything_in_thread(void *unused)
{
    use_everything();
    return unused;
}

static void start_threads(void)
{
    unit_in_thread(use_everything_in_thread, NULL);
    unit_in_thread(use_everything_in_thread, NULL);
    expect_nothing_left();
}

START_TEST(test_a_child_can_have_threads)
{
    make_shared();
    in_child(start_threads);
}
END_TEST

/* ---- other threads that stand still ---- */

static pthread_t start_and_wait(void *(*function)(void *))
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, function, NULL) == 0);
    wait_until_stopped();
    return thread;
}

static void let_go(pthread_t thread)
{
    atomic_store(&go_on, true);
    require(pthread_join(thread, NULL) == 0);
    use_everything();
    check_region();
}

static void *fill_magazines_and_stop(void *unused)
{
    make_shared();
    use_everything();
    stop_here();
    return unused;
}

/* Its thread is gone: what it had in its magazines comes back, and blocks that it handed out can be freed. */
START_TEST(test_the_heaps_of_other_threads_are_taken_apart)
{
    pthread_t thread = start_and_wait(fill_magazines_and_stop);
    in_child(expect_nothing_left);
    let_go(thread);
    free_shared();
}
END_TEST

static void *stop_with_own_heap_locked(void *unused)
{
    make_shared();
    struct qyi_heap *heap = unit_attach()->heap;
    qyi_lock(&heap->lock);
    stop_here();
    qyi_unlock(&heap->lock);
    return unused;
}

START_TEST(test_a_heap_in_the_middle_of_a_change_is_left_alone)
{
    pthread_t thread = start_and_wait(stop_with_own_heap_locked);
    in_child(use_and_free_shared);
    let_go(thread);
    free_shared();
}
END_TEST

static void *stop_with_common_heap_locked(void *unused)
{
    make_shared();
    qyi_lock(&qyi_common->lock);
    stop_here();
    qyi_unlock(&qyi_common->lock);
    return unused;
}

START_TEST(test_a_common_heap_in_the_middle_of_a_change_is_replaced)
{
    make_shared();
    use_everything();
    unsigned char *mine[SHARED];
    memcpy(mine, shared, sizeof mine);
    pthread_t thread = start_and_wait(stop_with_common_heap_locked);
    in_child(use_and_free_shared);
    memcpy(shared, mine, sizeof mine); /* the forking thread's own */
    in_child(use_and_free_shared);
    let_go(thread);
    free_shared();
}
END_TEST

static void *stop_with_metadata_locked(void *unused)
{
    qyi_lock(qyi_meta_lock());
    stop_here();
    qyi_unlock(qyi_meta_lock());
    return unused;
}

static void use_metadata(void)
{
    require(qyi_meta_take(100) != NULL);
    require(qyi_heap_adopt() != NULL);
    use_and_free_shared();
}

START_TEST(test_metadata_in_the_middle_of_a_change_can_be_taken)
{
    make_shared();
    pthread_t thread = start_and_wait(stop_with_metadata_locked);
    in_child(use_metadata);
    let_go(thread);
    free_shared();
}
END_TEST

/* New heaps until one needs more memory for metadata: the registry is locked meanwhile, and metadata too. */
static void *stop_in_the_registry(void *unused)
{
    struct qyi_heap *heaps[8];
    unsigned count = 0;
    stop_in_mprotect = true;
    while (stop_in_mprotect && count < 8)
        heaps[count++] = qyi_heap_adopt();
    for (unsigned i = 0; i < count; i++)
        qyi_heap_retire(heaps[i], false);
    return unused;
}

START_TEST(test_a_registry_in_the_middle_of_a_change_can_be_used)
{
    make_shared();
    pthread_t thread = start_and_wait(stop_in_the_registry);
    in_child(use_metadata);
    let_go(thread);
    free_shared();
}
END_TEST

/* Large runs until the frontier has to move: the region is locked meanwhile. */
static void *stop_in_the_region(void *unused)
{
    void *runs[500];
    unsigned count = 0;
    stop_in_mprotect = true;
    while (stop_in_mprotect && count < 500)
        runs[count++] = qyi_malloc(1 << 20);
    for (unsigned i = 0; i < count; i++)
        qyi_free(runs[i]);
    return unused;
}

START_TEST(test_a_region_in_the_middle_of_a_change_is_rebuilt)
{
    make_shared();
    use_everything();
    pthread_t thread = start_and_wait(stop_in_the_region);
    in_child(use_and_free_shared);
    let_go(thread);
    free_shared();
}
END_TEST

/* Free memory, of whole frames or of parts, that a purge has in hand. */
static void *stop_in_a_purge(void *unused)
{
    void *large = qyi_malloc(10 << 20);
    memset(large, 1, 10 << 20);
    qyi_free(large);
    stop_in_madvise_before = true;
    qyi_region_purge(qyi_os_now_ms(), 0);
    return unused;
}

static void find_all_memory(void)
{
    struct qyi_region_totals totals;
    use_and_free_shared();
    qyi_reclaim_all();
    qyi_region_totals(&totals);
    require(totals.used + totals.clean + totals.dirty == totals.payload);
    require(totals.used == 0 && totals.dirty == 0);
    check_region();
}

START_TEST(test_memory_in_the_hand_of_a_purge_is_not_lost)
{
    make_shared();
    pthread_t thread = start_and_wait(stop_in_a_purge);
    in_child(find_all_memory);
    let_go(thread);
    find_all_memory();
}
END_TEST

static bool stop_after_the_purge;

/* The heap of an ended thread is neither in use nor idle while its magazines' pages go back. */
static void *stop_in_an_unload(void *unused)
{
    unit_in_thread(use_everything_in_thread, NULL);
    if (stop_after_the_purge)
        stop_in_madvise_after = true;
    else
        stop_in_madvise_before = true;
    qyi_heaps_unload(true);
    return unused;
}

START_TEST(test_a_heap_that_is_about_to_become_idle_can_be_taken_apart)
{
    make_shared();
    stop_after_the_purge = _i == 1;
    pthread_t thread = start_and_wait(stop_in_an_unload);
    in_child(use_metadata);
    let_go(thread);
    free_shared();
}
END_TEST

/* ---- fork in a signal handler ---- */

static pid_t child_of_handler;

static void fork_in_handler(int number)
{
    (void)number;
    const int saved_errno = errno;
    child_of_handler = fork();
    if (child_of_handler == 0)
        alarm(60);
    errno = saved_errno;
}

/* The interrupted call goes on, in both processes. */
static void finish_both(void)
{
    require(child_of_handler >= 0);
    use_and_free_shared();
    qyi_reclaim_all();
    require(unit_used_bytes() == 0);
    check_region();
    if (child_of_handler == 0)
        _exit(0);
    finish_child(child_of_handler);
}

START_TEST(test_a_fork_in_a_handler_that_interrupts_the_region)
{
    child_of_handler = -1;
    require(signal(SIGUSR1, fork_in_handler) != SIG_ERR);
    make_shared();
    void *runs[500];
    unsigned count = 0;
    signal_in_mprotect = true;
    while (signal_in_mprotect && count < 500)
        runs[count++] = qyi_malloc(1 << 20);
    for (unsigned i = 0; i < count; i++)
        qyi_free(runs[i]);
    finish_both();
}
END_TEST

START_TEST(test_a_fork_in_a_handler_that_interrupts_a_purge)
{
    child_of_handler = -1;
    require(signal(SIGUSR1, fork_in_handler) != SIG_ERR);
    make_shared();
    void *large = qyi_malloc(10 << 20);
    memset(large, 1, 10 << 20);
    qyi_free(large);
    signal_in_madvise = true;
    qyi_region_purge(qyi_os_now_ms(), 0);
    finish_both();
}
END_TEST

START_TEST(test_a_fork_in_a_handler_that_interrupts_an_unload)
{
    child_of_handler = -1;
    require(signal(SIGUSR1, fork_in_handler) != SIG_ERR);
    make_shared();
    unit_in_thread(use_everything_in_thread, NULL);
    signal_in_madvise = true;
    qyi_heaps_unload(true);
    finish_both();
}
END_TEST

/* ---- other threads that do not stand still ---- */

enum { HAMMERS = 3 };
static _Atomic bool hammers_down;
static _Atomic(unsigned char *) exchange[64];

static void *hammer(void *argument)
{
    uint64_t seed = (uintptr_t)argument;
    while (!atomic_load(&hammers_down)) {
        const size_t bytes = 16 + unit_below(&seed, unit_below(&seed, 30) == 0 ? 600000 : 3000);
        unsigned char *block = qyi_malloc(bytes);
        require(block != NULL);
        block[0] = block[bytes - 1] = 1;
        qyi_free(atomic_exchange(&exchange[unit_below(&seed, 64)], block));
        if (unit_below(&seed, 2000) == 0)
            qyi_reclaim_all();
    }
    return NULL;
}

static void use_all_and_free_what_was_exchanged(void)
{
    use_everything();
    free_shared();
    for (unsigned i = 0; i < 64; i++)
        qyi_free(atomic_exchange(&exchange[i], NULL));
    use_everything();
    check_region();
}

START_TEST(test_forks_among_busy_threads)
{
    pthread_t threads[HAMMERS];
    make_shared();
    for (uintptr_t i = 0; i < HAMMERS; i++)
        require(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)) ==
                0); /* NOLINT(performance-no-int-to-ptr) */
    for (unsigned i = 0; i < unit_rounds(40); i++)
        in_child(use_all_and_free_what_was_exchanged);
    atomic_store(&hammers_down, true);
    for (unsigned i = 0; i < HAMMERS; i++)
        pthread_join(threads[i], NULL);
    use_all_and_free_what_was_exchanged();
    qyi_reclaim_all();
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *alone = tcase_create("alone");
    tcase_add_checked_fixture(alone, setup, NULL);
    tcase_add_test(alone, test_a_child_can_use_and_free_everything);
    tcase_add_test(alone, test_children_have_children);
    tcase_add_test(alone, test_a_child_can_have_threads);
    suite_add_tcase(suite, alone);
    TCase *standing = tcase_create("standing");
    tcase_add_checked_fixture(standing, setup, NULL);
    tcase_add_test(standing, test_the_heaps_of_other_threads_are_taken_apart);
    tcase_add_test(standing, test_a_heap_in_the_middle_of_a_change_is_left_alone);
    tcase_add_test(standing, test_a_common_heap_in_the_middle_of_a_change_is_replaced);
    tcase_add_test(standing, test_metadata_in_the_middle_of_a_change_can_be_taken);
    tcase_add_test(standing, test_a_registry_in_the_middle_of_a_change_can_be_used);
    tcase_add_test(standing, test_a_region_in_the_middle_of_a_change_is_rebuilt);
    tcase_add_test(standing, test_memory_in_the_hand_of_a_purge_is_not_lost);
    tcase_add_loop_test(standing, test_a_heap_that_is_about_to_become_idle_can_be_taken_apart, 0, 2);
    suite_add_tcase(suite, standing);
    TCase *handlers = tcase_create("handlers");
    tcase_add_checked_fixture(handlers, setup, NULL);
    tcase_add_test(handlers, test_a_fork_in_a_handler_that_interrupts_the_region);
    tcase_add_test(handlers, test_a_fork_in_a_handler_that_interrupts_a_purge);
    tcase_add_test(handlers, test_a_fork_in_a_handler_that_interrupts_an_unload);
    suite_add_tcase(suite, handlers);
    TCase *busy = tcase_create("busy");
    tcase_add_checked_fixture(busy, setup, NULL);
    tcase_add_test(busy, test_forks_among_busy_threads);
    suite_add_tcase(suite, busy);
    return unit_run(suite);
}

/*
 * test_ref.c: references to blocks: from any pointer into them, with nothing in or beside the bytes.
 */
#include "unit_slices.h"

#include "quarry/ref.h"

#include "count.h"
#include "foreign.h"
#include "reclaim.h"
#include "slab.h"

#include <stdio.h>
#include <sys/wait.h>

/* Blocks in the first one, three or more granules of a slab; of the common heap; with a run for themselves. */
static const size_t SIZES[] = {1,    16,    17,    64,    100,   112,   128,   144,   1000,   1024,    1025,
                               4096, 10000, 16384, 20000, 30000, 57344, 65536, 65537, 131072, 1000000, 3000000};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* ---- interior pointers ---- */

/* Every byte of small blocks; of larger ones the borders of lines, pages and granules, and what lies around them. */
static size_t next_byte(size_t i, size_t bytes)
{
    if (bytes <= 1024)
        return i + 1;
    const size_t rest = i % 512;
    const size_t next = rest == 0 ? i + 1 : rest == 511 ? i + 1 : i + 511 - rest;
    return i < bytes - 1 ? qyi_min(next, bytes - 1) : bytes;
}

static void look_into(const char *block, size_t usable, uint32_t references)
{
    for (size_t i = 0; i < usable; i = next_byte(i, usable)) {
        require(qy_base(block + i) == block);
        require(qy_capacity(block + i) == usable);
        require(qy_refcount(block + i) == references);
        require(qy_is_unique(block + i) == (references == 1));
    }
}

START_TEST(test_every_byte_of_a_block_leads_to_it)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *blocks[9];
        for (size_t b = 0; b < 9; b++)
            blocks[b] = qyi_malloc(SIZES[k]);
        for (size_t b = 0; b < 9; b++) {
            const size_t usable = qyi_usable_size(blocks[b], "test");
            look_into(blocks[b], usable, 1);
            require(qy_retain(blocks[b] + usable - 1) == 0);
            look_into(blocks[b], usable, 2);
            require(qy_release(blocks[b] + usable / 2) == 0);
            look_into(blocks[b], usable, 1);
        }
        for (size_t b = 0; b < 9; b++)
            require(qy_release(blocks[b] + SIZES[k] - 1) == 0);
    }
    require(errno == 0);
    require(live_blocks() == 0);
    unit_check_runs();
}
END_TEST

/* The pointer at the end belongs to the neighbour, who has a count of his own. */
START_TEST(test_neighbours_have_counts_of_their_own)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        enum { BLOCKS = 40 };
        char *blocks[BLOCKS];
        for (size_t b = 0; b < BLOCKS; b++) {
            blocks[b] = qyi_malloc(SIZES[k]);
            require(qy_retain_n(blocks[b] + SIZES[k] - 1, (uint32_t)b) == 0);
        }
        for (size_t b = 0; b < BLOCKS; b++)
            require(qy_refcount(blocks[b]) == b + 1);
        for (size_t b = 0; b < BLOCKS; b++)
            require(qy_release_n(blocks[b], (uint32_t)b + 1) == 0);
    }
    require(live_blocks() == 0);
}
END_TEST

START_TEST(test_aligned_blocks_begin_where_their_user_says)
{
    for (size_t align = 16; align <= (size_t)1 << 22; align *= 2) {
        char *block = qyi_aligned(align, 100);
        require(block != NULL && (uintptr_t)block % align == 0);
        require(qy_base(block + 99) == block);
        require(qy_retain(block + 50) == 0);
        qyi_free(block);
        require(qy_refcount(block) == 1);
        require(qy_release(block + 1) == 0);
    }
}
END_TEST

/* More granules than an entry's offset can say: some resolve in several hops. */
START_TEST(test_every_granule_of_a_very_large_block_leads_to_it)
{
    if (UNIT_SANITIZED || unit_under_valgrind())
        return;
    const size_t bytes = ((size_t)QYI_ENTRY_OFFSET_MAX * 2 + 1000) * QYI_GRANULE_BYTES - 5000;
    char *block = qyi_malloc(bytes);
    if (block == NULL)
        return; /* a machine or limit too small for it; another test makes do with less */
    require(qy_retain(block + bytes - 1) == 0);
    for (size_t i = 0; i < bytes; i += QYI_GRANULE_BYTES) {
        require(qy_base(block + i) == block);
        require(qy_refcount(block + qyi_min(i + 65535, bytes - 1)) == 2);
    }
    require(qy_release(block + (size_t)QYI_ENTRY_OFFSET_MAX * QYI_GRANULE_BYTES + 7) == 0);
    require(qy_refcount(block) == 1);
    require(qy_release(block + bytes - 1) == 0);
    require(qy_retain(block + bytes / 2) == -1 && errno == EINVAL);
}
END_TEST

/* ---- what cannot be retained ---- */

static int something_static = 5;

static void refuse(const void *p)
{
    errno = 0;
    require(qy_retain(p) == -1 && errno == EINVAL);
    errno = 0;
    require(qy_retain_n(p, 3) == -1 && errno == EINVAL);
    errno = 0;
    require(qy_retain_n(p, 0) == -1 && errno == EINVAL);
    errno = 0;
    require(qy_refcount(p) == 0 && errno == EINVAL);
    errno = 0;
    require(qy_base(p) == NULL && errno == EINVAL);
    errno = 0;
    require(qy_capacity(p) == 0 && errno == EINVAL);
    errno = 0;
    require(!qy_is_unique(p));
    require(errno == 0);
    if (p == NULL)
        return;
    require(qy_release(p) == -1 && errno == EINVAL);
    errno = 0;
    require(qy_release_n(p, 2) == -1 && errno == EINVAL);
}

static void refuse_all(void)
{
    int something_local = 0;
    void *foreign = malloc(100);
    refuse(NULL);
    refuse(&something_local);
    refuse(&something_static);
    refuse(foreign);
    refuse((void *)(uintptr_t)8);
    refuse((void *)(uintptr_t)0x7000000000000000); /* NOLINT(performance-no-int-to-ptr) */
    free(foreign);
}

START_TEST(test_memory_of_others_is_refused)
{
    refuse_all(); /* before the first call of malloc */
    void *block = qyi_malloc(10);
    refuse_all();
    refuse((void *)qyi_region.base);                                     /* NOLINT(performance-no-int-to-ptr) */
    refuse((void *)(qyi_region.base + qyi_region.bytes - 1));            /* NOLINT(performance-no-int-to-ptr) */
    refuse((void *)(qyi_region.base + qyi_region.bytes));                /* NOLINT(performance-no-int-to-ptr) */
    refuse(qyi_granule_address(atomic_load(&qyi_region.end)));           /* beyond the frontier */
    refuse(qyi_granule_address(atomic_load(&qyi_region.end) - 1) + 100); /* granules that nobody has asked for yet */
    refuse(qyi_my_magazines());
    refuse(unit_slab_of(block));
    qyi_free(block);
}
END_TEST

START_TEST(test_freed_large_blocks_are_refused)
{
    char *block = qyi_malloc(1000000);
    require(qy_retain(block) == 0);
    qyi_free(block);
    require(qy_release(block + 5) == 0);
    refuse(block);
    refuse(block + 999999);
}
END_TEST

/* A run consists of whole granules, its block of whole pages. */
START_TEST(test_what_lies_behind_a_large_block_is_refused)
{
    char *block = qyi_malloc(2 * QYI_GRANULE_BYTES + 5000);
    const size_t usable = qyi_usable_size(block, "test");
    require(qy_retain(block + usable - 1) == 0);
    refuse(block + usable);
    refuse(block + 3 * QYI_GRANULE_BYTES - 1);
    qyi_free(block);
    qyi_free(block);
}
END_TEST

/* A slab of blocks that do not divide it evenly has a rest. */
START_TEST(test_the_rest_of_a_slab_is_refused)
{
    static const size_t BYTES[] = {48, 112, 960, 1152, 9000, 36864, 53248};
    for (size_t k = 0; k < sizeof BYTES / sizeof BYTES[0]; k++) {
        char *block = qyi_malloc(BYTES[k]);
        const struct qyi_class *class = &qyi_classes[qyi_class_of(BYTES[k])];
        const size_t slab_bytes = (size_t)class->granule_count << QYI_GRANULE_SHIFT;
        const size_t used = (size_t)class->block_count * class->bytes;
        require(used < slab_bytes);
        char *slab = qyi_granule_address(qyi_slab_granule(unit_slab_of(block)));
        refuse(slab + used);
        refuse(slab + slab_bytes - 1);
        require(qy_retain(block) == 0); /* with cells it is the same */
        refuse(slab + used);
        refuse(slab + slab_bytes - 1);
        qyi_free(block);
        qyi_free(block);
    }
}
END_TEST

/* ---- counting ---- */

START_TEST(test_the_last_release_frees)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        require(qy_retain(block) == 0);
        require(qy_retain_n(block, 3) == 0);
        require(qy_refcount(block) == 5);
        require(qy_release_n(block, 2) == 0);
        require(qy_release(block) == 0);
        require(qy_refcount(block) == 2 && !qy_is_unique(block));
        require(live_blocks() == 1);
        require(qy_release(block) == 0);
        require(qy_refcount(block) == 1 && qy_is_unique(block));
        require(live_blocks() == 1);
        require(qy_release(block) == 0);
        require(live_blocks() == 0);
    }
    require(errno == 0);
}
END_TEST

START_TEST(test_a_block_that_was_never_retained_can_be_released)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        require(qy_release(block + SIZES[k] - 1) == 0);
        require(live_blocks() == 0);
        block = qyi_malloc(SIZES[k]);
        require(qy_release_n(block + SIZES[k] / 2, 1) == 0);
        require(live_blocks() == 0);
    }
    require(errno == 0);
}
END_TEST

START_TEST(test_nothing_is_nothing)
{
    require(qy_release(NULL) == 0);
    require(qy_release_n(NULL, 5) == 0);
    char *block = qyi_malloc(100);
    require(qy_retain_n(block, 0) == 0);
    require((unit_entry_of(block) & QYI_ENTRY_COUNTED) == 0); /* only checked */
    require(qy_refcount(block) == 1);
    require(qy_release_n(block, 0) == 0);
    require(qy_refcount(block) == 1);
    require(qy_release(block) == 0);
    require(errno == 0);
}
END_TEST

/* All references at once: the cell must be as good as new for the next user of the memory. */
START_TEST(test_the_next_user_of_a_block_is_its_only_owner)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        for (uint32_t extra = 0; extra < 5; extra++) {
            char *block = qyi_malloc(SIZES[k]);
            require(qy_retain_n(block, extra) == 0);
            if (extra % 2 == 0) {
                require(qy_release_n(block, extra + 1) == 0);
            } else {
                for (uint32_t i = 0; i <= extra; i++)
                    require(qy_release(block) == 0);
            }
            char *again = qyi_malloc(SIZES[k]);
            require(qy_refcount(again) == 1);
            require(SIZES[k] > QYI_SMALL_BYTES || again == block);
            qyi_free(again);
        }
    }
}
END_TEST

/* A slab that is deleted leaves cells behind for whatever comes to lie on its granules. */
START_TEST(test_new_slabs_begin_with_sole_owners)
{
    enum { BLOCKS = 600 };
    static char *blocks[BLOCKS];
    for (size_t k = 0; k < SIZE_COUNT - 2; k++) {
        for (size_t b = 0; b < BLOCKS; b++) {
            require((blocks[b] = qyi_malloc(SIZES[k])) != NULL);
            require(qy_refcount(blocks[b]) == 1);
            require(qy_retain(blocks[b]) == 0);
            require(qy_refcount(blocks[b]) == 2);
        }
        for (size_t b = 0; b < BLOCKS; b++) {
            qyi_free(blocks[b]);
            require(qy_release(blocks[b]) == 0);
        }
        if (k % 3 == 0)
            qyi_reclaim_all();
    }
    qyi_reclaim_all();
    ck_assert_uint_eq(unit_used_bytes(), 0);
    unit_check_runs();
}
END_TEST

START_TEST(test_retaining_one_block_leaves_its_neighbours_alone)
{
    enum { BLOCKS = 200 };
    char *blocks[BLOCKS];
    for (size_t b = 0; b < BLOCKS; b++)
        memset(blocks[b] = qyi_malloc(48), (int)b, 48);
    for (size_t b = 0; b < BLOCKS; b += 3)
        require(qy_retain(blocks[b] + b % 48) == 0);
    for (size_t b = 0; b < BLOCKS; b++) {
        require(qy_refcount(blocks[b]) == (b % 3 == 0 ? 2 : 1));
        for (size_t i = 0; i < 48; i++)
            require(blocks[b][i] == (char)b);
        qyi_free(blocks[b]);
    }
    for (size_t b = 0; b < BLOCKS; b += 3) {
        for (size_t i = 0; i < 48; i++)
            require(blocks[b][i] == (char)b);
        require(qy_release(blocks[b]) == 0);
    }
    require(live_blocks() == 0);
}
END_TEST

/* ---- plain free and realloc ---- */

START_TEST(test_plain_free_drops_one_reference)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        block[SIZES[k] - 1] = 'x';
        require(qy_retain_n(block, 2) == 0);
        qyi_free(block);
        require(qy_refcount(block) == 2);
        qyi_free(block);
        require(qy_refcount(block) == 1 && block[SIZES[k] - 1] == 'x');
        qyi_free(block);
        require(live_blocks() == 0);
    }
    require(errno == 0);
}
END_TEST

static const size_t NEW_SIZES[] = {1, 50, 1000, 2000, 60000, 66000, 140000, 2000000};

START_TEST(test_realloc_of_a_shared_block_copies_and_drops_one_reference)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        for (size_t n = 0; n < sizeof NEW_SIZES / sizeof NEW_SIZES[0]; n++) {
            const size_t common = qyi_min(SIZES[k], NEW_SIZES[n]);
            char *block = qyi_malloc(SIZES[k]);
            memset(block, 'a', SIZES[k]);
            require(qy_retain(block) == 0);
            char *other = qyi_realloc(block, NEW_SIZES[n]);
            require(other != NULL && other != block);
            require(qy_refcount(block) == 1 && qy_refcount(other) == 1);
            require(other[0] == 'a' && other[common - 1] == 'a');
            memset(other, 'b', NEW_SIZES[n]);
            require(block[0] == 'a' && block[SIZES[k] - 1] == 'a');
            qyi_free(block);
            qyi_free(other);
        }
    }
    require(live_blocks() == 0);
}
END_TEST

START_TEST(test_realloc_to_the_same_size_copies_a_shared_block_too)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        require(qy_retain(block) == 0);
        char *other = qyi_realloc(block, SIZES[k]);
        require(other != block);
        qyi_free(other);
        if (SIZES[k] >= QYI_STEP_BYTES / 2) /* its only owner again */
            require(qyi_realloc(block, SIZES[k]) == block);
        require(qyi_realloc(block, 0) == NULL);
        require(live_blocks() == 0);
    }
}
END_TEST

START_TEST(test_realloc_to_nothing_drops_one_reference)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        require(qy_retain(block) == 0);
        require(qyi_realloc(block, 0) == NULL);
        require(qy_refcount(block) == 1);
        qyi_free(block);
        require(live_blocks() == 0);
    }
}
END_TEST

START_TEST(test_realloc_that_fails_keeps_the_reference)
{
    char *block = qyi_malloc(100);
    require(qy_retain(block) == 0);
    require(qyi_realloc(block, PTRDIFF_MAX) == NULL && errno == ENOMEM);
    require(qy_refcount(block) == 2);
    qyi_free(block);
    qyi_free(block);
}
END_TEST

/* A large block keeps its count where it moves to. */
START_TEST(test_a_large_block_that_moves_can_be_shared_again)
{
    char *block = qyi_malloc(2000000);
    require(qy_retain(block) == 0);
    qyi_free(block);
    char *wall = qyi_malloc(2000000);
    for (unsigned round = 0; round < 5; round++) {
        block = qyi_realloc(block, (round + 2) * (size_t)3000000);
        require(block != NULL && qy_refcount(block + 2999999) == 1);
        require(qy_retain(block + 1000000) == 0);
        require(qy_refcount(block) == 2);
        require(qy_release(block + 5) == 0);
    }
    qyi_free(block);
    qyi_free(wall);
    require(live_blocks() == 0);
}
END_TEST

/* ---- threads ---- */

static void *release_it(void *p)
{
    require(qy_release(p) == 0);
    return NULL;
}

static void *free_it(void *p)
{
    qyi_free(p);
    return NULL;
}

static void *retain_it(void *p)
{
    require(qy_retain(p) == 0);
    return NULL;
}

START_TEST(test_other_threads_can_hold_and_drop_references)
{
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        char *block = qyi_malloc(SIZES[k]);
        unit_in_thread(retain_it, block + SIZES[k] - 1);
        require(qy_refcount(block) == 2);
        unit_in_thread(release_it, block + SIZES[k] - 1);
        require(qy_refcount(block) == 1);
        require(qy_retain(block) == 0);
        unit_in_thread(free_it, block);
        require(qy_refcount(block) == 1);
        unit_in_thread(release_it, block); /* the last, far from home */
        qyi_reclaim_all();
        require(live_blocks() == 0);
    }
    unit_check_runs();
}
END_TEST

static void *give_away(void *slot)
{
    char *block = qyi_malloc(500);
    require(qy_retain(block) == 0);
    strcpy(block, "mine");
    *(char **)slot = block;
    require(qy_release(block + 499) == 0);
    return NULL;
}

START_TEST(test_a_reference_outlives_the_thread_that_allocated)
{
    enum { THREADS = 20 };
    char *blocks[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        unit_in_thread(give_away, &blocks[i]);
    for (unsigned i = 0; i < THREADS; i++) {
        require(qy_refcount(blocks[i]) == 1);
        require(strcmp(blocks[i], "mine") == 0);
        require(qy_retain(blocks[i]) == 0);
        require(qy_release_n(blocks[i] + 250, 2) == 0);
    }
    qyi_reclaim_all();
    require(live_blocks() == 0);
}
END_TEST

/*
 * The counted flag is set granule by granule. A block that lies in two granules must not be shared by way of the one that has
 * it while somebody could still release it, by way of the other, as if it were not shared.
 */
struct half_done {
    char *block, *border; /* the block's start, and the first byte of it in its second granule */
    _Atomic bool retained;
};

static void *retain_by_start(void *argument)
{
    struct half_done *half = argument;
    require(qy_retain(half->block) == 0);
    atomic_store(&half->retained, true);
    return NULL;
}

START_TEST(test_no_block_is_shared_before_its_slab_is_counted_everywhere)
{
    enum { BYTES = QYI_GRANULE_BYTES / 8 * 5 }; /* the second one lies across a border */
    char *blocks[2] = {qyi_malloc(BYTES), qyi_malloc(BYTES)};
    char *slab = qyi_granule_address(qyi_slab_granule(unit_slab_of(blocks[0])));
    struct half_done half = {.block = slab + BYTES, .border = slab + QYI_GRANULE_BYTES};
    require((half.block == blocks[0] || half.block == blocks[1]) && qy_base(half.border) == half.block);

    const uint32_t first = qyi_slab_granule(unit_slab_of(slab));
    const uint64_t entry = qyi_entry(first);
    struct qyi_heap *heap = unit_heap_of(slab);
    qyi_lock(&heap->lock); /* as somebody who is just doing it */
    require(qyi_region_reach_cells(first, qyi_classes[qyi_entry_class(entry)].granule_count));
    qyi_counts_set(first, qyi_entry_class(entry));
    atomic_store(qyi_entry_at(first), entry | QYI_ENTRY_COUNTED);

    pthread_t thread;
    require(pthread_create(&thread, NULL, retain_by_start, &half) == 0);
    usleep(50000);
    require(!atomic_load(&half.retained));
    qyi_unlock(&heap->lock);
    require(pthread_join(thread, NULL) == 0);
    require(qy_refcount(half.border) == 2);
    require(qy_release(half.border) == 0);
    require(qy_refcount(half.block) == 1);
    qyi_free(blocks[0]);
    qyi_free(blocks[1]);
}
END_TEST

/* The same in a child that was forked at that moment: nobody will finish what was begun. */
START_TEST(test_a_child_finishes_what_a_fork_has_interrupted)
{
    enum { BYTES = QYI_GRANULE_BYTES / 16 * 11 };
    char *blocks[2] = {qyi_malloc(BYTES), qyi_malloc(BYTES)};
    char *slab = qyi_granule_address(qyi_slab_granule(unit_slab_of(blocks[0])));
    const uint32_t first = qyi_slab_granule(unit_slab_of(slab));
    const uint64_t entry = qyi_entry(first);
    const unsigned granules = qyi_classes[qyi_entry_class(entry)].granule_count;
    require(granules > 2);
    require(qyi_region_reach_cells(first, granules));
    qyi_counts_set(first, qyi_entry_class(entry));
    for (unsigned done = 0; done < granules; done++) {
        atomic_store(qyi_entry_at(first + done), qyi_entry(first + done) | QYI_ENTRY_COUNTED);
        const pid_t child = fork();
        require(child >= 0);
        if (child == 0) {
            char *block = slab + BYTES;
            require(qy_retain(block) == 0);
            require(qy_refcount(slab + QYI_GRANULE_BYTES) == 2);
            require(qy_release(slab + QYI_GRANULE_BYTES) == 0);
            require(qy_refcount(block) == 1);
            _exit(0);
        }
        int status = -1;
        require(waitpid(child, &status, 0) == child && status == 0);
    }
}
END_TEST

/* ---- fork ---- */

static _Atomic bool common_is_held, common_may_go;

static void *hold_common(void *unused)
{
    qyi_free(qyi_malloc(1)); /* from here on, fork is looked after */
    qyi_lock(&qyi_common->lock);
    atomic_store(&common_is_held, true);
    while (!atomic_load(&common_may_go))
        usleep(100);
    qyi_unlock(&qyi_common->lock);
    return unused;
}

/* In such a child the blocks of the common heap are another heap's, and their slabs are found by way of an entry. */
START_TEST(test_blocks_of_a_heap_that_fork_has_broken_are_released_from_any_granule)
{
    enum { BYTES = 40960, BLOCKS = 8 };
    char *blocks[BLOCKS];
    for (size_t b = 0; b < BLOCKS; b++)
        require(qy_retain_n(blocks[b] = qyi_malloc(BYTES), _i == 0 ? 0 : 1) == 0);
    pthread_t thread;
    require(pthread_create(&thread, NULL, hold_common, NULL) == 0);
    while (!atomic_load(&common_is_held))
        usleep(100);
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        for (size_t b = 0; b < BLOCKS; b++) {
            require(qy_release(blocks[b] + BYTES - 1) == 0);
            require(_i == 0 || qy_release_n(blocks[b] + BYTES - 1, 1) == 0);
        }
        qyi_reclaim_all();
        _exit(0);
    }
    int status = -1;
    const bool waited = waitpid(child, &status, 0) == child;
    atomic_store(&common_may_go, true);
    require(pthread_join(thread, NULL) == 0);
    require(waited && status == 0);
}
END_TEST

START_TEST(test_a_child_has_references_of_its_own)
{
    char *blocks[SIZE_COUNT];
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        blocks[k] = qyi_malloc(SIZES[k]);
        require(qy_retain(blocks[k]) == 0);
    }
    const pid_t child = fork();
    require(child >= 0);
    if (child == 0) {
        for (size_t k = 0; k < SIZE_COUNT; k++) {
            require(qy_refcount(blocks[k]) == 2);
            require(qy_release(blocks[k]) == 0);
            require(qy_release(blocks[k] + SIZES[k] / 2) == 0);
        }
        require(live_blocks() == 0);
        _exit(0);
    }
    int status = -1;
    require(waitpid(child, &status, 0) == child && status == 0);
    for (size_t k = 0; k < SIZE_COUNT; k++) {
        require(qy_refcount(blocks[k]) == 2);
        require(qy_release_n(blocks[k], 2) == 0);
    }
}
END_TEST

/* ---- too many ---- */

static void *ours_or_registered;

START_TEST(test_two_thousand_million_references_are_enough)
{
    char *block = qyi_malloc(_i == 0 ? 100 : 100000);
    require(qy_retain_n(block, QYI_COUNT_MAX) == 0);
    require(qy_refcount(block) == (uint32_t)QYI_COUNT_MAX + 1);
    require(qy_release_n(block, QYI_COUNT_MAX) == 0);
    require(qy_is_unique(block));
    require(qy_release(block) == 0);
}
END_TEST

static void make_ours_or_registered(int which)
{
    static char registered[100];
    if (which < 2)
        ours_or_registered = qyi_malloc(which == 0 ? 100 : 100000);
    else
        ours_or_registered = qy_slice_foreign(registered, sizeof registered, NULL, NULL).iov_base;
    require(ours_or_registered != NULL);
}

START_TEST(test_one_more_ends_the_process)
{
    make_ours_or_registered(_i);
    require(qy_retain_n(ours_or_registered, QYI_COUNT_MAX) == 0);
    qy_retain(ours_or_registered);
}
END_TEST

START_TEST(test_far_too_many_at_once_end_the_process)
{
    make_ours_or_registered(_i);
    require(qy_retain(ours_or_registered) == 0);
    qy_retain_n(ours_or_registered, UINT32_MAX);
}
END_TEST

START_TEST(test_dropping_more_than_there_are_ends_the_process)
{
    make_ours_or_registered(_i);
    require(qy_retain(ours_or_registered) == 0);
    qy_release_n(ours_or_registered, 3);
}
END_TEST

/* By way of the atomic instructions. */
START_TEST(test_dropping_more_than_there_are_ends_a_process_with_threads)
{
    unit_become_threaded();
    make_ours_or_registered(_i);
    require(qy_retain(ours_or_registered) == 0);
    qy_release_n(ours_or_registered, 3);
}
END_TEST

START_TEST(test_dropping_two_of_a_block_never_shared_ends_the_process)
{
    qy_release_n(qyi_malloc(100), 2);
}
END_TEST

/* ---- no memory for the counts ---- */

START_TEST(test_without_memory_for_counts_retaining_is_refused)
{
    if (UNIT_TSAN)
        return;
    char *block = qyi_malloc(_i == 0 ? 200 : 60000); /* nobody has asked for counts yet */
    const uint64_t entry = unit_entry_of(block);
    no_memory = true;
    ck_assert_int_eq(qy_retain(block + 5), -1);
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_int_eq(qy_retain_n(block, 7), -1);
    ck_assert_int_eq(errno, ENOMEM);
    no_memory = false;
    ck_assert_uint_eq(unit_entry_of(block), entry);
    ck_assert_uint_eq(qy_refcount(block), 1);
    ck_assert_int_eq(qy_retain(block + 5), 0); /* now there is */
    ck_assert_uint_eq(qy_refcount(block), 2);
    ck_assert_int_eq(qy_release_n(block, 2), 0);
    ck_assert_uint_eq(live_blocks(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref");
    TCase *interior = tcase_create("interior");
    tcase_add_checked_fixture(interior, setup, NULL);
    tcase_add_test(interior, test_every_byte_of_a_block_leads_to_it);
    tcase_add_test(interior, test_neighbours_have_counts_of_their_own);
    tcase_add_test(interior, test_aligned_blocks_begin_where_their_user_says);
    tcase_add_test(interior, test_every_granule_of_a_very_large_block_leads_to_it);
    suite_add_tcase(suite, interior);
    TCase *refused = tcase_create("refused");
    tcase_add_test(refused, test_memory_of_others_is_refused);
    tcase_add_test(refused, test_freed_large_blocks_are_refused);
    tcase_add_test(refused, test_what_lies_behind_a_large_block_is_refused);
    tcase_add_test(refused, test_the_rest_of_a_slab_is_refused);
    suite_add_tcase(suite, refused);
    TCase *counting = tcase_create("counting");
    tcase_add_checked_fixture(counting, setup, NULL);
    tcase_add_test(counting, test_the_last_release_frees);
    tcase_add_test(counting, test_a_block_that_was_never_retained_can_be_released);
    tcase_add_test(counting, test_nothing_is_nothing);
    tcase_add_test(counting, test_the_next_user_of_a_block_is_its_only_owner);
    tcase_add_test(counting, test_new_slabs_begin_with_sole_owners);
    tcase_add_test(counting, test_retaining_one_block_leaves_its_neighbours_alone);
    suite_add_tcase(suite, counting);
    TCase *plain = tcase_create("plain");
    tcase_add_checked_fixture(plain, setup, NULL);
    tcase_add_test(plain, test_plain_free_drops_one_reference);
    tcase_add_test(plain, test_realloc_of_a_shared_block_copies_and_drops_one_reference);
    tcase_add_test(plain, test_realloc_to_the_same_size_copies_a_shared_block_too);
    tcase_add_test(plain, test_realloc_to_nothing_drops_one_reference);
    tcase_add_test(plain, test_realloc_that_fails_keeps_the_reference);
    tcase_add_test(plain, test_a_large_block_that_moves_can_be_shared_again);
    suite_add_tcase(suite, plain);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, test_other_threads_can_hold_and_drop_references);
    tcase_add_test(threads, test_a_reference_outlives_the_thread_that_allocated);
    tcase_add_test(threads, test_no_block_is_shared_before_its_slab_is_counted_everywhere);
    tcase_add_test(threads, test_a_child_finishes_what_a_fork_has_interrupted);
    tcase_add_test(threads, test_a_child_has_references_of_its_own);
    tcase_add_loop_test(threads, test_blocks_of_a_heap_that_fork_has_broken_are_released_from_any_granule, 0, 2);
    suite_add_tcase(suite, threads);
    TCase *many = tcase_create("many");
    tcase_add_loop_test(many, test_two_thousand_million_references_are_enough, 0, 2);
    tcase_add_loop_test_raise_signal(many, test_one_more_ends_the_process, SIGABRT, 0, 3);
    tcase_add_loop_test_raise_signal(many, test_far_too_many_at_once_end_the_process, SIGABRT, 0, 3);
    tcase_add_loop_test_raise_signal(many, test_dropping_more_than_there_are_ends_the_process, SIGABRT, 0, 3);
    tcase_add_loop_test_raise_signal(many, test_dropping_more_than_there_are_ends_a_process_with_threads, SIGABRT, 0,
                                     3);
    tcase_add_test_raise_signal(many, test_dropping_two_of_a_block_never_shared_ends_the_process, SIGABRT);
    suite_add_tcase(suite, many);
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, setup, NULL);
    tcase_add_loop_test(memory, test_without_memory_for_counts_retaining_is_refused, 0, 2);
    suite_add_tcase(suite, memory);
    return unit_run(suite);
}

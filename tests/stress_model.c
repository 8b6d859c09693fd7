/*
 * A shadow model under random operations from several threads.
 *
 * Every live block has a record of our own (in mapped memory, not from malloc): address, size, alignment, pattern. At every
 * free and resize the pattern is verified; at every allocation the new block is entered into one ordered tree of all live
 * blocks, which refuses overlaps. Threads pass blocks to each other through a board of atomic slots, so a good part is
 * freed by a thread that did not allocate it; threads end and new ones take over their blocks.
 *
 * STRESS_SEED, STRESS_OPS (per thread and generation), STRESS_THREADS change the run; a failure prints the seed. One seed gives
 * each thread the same operations; how threads interleave remains the scheduler's.
 */
#include "blackbox.h"
#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { SLOTS = 1500, BOARD = 2048, GENERATIONS = 3, MOST_THREADS = 64, SPARSE_ABOVE = 16384 };

struct record {
    char *block;
    size_t size;      /* what was asked for, or the usable size once that was taken into use */
    size_t asked;     /* what was asked for; 0 when sized free must not be used */
    size_t alignment; /* what was asked for */
    uint64_t seed;
    uint64_t priority; /* the tree is a treap */
    struct record *left, *right;
};

static uint64_t base_seed;
static size_t operations;

/* ---- all live blocks by address ---- */

static pthread_mutex_t tree_lock = PTHREAD_MUTEX_INITIALIZER;
static struct record *tree;

/* Splits by address: *low gets everything below key. */
static void split(struct record *node, const char *key, struct record **low, struct record **high)
{
    if (node == NULL) {
        *low = *high = NULL;
    } else if (node->block < key) {
        split(node->right, key, &node->right, high);
        *low = node;
    } else {
        split(node->left, key, low, &node->left);
        *high = node;
    }
}

static struct record *merge(struct record *low, struct record *high)
{
    if (low == NULL || high == NULL)
        return low != NULL ? low : high;
    if (low->priority > high->priority) {
        low->right = merge(low->right, high);
        return low;
    }
    high->left = merge(low, high->left);
    return high;
}

static size_t extent(const struct record *record)
{
    return record->size > 0 ? record->size : 1; /* an empty block still has an address of its own */
}

static void tree_insert(struct record *record)
{
    struct record *low, *high;
    pthread_mutex_lock(&tree_lock);
    split(tree, record->block, &low, &high);
    for (struct record *before = low; before != NULL; before = before->right)
        if (before->right == NULL)
            CHECK(before->block + extent(before) <= record->block, "seed %ju: %p of %zu bytes overlaps %p of %zu",
                  (uintmax_t)base_seed, (void *)before->block, before->size, (void *)record->block, record->size);
    for (struct record *after = high; after != NULL; after = after->left)
        if (after->left == NULL)
            CHECK(record->block + extent(record) <= after->block, "seed %ju: %p of %zu bytes overlaps %p of %zu",
                  (uintmax_t)base_seed, (void *)record->block, record->size, (void *)after->block, after->size);
    record->left = record->right = NULL;
    tree = merge(merge(low, record), high);
    pthread_mutex_unlock(&tree_lock);
}

static void tree_remove(struct record *record)
{
    struct record *low, *middle, *high;
    pthread_mutex_lock(&tree_lock);
    split(tree, record->block, &low, &middle);
    split(middle, record->block + 1, &middle, &high);
    CHECK(middle == record, "seed %ju: the model lost %p", (uintmax_t)base_seed, (void *)record->block);
    tree = merge(low, high);
    pthread_mutex_unlock(&tree_lock);
}

/* ---- patterns: whole in small blocks; first and last page and a word per page in large ones ---- */

static void fill(struct record *record)
{
    if (record->size <= SPARSE_ABOVE) {
        bb_fill(record->block, record->size, record->seed);
        return;
    }
    for (size_t at = 0; at + 8 <= record->size; at += 4096)
        memcpy(record->block + at, &record->seed, 8);
    bb_fill(record->block + record->size - 2000, 2000, record->seed);
}

static void verify(const struct record *record, size_t size, const char *when)
{
    bool good = true;
    if (record->size <= SPARSE_ABOVE) {
        good = bb_holds(record->block, size, record->seed);
    } else {
        size_t end = size < record->size - 2000 ? size : record->size - 2000;
        for (size_t at = 0; at + 8 <= end && good; at += 4096)
            good = memcmp(record->block + at, &record->seed, 8) == 0;
        if (size == record->size)
            good = good && bb_holds(record->block + size - 2000, 2000, record->seed);
    }
    CHECK(good, "seed %ju: %p of %zu bytes changed (%s)", (uintmax_t)base_seed, (void *)record->block, record->size,
          when);
}

/* ---- operations ---- */

typedef void free_sized_function(void *, size_t);
static free_sized_function *free_sized_pointer;

static size_t random_size(uint64_t *state)
{
    uint64_t dice = bb_random(state) % 1000;
    size_t limit = dice < 500 ? 128 : dice < 800 ? 2048 : dice < 950 ? 32768 : dice < 995 ? 400000 : 4000000;
    return bb_random(state) % limit + (dice % 50 != 0);
}

static void allocate(struct record *record, uint64_t *state)
{
    size_t size = random_size(state), alignment = size >= 16 ? 16 : 1;
    size_t chosen = (size_t)8 << (bb_random(state) % (bb_random(state) % 16 == 0 ? 14 : 8));
    uint64_t kind = bb_random(state) % 16;
    void *block = NULL;
    record->asked = kind < 11 ? size : 0;
    if (kind < 8) {
        block = malloc(size);
    } else if (kind < 10) {
        block = calloc(1, size);
        CHECK(block != NULL, "seed %ju: calloc(%zu)", (uintmax_t)base_seed, size);
        size_t seen = size <= SPARSE_ABOVE ? size : 4096;
        CHECK(bb_is_zero(block, seen) && bb_is_zero((char *)block + size - seen, seen),
              "seed %ju: calloc(%zu) gave dirt at %p", (uintmax_t)base_seed, size, block);
    } else if (kind == 10) {
        block = realloc(NULL, size);
    } else if (kind == 11) {
        CHECK(posix_memalign(&block, alignment = chosen, size) == 0);
    } else if (kind == 12) {
        block = aligned_alloc(alignment = chosen, size);
    } else if (kind == 13) {
        block = memalign(alignment = chosen, size);
    } else if (kind == 14) {
        block = reallocarray(NULL, 1, size);
    } else {
        block = valloc(size);
        alignment = 4096;
    }
    CHECK(block != NULL, "seed %ju: %zu bytes", (uintmax_t)base_seed, size);
    CHECK(bb_aligned(block, alignment), "seed %ju: %p of %zu bytes, alignment %zu", (uintmax_t)base_seed, block, size,
          alignment);
    record->block = block;
    record->size = size;
    record->alignment = alignment;
    record->seed = bb_random(state);
    if (bb_random(state) % 8 == 0) {
        record->size = malloc_usable_size(block);
        CHECK(record->size >= size);
    }
    tree_insert(record);
    fill(record);
}

static void release(struct record *record, uint64_t *state)
{
    verify(record, record->size, "before free");
    tree_remove(record);
    uint64_t kind = bb_random(state) % 8;
    errno = EDOM;
    if (kind == 0 && record->asked != 0 && free_sized_pointer != NULL)
        free_sized_pointer(record->block, record->asked);
    else if (kind == 1)
        CHECK(realloc(record->block, bb_hide_size(0)) == NULL);
    else
        free(record->block);
    CHECK(errno == EDOM, "seed %ju: errno became %d", (uintmax_t)base_seed, errno);
    record->block = NULL;
}

static void resize(struct record *record, uint64_t *state)
{
    size_t size = random_size(state);
    if (size == 0)
        return;
    if (bb_random(state) % 2 == 0) /* small steps, too */
        size = record->size + size % 100 + 1;
    verify(record, record->size, "before realloc");
    tree_remove(record);
    char *block = realloc(record->block, size);
    CHECK(block != NULL, "seed %ju: realloc to %zu", (uintmax_t)base_seed, size);
    record->block = block;
    verify(record, record->size < size ? record->size : size, "after realloc");
    record->size = record->asked = size;
    record->alignment = 16;
    tree_insert(record);
    fill(record);
}

/* ---- threads ---- */

static _Atomic(struct record *) board[BOARD];
static struct record *slots[MOST_THREADS][SLOTS];

static void *work(void *argument)
{
    size_t self = (size_t)argument % MOST_THREADS;
    uint64_t state = base_seed + 1000003 * (uint64_t)(size_t)argument;
    struct record **mine = slots[self];
    for (size_t step = 0; step < operations; step++) {
        struct record **slot = &mine[bb_random(&state) % SLOTS];
        uint64_t dice = bb_random(&state) % 16;
        if ((*slot)->block == NULL)
            allocate(*slot, &state);
        else if (dice < 7)
            release(*slot, &state);
        else if (dice < 10)
            resize(*slot, &state);
        else
            *slot = atomic_exchange_explicit(&board[bb_random(&state) % BOARD], *slot, memory_order_acq_rel);
        if (bb_random(&state) % 50000 == 0)
            malloc_trim(0);
    }
    return NULL;
}

int main(void)
{
    size_t thread_count = bb_setting("STRESS_THREADS", 4);
    CHECK(thread_count >= 1 && thread_count <= MOST_THREADS);
    base_seed = bb_setting("STRESS_SEED", 271828);
    operations = bb_setting("STRESS_OPS", 60000);
    free_sized_pointer = (free_sized_function *)dlsym(RTLD_DEFAULT, "free_sized");

    size_t count = BOARD + thread_count * SLOTS;
    struct record *records =
        mmap(NULL, count * sizeof(*records), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(records != MAP_FAILED);
    uint64_t state = base_seed;
    for (size_t i = 0; i < count; i++) {
        records[i].priority = bb_random(&state);
        if (i < BOARD)
            board[i] = &records[i];
        else
            slots[(i - BOARD) / SLOTS][(i - BOARD) % SLOTS] = &records[i];
    }
    for (size_t generation = 0; generation < GENERATIONS; generation++) {
        pthread_t threads[MOST_THREADS];
        for (size_t i = 0; i < thread_count; i++)
            threads[i] = bb_start(work, (void *)(generation * MOST_THREADS + i));
        for (size_t i = 0; i < thread_count; i++)
            bb_join(threads[i]);
    }
    for (size_t i = 0; i < count; i++)
        if (records[i].block != NULL)
            release(&records[i], &state);
    CHECK(tree == NULL);
    return 0;
}

/*
 * unit.h: what the unit tests share: the main function, an assertion for loops, random numbers, and a walk over all
 * slabs that checks them.
 *
 * Check forks for every test, so each test starts the allocator from scratch; libcheck itself uses libc's malloc.
 */
#ifndef QUARRY_TESTS_UNIT_H
#define QUARRY_TESTS_UNIT_H

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "heaps.h"
#include "large.h"
#include "magazine.h"
#include "pooled.h"
#include "region.h"
#include "remote.h"
#include "slab.h"
#include "thread.h"

/* Sanitizers and valgrind bring a malloc, memory and a schedule of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool UNIT_SANITIZED __attribute__((unused)) = true;
#else
static const bool UNIT_SANITIZED __attribute__((unused)) = false;
#endif
#if defined(__SANITIZE_THREAD__)
static const bool UNIT_TSAN __attribute__((unused)) = true;
#else
static const bool UNIT_TSAN __attribute__((unused)) = false;
#endif

/* As ck_assert, for loops and threads: ck_assert reports every assertion that holds, too. */
#define require(x) ((x) ? (void)0 : ck_abort_msg("not true: %s", #x))

static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SplitMix64: the same numbers in every run, so that a failure can be repeated. */
static inline uint64_t unit_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* One of 0 .. limit - 1. */
static inline size_t unit_below(uint64_t *state, size_t limit)
{
    return (size_t)(unit_random(state) % limit);
}

/* Run a function in a thread of its own, to its end. */
static inline void unit_in_thread(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    require(pthread_create(&thread, NULL, function, argument) == 0);
    require(pthread_join(thread, NULL) == 0);
}

static inline void *unit_idle(void *unused)
{
    return unused;
}

/* From here on the process has had threads: counts are atomic, and forks are noticed. */
static inline void unit_become_threaded(void)
{
    unit_in_thread(unit_idle, NULL);
}

/* valgrind needs memory of its own for every byte that is accessible, and lets the process have what is left. */
static inline bool unit_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* How often to repeat what is random: less under tools that are slow. */
static inline unsigned unit_rounds(unsigned rounds)
{
    return UNIT_SANITIZED || unit_under_valgrind() ? rounds / 5 + 1 : rounds;
}

static inline uint64_t unit_entry_of(const void *p)
{
    return qyi_entry(qyi_region_offset(p) >> QYI_GRANULE_SHIFT);
}

static inline struct qyi_slab *unit_slab_of(const void *p)
{
    return qyi_slab_at(qyi_run_first((uint32_t)(qyi_region_offset(p) >> QYI_GRANULE_SHIFT)));
}

static inline struct qyi_heap *unit_heap_of(const void *p)
{
    return qyi_heap_by_id(qyi_entry_owner(unit_entry_of(p)));
}

/* The thread's magazines, made now if need be. */
static inline struct qyi_magazines *unit_attach(void)
{
    require(qyi_start());
    if (!qyi_thread_is_attached())
        require(qyi_thread_attach(false) != NULL);
    return qyi_my_magazines();
}

/* A block of a class by way of a magazine, and back, without the looks at the clock that malloc and free take. */
static inline void *unit_take(struct qyi_magazines *mine, unsigned class)
{
    bool slow;
    void *block = qyi_magazines_take(mine, class, &slow);
    require(block != NULL);
    return block;
}

static inline void unit_give(struct qyi_magazines *mine, unsigned class, void *block)
{
    (void)qyi_magazines_give(mine, class, block);
}

/* Free a block as a thread that it does not belong to; mine is NULL for a thread without magazines. */
static inline void unit_free_remote(struct qyi_magazines *mine, void *block)
{
    if (mine != NULL)
        (void)qyi_remote_free(mine, block, unit_entry_of(block));
    else
        qyi_remote_free_now(block, unit_entry_of(block));
}

static inline enum qyi_posted unit_post(struct qyi_slab *slab, unsigned word, uint64_t bits)
{
    uint64_t twice;
    return qyi_slab_post(qyi_slab_granule(slab), slab->class, word, bits, &twice);
}

static inline bool unit_put(struct qyi_slab *slab, uint32_t first, uint32_t count)
{
    uint32_t twice;
    return qyi_slab_put(slab, first, count, &twice);
}

static inline size_t unit_used_bytes(void)
{
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    return totals.used;
}

/* A run of a pool's or an arena's, or an idle granule of an arena's. Returns its granules. */
static inline size_t unit_check_pooled(uint32_t granule, uint64_t entry)
{
    const struct qyi_pooled *run = qyi_granule_record(granule);
    require((run->pool != NULL) != (run->arena != NULL));
    if ((entry & QYI_ENTRY_COUNTED) == 0) {
        require(run->arena != NULL && run->granules == 0 && run->made == 0);
        return 1;
    }
    const uint64_t *bits = qyi_granule_bitmaps(granule);
    size_t made = 0;
    for (size_t word = 0; word < QYI_BITMAP_BYTES / sizeof *bits; word++)
        made += qyi_popcount(bits[word]);
    require(run->made >= 1 && run->made <= run->count && run->made == made);
    return run->granules;
}

/* Walk all runs; no thread may be inside the allocator. Returns how many slabs there are. */
static inline size_t unit_check_runs(void)
{
    qyi_region_validate();
    size_t slabs = 0;
    size_t used = 0;
    const uint32_t end = atomic_load(&qyi_region.end);
    for (uint32_t granule = qyi_region.first; granule < end;) {
        const uint64_t entry = qyi_entry(granule);
        if (entry == 0) {
            granule++;
            continue;
        }
        size_t granules;
        if ((entry & QYI_ENTRY_LARGE) != 0) {
            const struct qyi_large *large = qyi_granule_record(granule);
            granules = large->granules;
        } else if ((entry & QYI_ENTRY_POOLED) != 0) {
            granules = unit_check_pooled(granule, entry);
        } else {
            struct qyi_slab *slab = qyi_slab_at(granule);
            require(qyi_entry_class(entry) < QYI_CLASS_COUNT);
            require(slab->class == qyi_entry_class(entry));
            const struct qyi_class *class = &qyi_classes[slab->class];
            require(qyi_entry_owner(entry) >= 1 && qyi_entry_owner(entry) <= qyi_heap_count());
            require(slab->free_count <= slab->carved && slab->carved <= class->block_count);
            require(slab->listed == (qyi_slab_available(slab) != 0));
            qyi_slab_validate(slab);
            granules = class->granule_count;
            slabs++;
        }
        require(granules > 0);
        for (size_t i = 0; i < granules; i++) {
            const uint64_t offset = qyi_min(i, QYI_ENTRY_OFFSET_MAX);
            require(qyi_entry(granule + i) == (entry | offset << QYI_ENTRY_OFFSET_SHIFT));
        }
        used += granules << QYI_GRANULE_SHIFT;
        granule += (uint32_t)granules;
    }
    require(used == unit_used_bytes());
    return slabs;
}

#endif

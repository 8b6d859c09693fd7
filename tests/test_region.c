/*
 * test_region.c: runs of granules: where they are placed, what is known of their contents, growing in place, and
 * giving memory back, against a shadow model.
 */
#include "unit.h"

#include "os.h"
#include "region.h"
#include "span.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t TEST_ENTRY = (uint64_t)7 << QYI_ENTRY_OWNER_SHIFT | (uint64_t)3 << QYI_ENTRY_CLASS_SHIFT;

static void setup(void)
{
    qyi_sizeclass_init();
    ck_assert(qyi_region_init());
}

static struct qyi_region_totals totals_now(void)
{
    struct qyi_region_totals totals;
    qyi_region_totals(&totals);
    return totals;
}

static uint32_t take(size_t granules, size_t align, bool *zeroed)
{
    bool unused;
    const uint32_t first = qyi_run_take(granules, align, TEST_ENTRY, zeroed != NULL ? zeroed : &unused);
    require(first != 0);
    return first;
}

static uint64_t *word_of(uint32_t granule, size_t word)
{
    return (uint64_t *)qyi_granule_address(granule) + word;
}

enum { WORDS_PER_GRANULE = QYI_GRANULE_BYTES / sizeof(uint64_t) };

/* A few words of every granule, in three different pages. */
static const size_t PLACES[] = {0, 1, WORDS_PER_GRANULE / 2, WORDS_PER_GRANULE - 1};
enum { PLACE_COUNT = sizeof PLACES / sizeof PLACES[0] };

static void write_granules(uint32_t first, size_t granules, uint64_t seed)
{
    for (size_t i = 0; i < granules; i++) {
        for (size_t j = 0; j < PLACE_COUNT; j++)
            *word_of(first + (uint32_t)i, PLACES[j]) = seed + i * PLACE_COUNT + j;
    }
}

static bool granules_hold(uint32_t first, size_t granules, uint64_t seed)
{
    for (size_t i = 0; i < granules; i++) {
        for (size_t j = 0; j < PLACE_COUNT; j++) {
            if (*word_of(first + (uint32_t)i, PLACES[j]) != seed + i * PLACE_COUNT + j)
                return false;
        }
    }
    return true;
}

static bool granules_are_zero(uint32_t first, size_t granules)
{
    for (size_t i = 0; i < granules; i++) {
        for (size_t j = 0; j < PLACE_COUNT; j++) {
            if (*word_of(first + (uint32_t)i, PLACES[j]) != 0)
                return false;
        }
    }
    return true;
}

static uint32_t frame_of(uint32_t granule)
{
    return granule / QYI_FRAME_GRANULES;
}

static size_t resident_bytes(uint32_t first, size_t granules)
{
    return qyi_os_resident(qyi_granule_address(first), granules << QYI_GRANULE_SHIFT);
}

/* ---- addresses and entries ---- */

START_TEST(test_nothing_is_in_the_region_before_the_start)
{
    int local = 0;
    ck_assert(!qyi_region_has(qyi_region_offset(NULL)));
    ck_assert(!qyi_region_has(qyi_region_offset(&local)));
    ck_assert(!qyi_region_has(qyi_region_offset((void *)UINTPTR_MAX)));
}
END_TEST

START_TEST(test_foreign_pointers_are_not_in_the_region)
{
    int local = 0;
    const char *base = (const char *)qyi_region.base;
    ck_assert(!qyi_region_has(qyi_region_offset(NULL)));
    ck_assert(!qyi_region_has(qyi_region_offset(&local)));
    ck_assert(!qyi_region_has(qyi_region_offset(base - 1)));
    ck_assert(!qyi_region_has(qyi_region_offset(base + qyi_region.bytes)));
    ck_assert(qyi_region_has(qyi_region_offset(base)));
    ck_assert(qyi_region_has(qyi_region_offset(base + qyi_region.bytes - 1)));
}
END_TEST

START_TEST(test_the_entry_of_every_address_can_be_read)
{
    const uint32_t end = atomic_load(&qyi_region.end);
    const size_t granules = qyi_region.bytes >> QYI_GRANULE_SHIFT;
    for (size_t granule = 0; granule < granules; granule += qyi_max(1, granules / 1000))
        require(qyi_entry(granule) == 0);
    require(qyi_entry(granules - 1) == 0);
    require(qyi_entry(end) == 0);
}
END_TEST

/* What somebody else has given back meanwhile, and others may have. */
START_TEST(test_a_large_run_is_given_back_once_and_as_a_whole)
{
    bool zeroed;
    const uint32_t first = qyi_run_take(8, 1, QYI_ENTRY_LARGE, &zeroed);
    require(first != 0);
    require(!qyi_run_give_large(first + 4, 4)); /* the tail of a block that has grown */
    require(qyi_entry(first + 4) != 0);
    require(qyi_run_give_large(first, 8));
    require(qyi_entry(first) == 0);
    require(!qyi_run_give_large(first, 8));
}
END_TEST

START_TEST(test_the_range_is_aligned_to_frames)
{
    ck_assert_uint_eq(qyi_region.base % QYI_FRAME_BYTES, 0);
    ck_assert_uint_eq(qyi_region.first % QYI_FRAME_GRANULES, 0);
    ck_assert_uint_gt(qyi_region.first, 0);
}
END_TEST

START_TEST(test_take_writes_entries_with_offsets_and_give_clears_them)
{
    const uint32_t first = take(100, 1, NULL);
    for (uint32_t i = 0; i < 100; i++) {
        require(qyi_entry_owner(qyi_entry(first + i)) == 7);
        require(qyi_entry_class(qyi_entry(first + i)) == 3);
        require(qyi_entry_offset(qyi_entry(first + i)) == i);
        require(qyi_run_first(first + i) == first);
    }
    require(qyi_entry(first + 100) == 0);
    qyi_run_give(first + 60, 40); /* a tail */
    for (uint32_t i = 0; i < 60; i++)
        require(qyi_run_first(first + i) == first);
    for (uint32_t i = 60; i < 100; i++)
        require(qyi_entry(first + i) == 0);
    qyi_run_give(first, 60);
    for (uint32_t i = 0; i < 100; i++)
        require(qyi_entry(first + i) == 0);
}
END_TEST

START_TEST(test_set_entries_changes_a_whole_run)
{
    const uint32_t before = take(1, 1, NULL);
    const uint32_t first = take(5, 1, NULL);
    const uint32_t after = take(1, 1, NULL);
    qyi_run_set_entries(first, 5, (uint64_t)9 << QYI_ENTRY_OWNER_SHIFT);
    for (uint32_t i = 0; i < 5; i++) {
        require(qyi_entry_owner(qyi_entry(first + i)) == 9);
        require(qyi_run_first(first + i) == first);
    }
    ck_assert_uint_eq(qyi_entry(before), TEST_ENTRY);
    ck_assert_uint_eq(qyi_entry(after), TEST_ENTRY);
}
END_TEST

/* The offset in an entry has 16 bits: from granules beyond, the start is found by hopping. */
START_TEST(test_the_start_of_a_very_long_run_is_found_from_its_end)
{
    const size_t granules = (unit_under_valgrind() ? 1 : 3) * (size_t)QYI_ENTRY_OFFSET_MAX + 5;
    bool zeroed;
    const uint32_t first = qyi_run_take(granules, 1, TEST_ENTRY, &zeroed);
    if (first == 0) { /* a limit of the machine; the region still has to be in order */
        qyi_region_validate();
        return;
    }
    ck_assert_uint_eq(qyi_run_first(first), first);
    ck_assert_uint_eq(qyi_run_first(first + QYI_ENTRY_OFFSET_MAX), first);
    ck_assert_uint_eq(qyi_run_first(first + QYI_ENTRY_OFFSET_MAX + 1), first);
    ck_assert_uint_eq(qyi_run_first(first + (uint32_t)granules - 1), first);
    qyi_run_give(first, granules);
    ck_assert_uint_eq(qyi_entry(first + granules - 1), 0);
    ck_assert_uint_eq(totals_now().used, 0);
    qyi_region_validate();
}
END_TEST

START_TEST(test_runs_that_cannot_be_are_refused)
{
    static const size_t TOO_MUCH[] = {SIZE_MAX, SIZE_MAX >> 1, SIZE_MAX >> QYI_GRANULE_SHIFT, (size_t)1 << 40, 0};
    bool zeroed;
    for (size_t i = 0; TOO_MUCH[i] != 0; i++)
        ck_assert_uint_eq(qyi_run_take(TOO_MUCH[i], 1, TEST_ENTRY, &zeroed), 0);
    ck_assert_uint_eq(qyi_run_take(qyi_region.bytes >> QYI_GRANULE_SHIFT, 1, TEST_ENTRY, &zeroed), 0);
    for (size_t align = (size_t)1 << 47; align >= qyi_region.bytes >> QYI_GRANULE_SHIFT; align /= 2)
        ck_assert_uint_eq(qyi_run_take(1, align, TEST_ENTRY, &zeroed), 0);
    const uint32_t first = take(3, 1, NULL);
    static const size_t MORE[] = {(size_t)1 << 47, (size_t)1 << 40, (size_t)1 << 31, (size_t)1 << 32, 0};
    for (size_t i = 0; MORE[i] != 0; i++)
        ck_assert(!qyi_run_extend(first, 3, MORE[i], &zeroed));
    qyi_region_validate();
    ck_assert_uint_eq(totals_now().used, 3 * QYI_GRANULE_BYTES);
}
END_TEST

/* ---- placement ---- */

/* Fill whole frames with runs of one granule; out[i] is granule i of the i / 32nd of them. */
static void fill_frames(uint32_t *out, size_t frames)
{
    for (size_t i = 0; i < frames * QYI_FRAME_GRANULES; i++)
        out[i] = take(1, 1, NULL);
    for (size_t frame = 0; frame < frames; frame++) {
        for (size_t i = 0; i < QYI_FRAME_GRANULES; i++)
            require(frame_of(out[frame * QYI_FRAME_GRANULES + i]) == frame_of(out[frame * QYI_FRAME_GRANULES]));
    }
}

START_TEST(test_placement_prefers_the_fullest_frame)
{
    uint32_t granules[3 * QYI_FRAME_GRANULES];
    fill_frames(granules, 3);
    for (size_t i = 0; i < 10; i++)
        qyi_run_give(granules[i], 1);
    for (size_t i = 0; i < 2; i++)
        qyi_run_give(granules[QYI_FRAME_GRANULES + i], 1);
    for (size_t i = 0; i < 20; i++)
        qyi_run_give(granules[2 * QYI_FRAME_GRANULES + i], 1);
    ck_assert_uint_eq(frame_of(take(5, 1, NULL)), frame_of(granules[0])); /* the fullest that has room for 5 */
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_eq(frame_of(take(1, 1, NULL)), frame_of(granules[QYI_FRAME_GRANULES]));
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(frame_of(take(1, 1, NULL)), frame_of(granules[0]));
    for (size_t i = 0; i < 20; i++)
        ck_assert_uint_eq(frame_of(take(1, 1, NULL)), frame_of(granules[2 * QYI_FRAME_GRANULES]));
    qyi_region_validate();
}
END_TEST

START_TEST(test_a_partly_used_frame_comes_before_a_free_one)
{
    const uint32_t keeps = take(1, 1, NULL);
    const uint32_t whole = take(QYI_FRAME_GRANULES, 1, NULL);
    ck_assert_uint_ne(frame_of(keeps), frame_of(whole));
    qyi_run_give(whole, QYI_FRAME_GRANULES);
    for (unsigned i = 1; i < QYI_FRAME_GRANULES; i++)
        ck_assert_uint_eq(frame_of(take(1, 1, NULL)), frame_of(keeps));
    ck_assert_uint_ne(frame_of(take(1, 1, NULL)), frame_of(keeps));
}
END_TEST

START_TEST(test_memory_that_was_used_comes_before_memory_that_was_not)
{
    const uint32_t first = take(1, 1, NULL);
    const uint32_t second = take(1, 1, NULL);
    const uint32_t third = take(1, 1, NULL);
    qyi_run_give(second, 1);
    ck_assert_uint_eq(take(1, 1, NULL), second);
    qyi_run_give(third, 1);
    ck_assert_uint_eq(take(1, 1, NULL), third);
    qyi_run_give(first, 1);
    ck_assert_uint_eq(take(1, 1, NULL), first);
}
END_TEST

START_TEST(test_short_runs_lie_within_a_frame_and_long_ones_start_one)
{
    uint64_t seed = 1;
    for (unsigned i = 0; i < unit_rounds(500); i++) {
        const size_t granules = 1 + unit_below(&seed, 3 * QYI_FRAME_GRANULES);
        const uint32_t first = take(granules, 1, NULL);
        if (granules <= QYI_FRAME_GRANULES)
            require(frame_of(first) == frame_of(first + (uint32_t)granules - 1));
        if (granules >= QYI_FRAME_GRANULES)
            require(first % QYI_FRAME_GRANULES == 0);
    }
}
END_TEST

START_TEST(test_alignment_holds_in_addresses_up_to_large_ones)
{
    static const size_t SIZES[] = {1, 3, 31, 32, 33, 64, 100};
    const size_t most = unit_under_valgrind() ? 128 : 4096; /* 256 MiB */
    for (size_t align = 1; align <= most; align *= 2) {
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
            const uint32_t first = take(SIZES[i], align, NULL);
            ck_assert_uint_eq((uintptr_t)qyi_granule_address(first) % (align << QYI_GRANULE_SHIFT), 0);
            qyi_region_validate();
        }
    }
}
END_TEST

START_TEST(test_room_between_runs_is_found_again)
{
    uint32_t runs[12];
    for (size_t i = 0; i < 12; i++)
        runs[i] = take(40, 1, NULL);
    const uint32_t end = atomic_load(&qyi_region.end);
    for (size_t i = 1; i < 11; i += 2)
        qyi_run_give(runs[i], 40);
    for (size_t i = 1; i < 11; i += 2)
        require(take(40, 1, NULL) < end);
    ck_assert_uint_eq(atomic_load(&qyi_region.end), end);
}
END_TEST

/* ---- extending ---- */

START_TEST(test_extend_takes_the_granules_that_follow)
{
    const uint32_t first = take(4, 1, NULL);
    write_granules(first, 4, 1000);
    bool zeroed = false;
    ck_assert(qyi_run_extend(first, 4, 3, &zeroed));
    ck_assert(zeroed);
    ck_assert(granules_are_zero(first + 4, 3));
    ck_assert(granules_hold(first, 4, 1000));
    for (uint32_t i = 0; i < 7; i++)
        require(qyi_run_first(first + i) == first);
    ck_assert_uint_eq(totals_now().used, 7 * QYI_GRANULE_BYTES);
    ck_assert_uint_eq(take(1, 1, NULL), first + 7);
    qyi_region_validate();
}
END_TEST

START_TEST(test_extend_refuses_granules_in_use)
{
    const uint32_t first = take(4, 1, NULL);
    const uint32_t wall = take(1, 1, NULL);
    bool zeroed;
    ck_assert_uint_eq(wall, first + 4);
    ck_assert(!qyi_run_extend(first, 4, 1, &zeroed));
    qyi_run_give(wall, 1);
    const uint32_t far = take(QYI_FRAME_GRANULES, 1, NULL); /* the next frame */
    ck_assert_uint_eq(far, first + QYI_FRAME_GRANULES);
    ck_assert(!qyi_run_extend(first, 4, QYI_FRAME_GRANULES, &zeroed));
    ck_assert_uint_eq(qyi_entry_owner(qyi_entry(far)), 7);
    ck_assert(qyi_run_extend(first, 4, QYI_FRAME_GRANULES - 4, &zeroed));
    ck_assert(!qyi_run_extend(first, QYI_FRAME_GRANULES, 1, &zeroed));
    qyi_region_validate();
}
END_TEST

START_TEST(test_extend_knows_that_the_new_part_was_used)
{
    const uint32_t first = take(4, 1, NULL);
    const uint32_t next = take(2, 1, NULL);
    write_granules(next, 2, 5);
    qyi_run_give(next, 2);
    bool zeroed = true;
    ck_assert(qyi_run_extend(first, 4, 6, &zeroed));
    ck_assert(!zeroed);
}
END_TEST

START_TEST(test_extend_moves_the_frontier)
{
    const uint32_t first = take(QYI_FRAME_GRANULES, 1, NULL);
    size_t granules = QYI_FRAME_GRANULES;
    const uint32_t end = atomic_load(&qyi_region.end);
    bool zeroed;
    for (unsigned i = 0; i < 20; i++) {
        ck_assert(qyi_run_extend(first, granules, 50, &zeroed));
        ck_assert(zeroed);
        granules += 50;
        write_granules(first, granules, 3);
        qyi_region_validate();
    }
    ck_assert_uint_gt(atomic_load(&qyi_region.end), end);
    ck_assert(granules_hold(first, granules, 3));
    ck_assert_uint_eq(totals_now().used, granules << QYI_GRANULE_SHIFT);
}
END_TEST

/* ---- giving back ---- */

START_TEST(test_purge_gives_memory_back_and_it_reads_as_zero)
{
    enum { GRANULES = 4 * QYI_FRAME_GRANULES + 5 };
    const uint32_t keep = take(3, 1, NULL);
    const uint32_t first = take(GRANULES, 1, NULL);
    write_granules(keep, 3, 1);
    memset(qyi_granule_address(first), 1, (size_t)GRANULES << QYI_GRANULE_SHIFT);
    const size_t resident = resident_bytes(first, GRANULES);
    qyi_run_give(first, GRANULES);
    ck_assert_uint_eq(qyi_region_dirty(), (size_t)GRANULES << QYI_GRANULE_SHIFT);
    ck_assert_uint_ge(qyi_region_purge(qyi_os_now_ms(), 0), (size_t)GRANULES << QYI_GRANULE_SHIFT);
    ck_assert_uint_eq(qyi_region_dirty(), 0);
    if (resident != 0) /* else the system does not say */
        ck_assert_uint_eq(resident_bytes(first, GRANULES), 0);
    qyi_region_validate();
    ck_assert(granules_hold(keep, 3, 1));
    bool zeroed = false;
    const uint32_t again = take(GRANULES, 1, &zeroed);
    ck_assert(zeroed);
    ck_assert(granules_are_zero(again, GRANULES));
    ck_assert_uint_eq(qyi_region_purge(qyi_os_now_ms(), 0), 0);
}
END_TEST

/* What is free beyond a share of what is used does not wait for the purge delay; a little does. */
START_TEST(test_free_memory_is_limited)
{
    const size_t frame = QYI_FRAME_GRANULES;
    const uint32_t used = take(32 * frame, 1, NULL); /* 64 MiB */
    const uint32_t first = take(32 * frame, 1, NULL);
    qyi_run_give(first, 4 * frame);
    qyi_region_limit_dirty(qyi_os_now_ms());
    ck_assert_uint_eq(qyi_region_dirty(), 4 * QYI_FRAME_BYTES);
    qyi_run_give(first + 4 * frame, 28 * frame);
    qyi_region_limit_dirty(qyi_os_now_ms());
    ck_assert_uint_ge(qyi_region_dirty(), 4 * QYI_FRAME_BYTES);
    ck_assert_uint_le(qyi_region_dirty(), 16 * QYI_FRAME_BYTES);
    qyi_run_give(used, 32 * frame);
    qyi_region_limit_dirty(qyi_os_now_ms());
    ck_assert_uint_le(qyi_region_dirty(), 8 * QYI_FRAME_BYTES);
    qyi_region_validate();
}
END_TEST

START_TEST(test_purge_of_parts_of_a_frame_spares_what_is_used)
{
    uint32_t granules[QYI_FRAME_GRANULES];
    fill_frames(granules, 1);
    for (size_t i = 0; i < QYI_FRAME_GRANULES; i++)
        write_granules(granules[i], 1, 100 * i);
    for (size_t i = 0; i < QYI_FRAME_GRANULES; i += 3)
        qyi_run_give(granules[i], 1);
    ck_assert_uint_eq(qyi_region_purge(qyi_os_now_ms(), 0), (QYI_FRAME_GRANULES + 2) / 3 * QYI_GRANULE_BYTES);
    for (size_t i = 0; i < QYI_FRAME_GRANULES; i++) {
        if (i % 3 != 0)
            require(granules_hold(granules[i], 1, 100 * i));
    }
    for (size_t i = 0; i < QYI_FRAME_GRANULES; i += 3) {
        bool zeroed;
        const uint32_t again = take(1, 1, &zeroed);
        require(zeroed);
        require(granules_are_zero(again, 1));
    }
}
END_TEST

START_TEST(test_memory_that_was_not_purged_is_not_called_zero)
{
    bool zeroed = false;
    const uint32_t first = take(2, 1, &zeroed);
    ck_assert(zeroed);
    write_granules(first, 2, 77);
    qyi_run_give(first, 2);
    ck_assert_uint_eq(take(2, 1, &zeroed), first);
    ck_assert(!zeroed);
    qyi_run_give(first, 2);
    ck_assert_uint_eq(take(3, 1, &zeroed), first); /* only partly used before */
    ck_assert(!zeroed);
}
END_TEST

/* The clock of the tests below. Long times, so that a stall of the machine makes no difference: give reads the real
 * clock. */
enum { AGE_MS = 1000000 };

START_TEST(test_young_memory_is_not_purged)
{
    const uint64_t now_ms = qyi_os_now_ms();
    const uint32_t first = take(3, 1, NULL);
    qyi_run_give(first, 3);
    ck_assert_uint_eq(qyi_region_purge(now_ms + 1000, AGE_MS), 0);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS / 4, AGE_MS), 0);
    ck_assert_uint_eq(qyi_region_dirty(), 3 * QYI_GRANULE_BYTES);
}
END_TEST

START_TEST(test_memory_is_purged_at_the_second_visit)
{
    const uint64_t now_ms = qyi_os_now_ms();
    take(1, 1, NULL); /* the frame is not whole */
    const uint32_t first = take(3, 1, NULL);
    qyi_run_give(first, 3);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 6 / 10, AGE_MS), 0); /* seen, and marked */
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 8 / 10, AGE_MS), 0); /* too soon for another visit */
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 12 / 10, AGE_MS), 3 * QYI_GRANULE_BYTES);
    ck_assert_uint_eq(qyi_region_dirty(), 0);
    qyi_region_validate();
}
END_TEST

START_TEST(test_whole_frames_age_too)
{
    const uint64_t now_ms = qyi_os_now_ms();
    const uint32_t first = take(3 * QYI_FRAME_GRANULES, 1, NULL);
    memset(qyi_granule_address(first), 1, 3 * QYI_FRAME_BYTES);
    qyi_run_give(first, 3 * QYI_FRAME_GRANULES);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 6 / 10, AGE_MS), 0);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 12 / 10, AGE_MS), 3 * QYI_FRAME_BYTES);
    bool zeroed;
    ck_assert(granules_are_zero(take(3 * QYI_FRAME_GRANULES, 1, &zeroed), 3 * QYI_FRAME_GRANULES));
    ck_assert(zeroed);
}
END_TEST

START_TEST(test_memory_used_between_visits_starts_to_age_again)
{
    const uint64_t now_ms = qyi_os_now_ms();
    const uint32_t wall = take(1, 1, NULL); /* the frame is not whole */
    const uint32_t first = take(2, 1, NULL);
    qyi_run_give(first, 2);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 6 / 10, AGE_MS), 0);
    const uint32_t again = take(1, 1, NULL);
    ck_assert_uint_eq(again, first);
    qyi_run_give(again, 1);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 12 / 10, AGE_MS), QYI_GRANULE_BYTES); /* the other one */
    ck_assert_uint_eq(qyi_region_dirty(), QYI_GRANULE_BYTES);
    ck_assert_uint_eq(qyi_region_purge(now_ms + AGE_MS * 18 / 10, AGE_MS), QYI_GRANULE_BYTES);
    ck_assert_uint_eq(qyi_entry(wall), TEST_ENTRY);
    qyi_region_validate();
}
END_TEST

/* With one time stamp per frame, a frame in which something is freed all the time would never be purged. */
START_TEST(test_a_busy_frame_is_purged_of_what_rests)
{
    const uint64_t now_ms = qyi_os_now_ms();
    const uint32_t busy = take(1, 1, NULL);
    const uint32_t rests = take(5, 1, NULL);
    take(1, 1, NULL);
    qyi_run_give(rests, 5);
    size_t purged = 0;
    for (unsigned i = 1; i <= 6; i++) {
        qyi_run_give(busy, 1);
        purged += qyi_region_purge(now_ms + i * (AGE_MS * 3 / 10), AGE_MS);
        require(take(1, 1, NULL) == busy);
    }
    ck_assert_uint_eq(purged, 5 * QYI_GRANULE_BYTES);
}
END_TEST

START_TEST(test_totals_sum_to_the_payload)
{
    uint64_t seed = 3;
    uint32_t firsts[64];
    for (size_t i = 0; i < 64; i++)
        firsts[i] = take(i + 1, 1, NULL);
    for (size_t i = 0; i < 64; i++) {
        qyi_run_give(firsts[i], i + 1);
        if (unit_below(&seed, 8) == 0)
            qyi_region_purge(qyi_os_now_ms(), 0);
        const struct qyi_region_totals totals = totals_now();
        require(totals.used + totals.dirty + totals.clean == totals.payload);
        require(totals.dirty == qyi_region_dirty());
        require(totals.payload == (size_t)(atomic_load(&qyi_region.end) - qyi_region.first) << QYI_GRANULE_SHIFT);
    }
    ck_assert_uint_eq(totals_now().used, 0);
    ck_assert_uint_gt(totals_now().purged_bytes, 0);
    ck_assert_uint_gt(totals_now().purges, 0);
}
END_TEST

/* ---- all of it at random, beside a model ---- */

enum { RUNS_MAX = 200 };

struct model_run {
    uint32_t first;
    uint32_t granules;
    uint64_t seed;
};

struct model {
    struct model_run runs[RUNS_MAX];
    size_t count;
    size_t used_bytes; /* what others use included */
    uint64_t random, now_ms;
};

static void model_check_apart(const struct model *model, uint32_t first, size_t granules)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct model_run *run = &model->runs[i];
        require(first + granules <= run->first || run->first + run->granules <= first);
    }
}

static void model_take(struct model *model)
{
    if (model->count == RUNS_MAX)
        return;
    const size_t granules = 1 + unit_below(&model->random, unit_below(&model->random, 5) == 0 ? 150 : 12);
    const size_t align = unit_below(&model->random, 6) == 0 ? (size_t)1 << unit_below(&model->random, 8) : 1;
    bool zeroed;
    const uint32_t first = take(granules, align, &zeroed);
    require(first >= qyi_region.first && first + granules <= atomic_load(&qyi_region.end));
    require((uintptr_t)qyi_granule_address(first) % (align << QYI_GRANULE_SHIFT) == 0);
    model_check_apart(model, first, granules);
    require(!zeroed || granules_are_zero(first, granules));
    struct model_run *run = &model->runs[model->count++];
    *run = (struct model_run){.first = first, .granules = (uint32_t)granules, .seed = unit_random(&model->random) | 1};
    write_granules(first, granules, run->seed);
    model->used_bytes += granules << QYI_GRANULE_SHIFT;
}

static void model_give(struct model *model)
{
    if (model->count == 0)
        return;
    struct model_run *run = &model->runs[unit_below(&model->random, model->count)];
    require(granules_hold(run->first, run->granules, run->seed));
    if (run->granules > 1 && unit_below(&model->random, 4) == 0) { /* the tail only */
        const uint32_t part = 1 + (uint32_t)unit_below(&model->random, run->granules - 1);
        run->granules -= part;
        qyi_run_give(run->first + run->granules, part);
        model->used_bytes -= (size_t)part << QYI_GRANULE_SHIFT;
        return;
    }
    qyi_run_give(run->first, run->granules);
    model->used_bytes -= (size_t)run->granules << QYI_GRANULE_SHIFT;
    *run = model->runs[--model->count];
}

static void model_extend(struct model *model)
{
    if (model->count == 0)
        return;
    struct model_run *run = &model->runs[unit_below(&model->random, model->count)];
    const uint32_t more = 1 + (uint32_t)unit_below(&model->random, 40);
    bool zeroed;
    bool room = true;
    for (size_t i = 0; i < model->count; i++) {
        const uint32_t first = model->runs[i].first;
        room &= first < run->first + run->granules || first >= run->first + run->granules + more;
    }
    const bool done = qyi_run_extend(run->first, run->granules, more, &zeroed);
    require(done == room); /* the region is far from full */
    if (!done)
        return;
    require(!zeroed || granules_are_zero(run->first + run->granules, more));
    run->granules += more;
    write_granules(run->first, run->granules, run->seed);
    model->used_bytes += (size_t)more << QYI_GRANULE_SHIFT;
    for (uint32_t i = 0; i < run->granules; i++)
        require(qyi_run_first(run->first + i) == run->first);
}

static void model_step(struct model *model)
{
    switch (unit_below(&model->random, 16)) {
    case 0:
        model->now_ms += 300 + unit_below(&model->random, 500);
        qyi_region_purge(model->now_ms, unit_below(&model->random, 4) == 0 ? 0 : 1000);
        break;
    case 1:
    case 2: model_extend(model); break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: model_take(model); break;
    default: model_give(model);
    }
}

static void run_model(uint64_t seed, unsigned steps)
{
    static struct model model;
    const size_t used_before = totals_now().used;
    model = (struct model){.random = seed, .now_ms = qyi_os_now_ms(), .used_bytes = used_before};
    for (unsigned i = 0; i < steps; i++) {
        model_step(&model);
        qyi_region_validate();
        const struct qyi_region_totals totals = totals_now();
        require(totals.used == model.used_bytes);
        require(totals.used + totals.dirty + totals.clean == totals.payload);
    }
    for (size_t i = 0; i < model.count; i++) {
        require(granules_hold(model.runs[i].first, model.runs[i].granules, model.runs[i].seed));
        qyi_run_give(model.runs[i].first, model.runs[i].granules);
    }
    require(totals_now().used == used_before);
    qyi_region_purge(model.now_ms, 0);
    require(totals_now().dirty == 0);
    qyi_region_validate();
}

START_TEST(test_random_runs_agree_with_the_model)
{
    run_model((uint64_t)_i + 1, unit_rounds(2000));
}
END_TEST

/* Where address space is limited, nothing is reserved and the frontier advances by mapping. */
START_TEST(test_random_runs_where_address_space_is_limited)
{
    if (UNIT_SANITIZED)
        return; /* they need address space without end */
    const struct rlimit limit = {.rlim_cur = (rlim_t)2 << 30, .rlim_max = (rlim_t)2 << 30};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    qyi_sizeclass_init();
    ck_assert(qyi_region_init());
    ck_assert(!qyi_span_reserved);
    run_model(11, unit_rounds(1000));
    bool zeroed;
    ck_assert_uint_eq(qyi_run_take((size_t)3 << (30 - QYI_GRANULE_SHIFT), 1, TEST_ENTRY, &zeroed), 0);
    qyi_region_validate();
    run_model(12, unit_rounds(1000));
}
END_TEST

START_TEST(test_the_region_goes_on_when_the_reservation_is_given_up)
{
    const uint32_t first = take(50, 1, NULL);
    write_granules(first, 50, 8);
    qyi_region_unreserve();
    ck_assert(!qyi_span_reserved);
    ck_assert(granules_hold(first, 50, 8));
    ck_assert_uint_eq(qyi_entry((qyi_region.bytes >> QYI_GRANULE_SHIFT) - 1), 0); /* free may ask for any entry */
    run_model(21, unit_rounds(1000));
    const uint32_t end = atomic_load(&qyi_region.end);
    while (atomic_load(&qyi_region.end) == end)
        write_granules(take(QYI_FRAME_GRANULES, 1, NULL), QYI_FRAME_GRANULES, 9);
    ck_assert(granules_hold(first, 50, 8));
    qyi_region_unreserve(); /* again: nothing happens */
    qyi_region_validate();
}
END_TEST

/* ---- a forked child ---- */

START_TEST(test_a_forked_child_goes_on_with_the_region)
{
    const uint32_t first = take(10, 1, NULL);
    write_granules(first, 10, 4);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (qyi_region_after_fork()) /* the lock was free: nothing to rebuild */
            _exit(1);
        write_granules(first, 10, 5);
        run_model(31, 200);
        _exit(granules_hold(first, 10, 5) ? 0 : 2);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(granules_hold(first, 10, 4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("region");
    TCase *unstarted = tcase_create("unstarted");
    tcase_add_test(unstarted, test_nothing_is_in_the_region_before_the_start);
    tcase_add_test(unstarted, test_random_runs_where_address_space_is_limited);
    suite_add_tcase(suite, unstarted);
    TCase *tests = tcase_create("region");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_foreign_pointers_are_not_in_the_region);
    tcase_add_test(tests, test_a_large_run_is_given_back_once_and_as_a_whole);
    tcase_add_test(tests, test_the_entry_of_every_address_can_be_read);
    tcase_add_test(tests, test_the_range_is_aligned_to_frames);
    tcase_add_test(tests, test_take_writes_entries_with_offsets_and_give_clears_them);
    tcase_add_test(tests, test_set_entries_changes_a_whole_run);
    tcase_add_test(tests, test_the_start_of_a_very_long_run_is_found_from_its_end);
    tcase_add_test(tests, test_runs_that_cannot_be_are_refused);
    tcase_add_test(tests, test_placement_prefers_the_fullest_frame);
    tcase_add_test(tests, test_a_partly_used_frame_comes_before_a_free_one);
    tcase_add_test(tests, test_memory_that_was_used_comes_before_memory_that_was_not);
    tcase_add_test(tests, test_short_runs_lie_within_a_frame_and_long_ones_start_one);
    tcase_add_test(tests, test_alignment_holds_in_addresses_up_to_large_ones);
    tcase_add_test(tests, test_room_between_runs_is_found_again);
    tcase_add_test(tests, test_extend_takes_the_granules_that_follow);
    tcase_add_test(tests, test_extend_refuses_granules_in_use);
    tcase_add_test(tests, test_extend_knows_that_the_new_part_was_used);
    tcase_add_test(tests, test_extend_moves_the_frontier);
    tcase_add_test(tests, test_purge_gives_memory_back_and_it_reads_as_zero);
    tcase_add_test(tests, test_free_memory_is_limited);
    tcase_add_test(tests, test_purge_of_parts_of_a_frame_spares_what_is_used);
    tcase_add_test(tests, test_memory_that_was_not_purged_is_not_called_zero);
    tcase_add_test(tests, test_young_memory_is_not_purged);
    tcase_add_test(tests, test_memory_is_purged_at_the_second_visit);
    tcase_add_test(tests, test_whole_frames_age_too);
    tcase_add_test(tests, test_memory_used_between_visits_starts_to_age_again);
    tcase_add_test(tests, test_a_busy_frame_is_purged_of_what_rests);
    tcase_add_test(tests, test_totals_sum_to_the_payload);
    tcase_add_loop_test(tests, test_random_runs_agree_with_the_model, 0, 4);
    tcase_add_test(tests, test_the_region_goes_on_when_the_reservation_is_given_up);
    tcase_add_test(tests, test_a_forked_child_goes_on_with_the_region);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

/*
 * test_verdict.c: the verdict that a report ends with.
 */
#include "unit_report.h"

#include "options.h"

static void setup(void)
{
    ck_assert(qyi_start());
}

/* A process of 1000 MiB, all of it ours, of which live, freed in slabs, cached and dirty are as given. */
static struct qyi_stats *process(size_t live, size_t freed, size_t cached, size_t dirty)
{
    static struct qyi_stats stats;
    const size_t total = live + freed + cached + dirty;
    const unsigned class = qyi_class_of(64);
    memset(&stats, 0, sizeof stats);
    stats.live = live * QYI_MIB;
    stats.free_in_slabs = stats.freed_in_slabs = freed * QYI_MIB;
    stats.cached = cached * QYI_MIB;
    stats.dirty = dirty * QYI_MIB;
    stats.mapped = stats.resident = stats.resident_ours = stats.resident_peak = total * QYI_MIB;
    stats.classes[class].live = stats.live / 64;
    stats.classes[class].freed = stats.classes[class].free = stats.freed_in_slabs / 64;
    return &stats;
}

static void check_verdict(const struct qyi_stats *stats, const char *expected)
{
    const char *verdict = line_of(report_of(stats), "verdict: ");
    ck_assert_ptr_nonnull(verdict);
    ck_assert_msg(strncmp(verdict + 9, expected, strlen(expected)) == 0, "%sexpected: %s", verdict, expected);
}

START_TEST(test_verdict_live)
{
    check_verdict(
        process(900, 50, 30, 20),
        "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's), most in blocks of 64 bytes\n");
    struct qyi_stats *stats = process(900, 50, 30, 20);
    stats->large_live = 800 * QYI_MIB;
    stats->classes[qyi_class_of(64)].live = 100 * QYI_MIB / 64;
    check_verdict(stats,
                  "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's), most in large blocks\n");
}
END_TEST

START_TEST(test_verdict_fragmentation)
{
    check_verdict(process(500, 400, 50, 50),
                  "fragmentation: 42% of slab memory (400.0 MiB) is free blocks in slabs that other blocks keep in "
                  "place, most in blocks of 64 bytes\n");
}
END_TEST

START_TEST(test_verdict_waiting_to_be_purged)
{
    qyi_options.purge_delay_ms = 500;
    qyi_options.background = true;
    check_verdict(
        process(100, 300, 0, 600),
        "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it goes after 500 ms (QUARRY_OPTIONS=purge:0 "
        "returns it at once)\n");
    qyi_options.background = false; /* then an idle program keeps it */
    check_verdict(
        process(100, 300, 0, 600),
        "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it goes when the program allocates or frees "
        "after 500 ms (QUARRY_OPTIONS=background: while it is idle, too; purge:0: at once)\n");
    qyi_options.purge_delay_ms = UINT32_MAX;
    check_verdict(process(100, 300, 0, 600),
                  "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's); it is never returned");
    qyi_options.purge_delay_ms = 0;
    check_verdict(process(100, 300, 0, 600), "free memory is waiting to be purged: 600.0 MiB (60% of Quarry's)\n");
}
END_TEST

START_TEST(test_verdict_magazines)
{
    check_verdict(process(500, 100, 300, 100),
                  "free blocks are in the threads' magazines: 300.0 MiB (30% of Quarry's)");
}
END_TEST

START_TEST(test_verdict_of_several_kinds_of_waste_names_the_largest)
{
    check_verdict(process(100, 300, 310, 290), "free blocks are in the threads' magazines: 310.0 MiB");
    check_verdict(process(100, 310, 300, 290), "fragmentation: ");
    check_verdict(process(100, 300, 290, 310), "free memory is waiting to be purged: 310.0 MiB");
}
END_TEST

START_TEST(test_verdict_not_ours)
{
    struct qyi_stats *stats = process(400, 0, 0, 100);
    stats->resident = stats->resident_peak = 2000 * QYI_MIB;
    check_verdict(
        stats,
        "most resident memory is not Quarry's (libraries, stacks, mappings): 1.5 GiB of 2.0 GiB (75%); live blocks are "
        "400.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_peak_gone)
{
    struct qyi_stats *stats = process(80, 10, 10, 0);
    stats->resident_peak = 1000 * QYI_MIB;
    check_verdict(
        stats,
        "most of the peak has gone back to the system: 1000.0 MiB resident at the height, 100.0 MiB now; live blocks "
        "are 80.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_small)
{
    struct qyi_stats *stats = process(0, 0, 0, 0);
    stats->live = 100 * QYI_KIB;
    stats->resident_ours = 300 * QYI_KIB;
    stats->resident = stats->resident_peak = 3 * QYI_MIB;
    check_verdict(
        stats,
        "a small heap: 300.0 KiB of the 3.0 MiB that are resident (10%), the rest is not Quarry's; live blocks are 100.0 KiB\n");
    stats->resident = stats->resident_peak = 0;
    check_verdict(stats, "a small heap: 300.0 KiB; live blocks are 100.0 KiB\n");
}
END_TEST

START_TEST(test_verdict_of_memory_that_is_not_touched)
{
    struct qyi_stats *stats = process(300, 0, 0, 0);
    stats->large_live = stats->live;
    stats->classes[qyi_class_of(64)].live = 0;
    stats->resident = stats->resident_peak = 12 * QYI_MIB;
    stats->resident_ours = 10 * QYI_MIB;
    check_verdict(
        stats,
        "most of the memory is live: the program holds 300.0 MiB (100% of Quarry's), most in large blocks; 290.0 MiB "
        "of Quarry's is not resident: not touched yet, or swapped out\n");
}
END_TEST

START_TEST(test_verdict_records)
{
    struct qyi_stats *stats = process(15, 0, 0, 8);
    stats->metadata = 200 * QYI_MIB;
    stats->resident = stats->resident_peak = stats->resident_ours = 90 * QYI_MIB;
    check_verdict(
        stats,
        "much is Quarry's own records, of slabs, threads and a profile's samples: 67.0 MiB (74% of Quarry's); live "
        "blocks are 15.0 MiB\n");
}
END_TEST

START_TEST(test_verdict_without_knowing_what_is_ours)
{
    struct qyi_stats *stats = process(900, 50, 30, 20);
    stats->resident_ours = 0;
    check_verdict(stats, "most of the memory is live: the program holds 900.0 MiB (90% of Quarry's)");
    ck_assert_ptr_null(strstr(text, "not ours"));
    stats = process(9, 0, 0, 0);
    stats->resident_ours = 0;
    stats->metadata = 14 * QYI_MIB; /* room for records, most of it untouched */
    check_verdict(stats, "most of the memory is live: the program holds 9.0 MiB (100% of Quarry's)");
}
END_TEST

START_TEST(test_verdict_of_nothing)
{
    check_verdict(process(0, 0, 0, 0), "no single cause: 0.0 KiB live");
    check_verdict(process(400, 200, 200, 200), "no single cause: 400.0 MiB live");
}
END_TEST

/* ---- */

int main(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tests = tcase_create("verdict");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_verdict_live);
    tcase_add_test(tests, test_verdict_fragmentation);
    tcase_add_test(tests, test_verdict_waiting_to_be_purged);
    tcase_add_test(tests, test_verdict_magazines);
    tcase_add_test(tests, test_verdict_of_several_kinds_of_waste_names_the_largest);
    tcase_add_test(tests, test_verdict_not_ours);
    tcase_add_test(tests, test_verdict_peak_gone);
    tcase_add_test(tests, test_verdict_small);
    tcase_add_test(tests, test_verdict_of_memory_that_is_not_touched);
    tcase_add_test(tests, test_verdict_records);
    tcase_add_test(tests, test_verdict_without_knowing_what_is_ours);
    tcase_add_test(tests, test_verdict_of_nothing);
    return unit_run(suite);
}

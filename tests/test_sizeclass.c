/*
 * test_sizeclass.c: which class a size gets, what a slab of a class looks like, and finding a block by its offset.
 */
#include "unit.h"

#include "sizeclass.h"

static void setup(void)
{
    qyi_sizeclass_init();
}

START_TEST(test_every_size_gets_the_smallest_class_that_holds_it)
{
    for (size_t bytes = 0; bytes <= QYI_SMALL_BYTES; bytes++) {
        const unsigned class = qyi_class_of(bytes);
        require(class < QYI_CLASS_COUNT);
        require(qyi_classes[class].bytes >= bytes);
        require(class == 0 || qyi_classes[class - 1].bytes < bytes);
    }
}
END_TEST

START_TEST(test_classes_are_multiples_of_16_in_ascending_order)
{
    ck_assert_uint_eq(qyi_classes[0].bytes, QYI_STEP_BYTES);
    ck_assert_uint_eq(qyi_classes[QYI_CLASS_COUNT - 1].bytes, QYI_SMALL_BYTES);
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        require(qyi_classes[class].bytes % QYI_STEP_BYTES == 0);
        require(class == 0 || qyi_classes[class].bytes > qyi_classes[class - 1].bytes);
    }
}
END_TEST

START_TEST(test_small_sizes_waste_less_than_16_bytes)
{
    for (size_t bytes = 1; bytes <= QYI_FINE_BYTES; bytes++)
        require(qyi_classes[qyi_class_of(bytes)].bytes - bytes < QYI_STEP_BYTES);
}
END_TEST

START_TEST(test_larger_sizes_waste_an_eighth_at_most)
{
    for (size_t bytes = QYI_FINE_BYTES + 1; bytes <= QYI_SMALL_BYTES; bytes++)
        require(8 * (qyi_classes[qyi_class_of(bytes)].bytes - bytes) <= bytes);
}
END_TEST

START_TEST(test_powers_of_two_are_classes)
{
    for (size_t bytes = QYI_STEP_BYTES; bytes <= QYI_SMALL_BYTES; bytes *= 2)
        ck_assert_uint_eq(qyi_classes[qyi_class_of(bytes)].bytes, bytes);
}
END_TEST

START_TEST(test_a_threads_own_slabs_are_of_one_granule)
{
    for (unsigned class = 0; class < QYI_OWN_CLASS_COUNT; class++)
        require(qyi_classes[class].granule_count == 1);
}
END_TEST

START_TEST(test_a_slab_is_short_and_has_no_room_for_another_block)
{
    for (unsigned number = 0; number < QYI_CLASS_COUNT; number++) {
        const struct qyi_class *class = &qyi_classes[number];
        const size_t slab_bytes = (size_t)class->granule_count * QYI_GRANULE_BYTES;
        const size_t block_bytes = (size_t)class->block_count * class->bytes;
        require(class->block_count >= 1 && class->granule_count <= 3);
        require(class->block_count <= QYI_SLAB_BLOCKS_MAX);
        require(block_bytes <= slab_bytes);
        require(slab_bytes - block_bytes < class->bytes);
        require(slab_bytes - block_bytes <= slab_bytes / QYI_SLAB_LEFT_OVER_SHARE);
    }
}
END_TEST

START_TEST(test_a_slab_lies_within_a_frame)
{
    for (unsigned number = 0; number < QYI_CLASS_COUNT; number++) {
        require(qyi_classes[number].granule_count < QYI_FRAME_GRANULES);
        require(qyi_class_is_common(number) || qyi_classes[number].granule_count == 1); /* qyi_release relies on it */
    }
}
END_TEST

START_TEST(test_magazines_have_slots_and_are_bounded_in_bytes)
{
    for (unsigned number = 0; number < QYI_CLASS_COUNT; number++) {
        const struct qyi_class *class = &qyi_classes[number];
        require(class->slots_first >= 3 && class->slots_max >= class->slots_first && class->refill_max >= 1);
        require(class->slots_max <= 2 || (size_t)class->slots_max * class->bytes <= 256 * QYI_KIB);
        require(class->refill_max == 1 || (size_t)class->refill_max * class->bytes <= 64 * QYI_KIB);
    }
}
END_TEST

/* Every offset of a slab of every class: the start of a block gives its number, everything else none. */
START_TEST(test_block_number_is_exact)
{
    for (unsigned number = 0; number < QYI_CLASS_COUNT; number++) {
        const struct qyi_class *class = &qyi_classes[number];
        uint32_t block = 0;
        uint32_t start = 0;
        for (uint32_t offset = 0; offset < (uint32_t)class->granule_count * QYI_GRANULE_BYTES; offset++) {
            const uint32_t found = qyi_block_number(class, offset);
            if (offset == start) {
                require(found == block);
                block++;
                start += class->bytes;
            } else {
                require(found >= class->block_count);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sizeclass");
    TCase *tests = tcase_create("classes");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_every_size_gets_the_smallest_class_that_holds_it);
    tcase_add_test(tests, test_classes_are_multiples_of_16_in_ascending_order);
    tcase_add_test(tests, test_small_sizes_waste_less_than_16_bytes);
    tcase_add_test(tests, test_larger_sizes_waste_an_eighth_at_most);
    tcase_add_test(tests, test_powers_of_two_are_classes);
    tcase_add_test(tests, test_a_threads_own_slabs_are_of_one_granule);
    tcase_add_test(tests, test_a_slab_is_short_and_has_no_room_for_another_block);
    tcase_add_test(tests, test_a_slab_lies_within_a_frame);
    tcase_add_test(tests, test_magazines_have_slots_and_are_bounded_in_bytes);
    tcase_add_test(tests, test_block_number_is_exact);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}

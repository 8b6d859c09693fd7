/* reallocarray: the product is the size, an overflowing product is ENOMEM, contents are kept. */
#include "blackbox.h"

int main(void)
{
    uint64_t *array = NULL;
    size_t count = 0;
    for (size_t next = 1; next < 300000; next += next / 2 + 1) {
        array = reallocarray(array, next, sizeof(*array));
        CHECK(array != NULL, "%zu", next);
        for (size_t i = 0; i < count; i++)
            CHECK(array[i] == bb_word(7, i), "element %zu of %zu", i, next);
        for (size_t i = count; i < next; i++)
            array[i] = bb_word(7, i);
        count = next;
    }

    static const size_t factors[][2] = {
        {SIZE_MAX, 2},        {2, SIZE_MAX},           {SIZE_MAX / 2 + 1, 2}, {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 16 + 2, 16}, {PTRDIFF_MAX, 2},      {3, PTRDIFF_MAX / 2}};
    for (size_t i = 0; i < BB_COUNT(factors); i++) {
        errno = 0;
        CHECK(reallocarray(array, bb_hide_size(factors[i][0]), factors[i][1]) == NULL && errno == ENOMEM, "case %zu",
              i);
        errno = 0;
        CHECK(reallocarray(NULL, bb_hide_size(factors[i][0]), factors[i][1]) == NULL && errno == ENOMEM, "case %zu", i);
        errno = 0;
        CHECK(calloc(bb_hide_size(factors[i][0]), factors[i][1]) == NULL && errno == ENOMEM, "case %zu", i);
    }
    for (size_t i = 0; i < count; i++)
        CHECK(array[i] == bb_word(7, i), "element %zu", i);
    free(array);
    return 0;
}

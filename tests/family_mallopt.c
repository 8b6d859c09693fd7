/* mallopt: known and unknown parameters are accepted or refused (1 or 0), and nothing breaks. */
#include "blackbox.h"
#include <malloc.h>

int main(void)
{
    static const int parameters[] = {M_MMAP_THRESHOLD, M_MMAP_MAX,   M_TRIM_THRESHOLD, M_TOP_PAD,
                                     M_ARENA_MAX,      M_ARENA_TEST, M_PERTURB,        12345};
    for (size_t i = 0; i < BB_COUNT(parameters); i++) {
        int answer = mallopt(parameters[i], 128 * 1024);
        CHECK(answer == 0 || answer == 1, "mallopt(%d) = %d", parameters[i], answer);
        char *block = malloc(200000);
        CHECK(block != NULL);
        bb_fill(block, 200000, i);
        CHECK(bb_holds(block, 200000, i));
        free(block);
    }
    return 0;
}

/* mallinfo2 tells the truth, roughly: bytes in use rise with what is allocated and fall with what is freed. */
#include "blackbox.h"
#include <malloc.h>

static size_t in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks <= info.arena + info.hblkhd + 4096, "%zu in use of %zu + %zu mapped", info.uordblks, info.arena,
          info.hblkhd);
    return info.uordblks + info.hblkhd;
}

static void rise_and_fall(size_t size, size_t count)
{
    void **blocks = malloc(count * sizeof(*blocks));
    CHECK(blocks != NULL);
    size_t before = in_use(), total = size * count;
    for (size_t i = 0; i < count; i++)
        CHECK((blocks[i] = malloc(size)) != NULL);
    size_t full = in_use();
    CHECK(full >= before + total - total / 10, "%zu times %zu: %zu, then %zu in use", count, size, before, full);
    CHECK(full <= before + total + total * 6 / 10 + BB_MIB, "%zu times %zu: %zu, then %zu in use", count, size, before,
          full);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    size_t after = in_use();
    CHECK(after <= before + total / 10 + BB_MIB, "%zu times %zu: %zu, then %zu, after freeing %zu in use", count, size,
          before, full, after);
    free(blocks);
}

int main(void)
{
    rise_and_fall(1000, 60000);
    rise_and_fall(48, 1000000);
    rise_and_fall(20000, 3000);
    rise_and_fall(1000000, 60);
    rise_and_fall(50000000, 3);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo old = mallinfo();
    CHECK(old.uordblks >= 0);
    return 0;
}

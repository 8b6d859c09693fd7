/* Nothrow new gives nullptr, never an exception, even when the new-handler throws bad_alloc. */
#include "blackbox.h"
#include <new>

namespace
{

int calls;

void throwing_handler()
{
    calls++;
    throw std::bad_alloc();
}

void check(std::size_t size)
{
    CHECK(::operator new(size, std::nothrow) == nullptr);
    CHECK(::operator new[](size, std::nothrow) == nullptr);
    CHECK(::operator new (size, std::align_val_t{64}, std::nothrow) == nullptr);
    CHECK(::operator new[](size, std::align_val_t{64}, std::nothrow) == nullptr);
}

} // namespace

int main()
{
    const std::size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, std::size_t(PTRDIFF_MAX) + 1};
    for (std::size_t size : sizes)
        check(bb_hide_size(size));
    std::set_new_handler(throwing_handler);
    for (std::size_t size : sizes)
        check(bb_hide_size(size));
    CHECK(calls == 3 * 4, "the handler was called %d times", calls);
    std::set_new_handler(nullptr);
    char *block = new (std::nothrow) char[100];
    CHECK(block != nullptr);
    delete[] block;
    return 0;
}

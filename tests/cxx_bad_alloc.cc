/* Throwing new without a new-handler throws std::bad_alloc for every impossible size, in every form, and sets ENOMEM. */
#include "blackbox.h"
#include <new>

namespace
{

template <typename Call> void throws(const char *what, std::size_t size, Call call)
{
    bool caught = false;
    errno = 0;
    try {
        void *block = call();
        CHECK(false, "%s of 0x%zx gave %p", what, size, block);
    } catch (const std::bad_alloc &error) {
        caught = error.what() != nullptr;
    }
    CHECK(caught, "%s of 0x%zx", what, size);
    CHECK(errno == ENOMEM, "%s of 0x%zx: errno %d", what, size, errno);
}

} // namespace

int main()
{
    CHECK(std::get_new_handler() == nullptr);
    const std::size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, std::size_t(PTRDIFF_MAX) + 1, PTRDIFF_MAX};
    for (int round = 0; round < 100; round++) {
        for (std::size_t given : sizes) {
            const std::size_t size = bb_hide_size(given);
            throws("new", size, [=] { return ::operator new(size); });
            throws("new[]", size, [=] { return ::operator new[](size); });
            throws("aligned new", size, [=] { return ::operator new (size, std::align_val_t{64}); });
            throws("aligned new[]", size, [=] { return ::operator new[](size, std::align_val_t{4096}); });
        }
        throws("new with a huge alignment", 16,
               [] { return ::operator new (16, std::align_val_t{bb_hide_size(std::size_t{1} << 62)}); });
    }
    return 0;
}

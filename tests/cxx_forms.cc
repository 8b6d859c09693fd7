/* Every form of operator new and delete: plain, array, nothrow, sized, aligned; each new with each delete that may follow it. */
#include "blackbox.h"
#include <new>

namespace
{

constexpr std::size_t sizes[] = {0,    1,    7,    8,     16,    24,     100,     128,
                                 1000, 4096, 5000, 40000, 65536, 100000, 1000000, 5000000};

void use(void *block, std::size_t size, std::size_t alignment)
{
    CHECK(block != nullptr, "%zu bytes", size);
    CHECK(bb_aligned(block, alignment), "%zu bytes at %p, alignment %zu", size, block, alignment);
    bb_fill(block, size, size);
    CHECK(bb_holds(block, size, size));
}

std::size_t plain_alignment(std::size_t size)
{
    return size >= 16 ? 16 : 8;
}

void plain_forms(std::size_t size)
{
    for (int form = 0; form < 6; form++) {
        void *block = form % 2 ? ::operator new(size, std::nothrow) : ::operator new(size);
        use(block, size, plain_alignment(size));
        if (form / 2 == 0)
            ::operator delete(block);
        else if (form / 2 == 1)
            ::operator delete(block, size);
        else
            ::operator delete(block, std::nothrow);

        block = form % 2 ? ::operator new[](size, std::nothrow) : ::operator new[](size);
        use(block, size, plain_alignment(size));
        if (form / 2 == 0)
            ::operator delete[](block);
        else if (form / 2 == 1)
            ::operator delete[](block, size);
        else
            ::operator delete[](block, std::nothrow);
    }
}

void aligned_forms(std::size_t size, std::size_t bytes)
{
    const auto alignment = static_cast<std::align_val_t>(bytes);
    for (int form = 0; form < 6; form++) {
        void *block = form % 2 ? ::operator new(size, alignment, std::nothrow) : ::operator new(size, alignment);
        use(block, size, bytes);
        if (form / 2 == 0)
            ::operator delete(block, alignment);
        else if (form / 2 == 1)
            ::operator delete(block, size, alignment);
        else
            ::operator delete(block, alignment, std::nothrow);

        block = form % 2 ? ::operator new[](size, alignment, std::nothrow) : ::operator new[](size, alignment);
        use(block, size, bytes);
        if (form / 2 == 0)
            ::operator delete[](block, alignment);
        else if (form / 2 == 1)
            ::operator delete[](block, size, alignment);
        else
            ::operator delete[](block, alignment, std::nothrow);
    }
}

} // namespace

int main()
{
    const std::size_t before = bb_rss_bytes();
    for (int round = 0; round < 8; round++) {
        for (std::size_t size : sizes) {
            plain_forms(size);
            for (std::size_t alignment = 8; alignment <= 65536; alignment *= 4)
                aligned_forms(size, alignment);
        }
    }
    CHECK(bb_rss_bytes() < before + 80 * BB_MIB, "some form of delete does not free");

    /* All of these accept NULL. */
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete (nullptr, std::size_t{8});
    ::operator delete[](nullptr, std::size_t{8});
    ::operator delete(nullptr, std::nothrow);
    ::operator delete[](nullptr, std::nothrow);
    ::operator delete (nullptr, std::align_val_t{64});
    ::operator delete[](nullptr, std::align_val_t{64});
    ::operator delete (nullptr, std::size_t{8}, std::align_val_t{64});
    ::operator delete[](nullptr, std::size_t{8}, std::align_val_t{64});
    ::operator delete (nullptr, std::align_val_t{64}, std::nothrow);
    ::operator delete[](nullptr, std::align_val_t{64}, std::nothrow);

    /* new char[0] is a unique object. */
    char *left = new char[bb_hide_size(0)], *right = new char[bb_hide_size(0)];
    CHECK(left != nullptr && right != nullptr && left != right);
    delete[] left;
    delete[] right;
    return 0;
}

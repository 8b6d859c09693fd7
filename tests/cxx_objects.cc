/* Objects made by new-expressions: over-aligned types, arrays with cookies, virtual destructors, throwing constructors. */
#include "blackbox.h"
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

namespace
{

struct alignas(64) Line {
    unsigned char bytes[64];
    ~Line()
    {
        bytes[0] = 1;
    }
};
struct alignas(4096) Page {
    unsigned char bytes[4096 * 3];
};

struct Base {
    int first = 1;
    virtual ~Base() = default;
};
struct Derived : Base {
    std::vector<int> data = std::vector<int>(1000, 7);
    unsigned char more[3000] = {};
};

struct Throwing {
    explicit Throwing(int i)
    {
        if (i == 3)
            throw std::runtime_error("constructor");
    }
    char bytes[500] = {};
};

} // namespace

int main()
{
    for (int round = 0; round < 2000; round++) {
        Line *line = new Line();
        CHECK(bb_aligned(line, 64), "%p", static_cast<void *>(line));
        Line *lines = new Line[round % 100 + 1];
        CHECK(bb_aligned(lines, 64), "%p", static_cast<void *>(lines));
        auto page = std::make_unique<Page>();
        CHECK(bb_aligned(page.get(), 4096), "%p", static_cast<void *>(page.get()));
        page->bytes[sizeof(page->bytes) - 1] = 1;
        delete[] lines;
        delete line;

        Base *object = new Derived();
        CHECK(static_cast<Derived *>(object)->data[999] == 7);
        delete object;

        try {
            bb_hide(new Throwing(round % 4));
            CHECK(round % 4 != 3, "the constructor did not throw");
        } catch (const std::runtime_error &) {
            CHECK(round % 4 == 3);
        }
    }
    /* An array whose size overflows: the compiler asks for an impossible size or throws by itself. */
    bool caught = false;
    try {
        bb_hide(new Line[bb_hide_size(SIZE_MAX / 32)]);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught);
    return 0;
}

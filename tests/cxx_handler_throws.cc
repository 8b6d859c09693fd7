/* A new-handler that throws its own kind of bad_alloc, one that gives up after some calls, and one that removes itself. */
#include "blackbox.h"
#include <new>

namespace
{

struct OwnError : std::bad_alloc {
    const char *what() const noexcept override
    {
        return "own";
    }
};

int calls;

void throws_own()
{
    calls++;
    throw OwnError();
}

void throws_at_fifth_call()
{
    if (++calls == 5)
        throw OwnError();
}

void removes_itself()
{
    calls++;
    if (calls == 3)
        std::set_new_handler(nullptr);
}

void replaces_itself()
{
    calls++;
    std::set_new_handler(throws_own);
}

/* Runs throwing new with a handler: how often was it called, and what came out? */
template <typename Error> void expect(std::new_handler handler, int expected_calls)
{
    for (int form = 0; form < 4; form++) {
        calls = 0;
        std::set_new_handler(handler);
        bool caught = false;
        const std::size_t size = bb_hide_size(SIZE_MAX - 100);
        try {
            if (form == 0)
                bb_hide(::operator new(size));
            else if (form == 1)
                bb_hide(::operator new[](size));
            else if (form == 2)
                bb_hide(::operator new (size, std::align_val_t{128}));
            else
                bb_hide(::operator new[](size, std::align_val_t{128}));
        } catch (const Error &) {
            caught = true;
        }
        CHECK(caught, "form %d", form);
        CHECK(calls == expected_calls, "form %d: %d calls of the handler, expected %d", form, calls, expected_calls);
    }
    std::set_new_handler(nullptr);
}

} // namespace

int main()
{
    expect<OwnError>(throws_own, 1);
    expect<OwnError>(throws_at_fifth_call, 5);
    expect<std::bad_alloc>(removes_itself, 3);
    expect<OwnError>(replaces_itself, 2);
    return 0;
}

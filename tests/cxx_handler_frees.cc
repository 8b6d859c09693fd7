/* A new-handler that frees a reserve: throwing new then succeeds. Memory is really exhausted here, by RLIMIT_DATA. */
#include "blackbox.h"
#include <cstring>
#include <new>
#include <sys/resource.h>

namespace
{

char *reserve;
int calls;

void free_the_reserve()
{
    calls++;
    if (reserve == nullptr)
        throw std::bad_alloc();
    delete[] reserve;
    reserve = nullptr;
}

std::size_t data_bytes()
{
    char text[256];
    bb_read_file("/proc/self/statm", text, sizeof(text));
    unsigned long pages = 0;
    CHECK(sscanf(text, "%*u %*u %*u %*u %*u %lu", &pages) == 1);
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

int main()
{
    constexpr std::size_t chunk = BB_MIB, most = 600;
    static char *chunks[most];
    reserve = new char[128 * BB_MIB];
    bb_hide(reserve);

    const rlimit limit = {data_bytes() + 300 * BB_MIB, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    std::size_t count = 0;
    while (count < most && (chunks[count] = new (std::nothrow) char[chunk]) != nullptr)
        count++;
    if (count == most)
        bb_skip("RLIMIT_DATA does not limit this process");

    std::set_new_handler(free_the_reserve);
    char *block = new char[64 * BB_MIB];
    bb_hide(block);
    CHECK(calls == 1 && reserve == nullptr, "%d calls", calls);
    std::memset(block, 1, 64 * BB_MIB);

    /* And when the handler has nothing left to give, it throws. */
    bool caught = false;
    try {
        bb_hide(new char[512 * BB_MIB]);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    CHECK(caught && calls == 2, "%d calls", calls);
    delete[] block;
    while (count > 0)
        delete[] chunks[--count];
    std::set_new_handler(nullptr);
    block = new char[100 * BB_MIB];
    delete[] static_cast<char *>(bb_hide(block));
    return 0;
}

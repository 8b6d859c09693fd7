/* thread_local objects whose destructors allocate and free, in many threads; some die holding memory of other threads. */
#include "blackbox.h"
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace
{

std::atomic<int> destroyed;

struct Registry {
    std::map<int, std::string> entries;
    std::vector<std::unique_ptr<char[]>> blocks;

    ~Registry()
    {
        std::vector<std::string> farewell;
        for (auto &[key, text] : entries)
            farewell.push_back(text + " says goodbye and allocates a good deal while it does so");
        for (int i = 0; i < 50; i++)
            blocks.emplace_back(new char[static_cast<std::size_t>(i) * 100 + 1]);
        destroyed++;
    }
};

thread_local Registry registry;
thread_local std::string name;
thread_local std::unique_ptr<std::vector<int>> numbers;

std::atomic<std::string *> handed_over;

void body(int number)
{
    name = "thread number " + std::to_string(number);
    numbers = std::make_unique<std::vector<int>>(1000, number);
    for (int i = 0; i < 20; i++)
        registry.entries[i] = name;
    delete handed_over.exchange(new std::string(name + " left this"));
}

} // namespace

int main()
{
    constexpr int rounds = 300, together = 4;
    for (int round = 0; round < rounds; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < together; i++)
            threads.emplace_back(body, round * together + i);
        for (auto &thread : threads)
            thread.join();
    }
    delete handed_over.exchange(nullptr);
    CHECK(destroyed == rounds * together, "%d destructors ran", destroyed.load());
    return 0;
}

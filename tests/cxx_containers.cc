/* Standard containers at work in several threads: trees, hashes, lists, strings, shared pointers, streams, exceptions. */
#include "blackbox.h"
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace
{

std::uint64_t work(unsigned seed)
{
    std::uint64_t state = seed, sum = 0;
    std::map<std::uint64_t, std::string> tree;
    std::unordered_map<std::string, std::vector<int>> hash;
    std::list<std::shared_ptr<std::string>> list;
    std::deque<std::function<int()>> queue;
    for (int i = 0; i < 20000; i++) {
        const std::uint64_t key = bb_random(&state) % 2000;
        auto [place, fresh] = tree.try_emplace(key, std::string(key % 300, 'x'));
        if (!fresh) {
            CHECK(place->second.size() == key % 300 && place->second.find_first_not_of('x') == std::string::npos);
            tree.erase(place);
        }
        hash["key " + std::to_string(key)].push_back(i);
        list.push_back(std::make_shared<std::string>(std::to_string(i)));
        if (list.size() > 500) {
            sum += list.front()->size();
            list.pop_front();
        }
        queue.emplace_back([i, text = std::string(100, 'y')] { return i + static_cast<int>(text.size()); });
        if (queue.size() > 100) {
            sum += static_cast<std::uint64_t>(queue.front()());
            queue.pop_front();
        }
        if (i % 100 == 0) {
            try {
                throw std::runtime_error("number " + std::to_string(i));
            } catch (const std::exception &error) {
                sum += std::string(error.what()).size();
            }
            std::ostringstream stream;
            stream << i << ' ' << 1.5 << ' ' << "text";
            sum += stream.str().size();
        }
    }
    for (const auto &[key, numbers] : hash)
        sum += key.size() + numbers.size();
    return sum;
}

} // namespace

int main()
{
    const std::uint64_t expected = work(1);
    std::vector<std::thread> threads;
    std::vector<std::uint64_t> sums(4);
    for (std::size_t i = 0; i < sums.size(); i++)
        threads.emplace_back([&sums, i] { sums[i] = work(1); });
    for (auto &thread : threads)
        thread.join();
    for (std::uint64_t sum : sums)
        CHECK(sum == expected);
    return 0;
}

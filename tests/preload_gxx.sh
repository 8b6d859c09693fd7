#!/usr/bin/env bash
# g++: an STL program compiled by a preloaded g++ gives the same object file, and then runs preloaded: containers,
# iostreams, exceptions, shared pointers and threads over every form of new and delete.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GXX g++
assert_preloadable "$("$GXX" -print-prog-name=cc1plus)"

cat >program.cc <<'SOURCE'
#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

struct alignas(256) Wide {
    unsigned char bytes[256];
};
struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};
struct Square : Shape {
    double side;
    std::string name;
    explicit Square(double s) : side(s), name("a square with a name too long for the small buffer") {}
    double area() const override { return side * side + name.size(); }
};
struct Throws {
    std::vector<int> member = std::vector<int>(1000);
    Throws() { throw std::runtime_error("constructor with a message that is long enough to need memory"); }
};

static unsigned long work(unsigned long seed)
{
    std::map<std::string, std::vector<unsigned long>> words;
    for (int i = 0; i < 8000; i++) {
        seed = seed * 6364136223846793005ul + 1442695040888963407ul;
        words["word number " + std::to_string(seed >> 54)].push_back(i);
        if (i % 37 == 0)
            words.erase(words.begin());
    }
    unsigned long sum = 0;
    for (auto &[word, places] : words)
        sum = sum * 31 + word.size() + std::accumulate(places.begin(), places.end(), 0ul);
    return sum;
}

int main()
{
    std::vector<std::future<unsigned long>> results;
    for (unsigned long i = 1; i <= 6; i++)
        results.push_back(std::async(std::launch::async, work, i));
    for (auto &result : results)
        std::cout << "async " << result.get() << '\n';

    std::unordered_map<int, std::list<std::string>> table;
    for (int i = 0; i < 30000; i++)
        table[i * 7919 % 5003].push_front(std::string(i % 60, 'a' + i % 26));
    size_t characters = 0;
    for (auto &[key, list] : table)
        for (auto &s : list)
            characters += s.size() * (key % 3 + 1);
    std::cout << "table " << table.size() << ' ' << characters << '\n';

    std::vector<std::unique_ptr<Shape>> shapes;
    for (int i = 0; i < 5000; i++)
        shapes.push_back(std::make_unique<Square>(i));
    double area = 0;
    for (auto &shape : shapes)
        area += shape->area();
    std::cout << "shapes " << static_cast<long>(area) << '\n';

    // Over-aligned objects, alone and in a container.
    std::vector<Wide> wide(300);
    auto one = std::make_unique<Wide>();
    bool aligned = reinterpret_cast<size_t>(one.get()) % 256 == 0;
    for (auto &w : wide)
        aligned = aligned && reinterpret_cast<size_t>(&w) % 256 == 0;
    std::cout << "aligned " << aligned << '\n';

    int caught = 0;
    for (int i = 0; i < 200; i++) {
        try {
            std::make_shared<Throws>();
        } catch (const std::runtime_error &e) {
            caught += std::string(e.what()).size();
        }
    }
    try {
        std::vector<char> impossible(static_cast<size_t>(-1) / 4);
    } catch (const std::bad_alloc &) {
        caught++;
    }
    std::cout << "caught " << caught << '\n';

    // Reference counts from several threads; the last owner may be any of them.
    auto shared = std::make_shared<std::vector<std::string>>(1000, std::string(100, 's'));
    std::weak_ptr<std::vector<std::string>> weak = shared;
    std::vector<std::thread> threads;
    std::mutex mutex;
    size_t total = 0;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&mutex, &total, copy = shared, i] {
            std::deque<std::shared_ptr<std::vector<std::string>>> copies(100, copy);
            std::lock_guard<std::mutex> lock(mutex);
            total += copies[i]->size();
        });
    shared.reset();
    for (auto &thread : threads)
        thread.join();
    threads.clear();
    std::cout << "shared " << total << ' ' << weak.expired() << '\n';

    std::ostringstream out;
    for (int i = 0; i < 20000; i++)
        out << i << ' ';
    std::istringstream in(out.str());
    std::multiset<int, std::greater<>> numbers;
    for (int n; in >> n;)
        numbers.insert(n % 1000);
    std::vector<int> sorted(numbers.begin(), numbers.end());
    std::stable_sort(sorted.begin(), sorted.end());
    std::cout << "sorted " << sorted.size() << ' ' << sorted[777] << '\n';

    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::vector<std::pmr::string> pooled(&pool);
    for (int i = 0; i < 3000; i++)
        pooled.emplace_back(i % 300, 'p');
    std::cout << "pooled " << std::accumulate(pooled.begin(), pooled.end(), 0ul, [](auto a, auto &s) { return a + s.size(); })
              << '\n';
    std::function<int(int)> chain = [](int n) { return n; };
    for (int i = 0; i < 100; i++)
        chain = [chain, i](int n) { return chain(n) + i; };
    std::cout << "chain " << chain(1) << std::endl;
}
SOURCE
"$GXX" -std=c++17 -O2 -g -pthread -c -o plain.o program.cc
preloaded "$GXX" -std=c++17 -O2 -g -pthread -c -o preloaded.o program.cc
assert_same plain.o preloaded.o
preloaded "$GXX" -pthread -o program preloaded.o
assert_preloadable ./program
run_both_ok run ./program
assert_equal "aligned 1" "$(grep aligned run.preloaded.out)" "over-aligned new"
assert_equal "shared 4000 1" "$(grep shared run.preloaded.out)" "shared pointers"
for _ in 1 2 3 4 5; do
    preloaded ./program >again
    assert_same run.plain.out again
done

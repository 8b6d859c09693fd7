/*
 * The C++ workload: documents in a JSON-like notation are parsed into strings, vectors and maps, rewritten (members
 * renamed, dropped and moved, arrays sorted) and written out again. `bench-documents [SCALE]` prints its seconds; the
 * text to parse is made before the clock starts. Everything goes through operator new and delete.
 */
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace
{

struct Value;
using Array = std::vector<Value>;
using Object = std::map<std::string, Value>;

struct Value {
    std::variant<std::nullptr_t, bool, double, std::string, Array, Object> content = nullptr;
};

[[noreturn]] void fail(const char *what)
{
    std::fprintf(stderr, "bench-documents: %s\n", what);
    std::exit(1);
}

/* xorshift64*, as in workload.h. */
class Random
{
  public:
    explicit Random(std::uint64_t seed) : state_((seed + 1) * 0x9e3779b97f4a7c15u)
    {
    }

    std::uint32_t below(std::uint32_t limit)
    {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<std::uint32_t>((((state_ * 0x2545f4914f6cdd1du) >> 32) * limit) >> 32);
    }

  private:
    std::uint64_t state_;
};

class Parser
{
  public:
    explicit Parser(const std::string &text) : at_(text.data()), end_(text.data() + text.size())
    {
    }

    Value document()
    {
        Value value = any();
        if (at_ != end_)
            fail("text after the document");
        return value;
    }

  private:
    void expect(char c)
    {
        if (at_ == end_ || *at_++ != c)
            fail("unexpected character");
    }

    bool accept(char c)
    {
        if (at_ == end_ || *at_ != c)
            return false;
        ++at_;
        return true;
    }

    Value word(const char *text, Value value)
    {
        for (; *text; ++text)
            expect(*text);
        return value;
    }

    std::string string()
    {
        std::string result;
        expect('"');
        while (!accept('"')) {
            accept('\\');
            if (at_ == end_)
                fail("unterminated string");
            result.push_back(*at_++);
        }
        return result;
    }

    Value number()
    {
        char *after = nullptr;
        double result = std::strtod(at_, &after);
        if (after == at_)
            fail("not a number");
        at_ = after;
        return {result};
    }

    Value array()
    {
        Array result;
        expect('[');
        if (accept(']'))
            return {std::move(result)};
        do
            result.push_back(any());
        while (accept(','));
        expect(']');
        return {std::move(result)};
    }

    Value object()
    {
        Object result;
        expect('{');
        if (accept('}'))
            return {std::move(result)};
        do {
            std::string key = string();
            expect(':');
            result.insert_or_assign(std::move(key), any());
        } while (accept(','));
        expect('}');
        return {std::move(result)};
    }

    Value any()
    {
        switch (at_ == end_ ? '\0' : *at_) {
        case '{': return object();
        case '[': return array();
        case '"': return {string()};
        case 'n': return word("null", {nullptr});
        case 't': return word("true", {true});
        case 'f': return word("false", {false});
        default: return number();
        }
    }

    const char *at_;
    const char *end_;
};

void write(const Value &value, std::string &out);

void write(const std::string &text, std::string &out)
{
    out.push_back('"');
    for (char c : text) {
        if (c == '"' || c == '\\')
            out.push_back('\\');
        out.push_back(c);
    }
    out.push_back('"');
}

void write(const Array &array, std::string &out)
{
    out.push_back('[');
    for (const Value &item : array) {
        write(item, out);
        out.push_back(',');
    }
    if (!array.empty())
        out.pop_back();
    out.push_back(']');
}

void write(const Object &object, std::string &out)
{
    out.push_back('{');
    for (const auto &[key, item] : object) {
        write(key, out);
        out.push_back(':');
        write(item, out);
        out.push_back(',');
    }
    if (!object.empty())
        out.pop_back();
    out.push_back('}');
}

void write(const Value &value, std::string &out)
{
    if (const auto *text = std::get_if<std::string>(&value.content))
        write(*text, out);
    else if (const auto *array = std::get_if<Array>(&value.content))
        write(*array, out);
    else if (const auto *object = std::get_if<Object>(&value.content))
        write(*object, out);
    else if (const auto *number = std::get_if<double>(&value.content))
        out += std::to_string(static_cast<long long>(*number));
    else if (const auto *flag = std::get_if<bool>(&value.content))
        out += *flag ? "true" : "false";
    else
        out += "null";
}

std::string written(const Value &value)
{
    std::string out;
    write(value, out);
    return out;
}

/* A copy: members have other names and places, some are gone, and the items of arrays are sorted by their text. */
Value rewritten(const Value &value)
{
    if (const auto *array = std::get_if<Array>(&value.content)) {
        std::vector<std::pair<std::string, Value>> items;
        for (const Value &item : *array) {
            Value copy = rewritten(item);
            std::string key = written(copy);
            items.emplace_back(std::move(key), std::move(copy));
        }
        std::stable_sort(items.begin(), items.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
        Array result;
        for (auto &item : items)
            result.push_back(std::move(item.second));
        return {std::move(result)};
    }
    if (const auto *object = std::get_if<Object>(&value.content)) {
        Object result, moved;
        for (const auto &[key, item] : *object) {
            if (key.size() % 7 == 0)
                continue;
            Object &target = key.size() % 3 == 0 ? moved : result;
            target.insert_or_assign("new_" + key, rewritten(item));
        }
        if (!moved.empty())
            result.insert_or_assign("moved", Value{std::move(moved)});
        return {std::move(result)};
    }
    return value;
}

std::string random_text(Random &random, std::uint32_t limit)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz \"\\";
    std::string text;
    for (std::uint32_t length = 1 + random.below(limit); length > 0; --length)
        text.push_back(letters[random.below(sizeof letters - 1)]);
    return text;
}

Value random_value(Random &random, unsigned depth)
{
    std::uint32_t kind = random.below(depth > 0 ? 10 : 5);
    if (kind == 0)
        return {nullptr};
    if (kind == 1)
        return {random.below(2) == 0};
    if (kind == 2)
        return {static_cast<double>(random.below(1000000))};
    if (kind < 5)
        return {random_text(random, random.below(8) == 0 ? 300 : 24)};
    if (kind < 7) {
        Array array;
        for (std::uint32_t count = random.below(8); count > 0; --count)
            array.push_back(random_value(random, depth - 1));
        return {std::move(array)};
    }
    Object object;
    for (std::uint32_t count = random.below(10); count > 0; --count)
        object.insert_or_assign(random_text(random, 20), random_value(random, depth - 1));
    return {std::move(object)};
}

std::vector<std::string> random_documents(std::size_t count)
{
    Random random(12);
    std::vector<std::string> documents;
    while (documents.size() < count) {
        std::string text = written(random_value(random, 6));
        if (text.size() > 1000)
            documents.push_back(std::move(text));
    }
    return documents;
}

/* Every round adds up the same lengths: returns their sum. */
std::size_t process(const std::vector<std::string> &documents)
{
    std::size_t length = 0;
    std::vector<Value> kept;
    for (const std::string &text : documents) {
        Value document = Parser(text).document();
        length += written(rewritten(document)).size();
        kept.push_back(std::move(document));
        if (kept.size() == 50)
            kept.clear();
    }
    return length;
}

} // namespace

int main(int argc, char **argv)
{
    double scale = argc > 1 ? std::strtod(argv[1], nullptr) : 1;
    if (argc > 2 || !(scale > 0)) {
        std::fprintf(stderr, "usage: bench-documents [SCALE]\n");
        return 2;
    }
    auto documents = random_documents(std::max<std::size_t>(1, static_cast<std::size_t>(200 * std::min(scale, 1.0))));
    std::size_t rounds = std::max<std::size_t>(1, static_cast<std::size_t>(20 * std::max(scale, 1.0)));
    std::size_t expected = 0;

    auto start = std::chrono::steady_clock::now();
    for (std::size_t round = 0; round < rounds; ++round) {
        std::size_t length = process(documents);
        if (round > 0 && length != expected)
            fail("two rounds gave different texts");
        expected = length;
    }
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%.6f\n", seconds.count());
    return 0;
}

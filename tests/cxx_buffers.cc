/* The C++ header: slices, allocators, pools. A unit test, so that it also runs under valgrind and the sanitizers. */
#include "quarry/quarry.hpp"

#include "blackbox.h"
#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/uio.h>
#include <thread>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

namespace
{

using quarry::slice;
using namespace std::string_view_literals;

template <typename Call> int errno_of(Call call)
{
    try {
        call();
    } catch (const std::bad_alloc &) {
        return ENOMEM;
    } catch (const std::system_error &error) {
        CHECK(error.code().category() == std::generic_category());
        return error.code().value();
    }
    return 0;
}

std::uint32_t references(const slice &s)
{
    return qy_refcount(s.data());
}

void slice_drops_its_reference_at_the_end_of_its_scope()
{
    const slice whole = slice::copy("hello, world");
    CHECK(whole.view() == "hello, world" && references(whole) == 1 && whole.is_unique());
    {
        const slice again = whole.clone();
        const slice part = whole.sub(7);
        CHECK(part.view() == "world" && references(whole) == 3 && !whole.is_unique());
        CHECK(again.data() == whole.data() && again == whole);
    }
    CHECK(references(whole) == 1);
}

void slice_moves_its_reference()
{
    slice a = slice::copy("abc");
    slice b = std::move(a);
    CHECK(a.empty() && b.view() == "abc" && references(b) == 1);
    a = std::move(b);
    CHECK(b.empty() && a.view() == "abc" && references(a) == 1);
    slice &self = a;
    a = std::move(self);
    CHECK(a.view() == "abc");
    const slice other = a.clone();
    b = slice::copy("xyz");
    a = std::move(b); /* drops what it held */
    CHECK(a.view() == "xyz" && references(other) == 1);
    swap(a, b);
    CHECK(a.empty() && b.view() == "xyz");
    static_assert(!std::is_copy_constructible_v<slice> && !std::is_copy_assignable_v<slice>);
    static_assert(std::is_nothrow_move_constructible_v<slice> && std::is_nothrow_move_assignable_v<slice>);
}

void slice_goes_to_c_and_back()
{
    slice a = slice::copy("abc");
    qy_slice raw = a.release();
    CHECK(a.empty() && raw.iov_len == 3);
    a = slice::take(raw);
    CHECK(a.view() == "abc" && references(a) == 1);
    char *p = static_cast<char *>(a.into_raw());
    CHECK(a.empty() && std::string_view(p, 3) == "abc");
    slice adopted = slice::adopt(p, 2);
    CHECK(adopted.view() == "ab" && adopted.data() == p);
    CHECK(slice().into_raw() == nullptr);
}

void slice_errors_are_exceptions()
{
    char stack[4] = "abc";
    const slice a = slice::copy("abc");
    CHECK(errno_of([&] { (void)slice::from(stack, 3); }) == EINVAL);
    CHECK(errno_of([&] { (void)a.sub(4); }) == ERANGE);
    CHECK(errno_of([&] { (void)a.sub(2, 2); }) == ERANGE);
    CHECK(errno_of([&] { (void)a.clone().split_to(4); }) == ERANGE);
    CHECK(errno_of([&] { (void)a.clone().split_off(4); }) == ERANGE);
    CHECK(errno_of([&] { a.clone().advance(4); }) == ERANGE);
    CHECK(errno_of([&] { (void)slice::make(bb_hide_size(SIZE_MAX)); }) == ENOMEM);
    CHECK(errno_of([&] { (void)slice::make_aligned(3, 10); }) == EINVAL);
    CHECK(errno_of([&] { (void)slice::map(-1); }) == EBADF);
    slice frames[2];
    CHECK(errno_of([&] { (void)a.clone().split_steps(0, frames, 2); }) == EINVAL);
    CHECK(references(a) == 1);
}

void slice_nothrow_forms_are_empty_on_failure()
{
    errno = 0;
    CHECK(slice::make(bb_hide_size(SIZE_MAX), std::nothrow).empty() && errno == ENOMEM);
    const slice a = slice::copy("abc", std::nothrow);
    errno = 0;
    CHECK(a.sub(2, 2, std::nothrow).empty() && errno == ERANGE);
    CHECK(a.sub(4, slice::npos, std::nothrow).empty());
    CHECK(a.sub(1, 2, std::nothrow).view() == "bc" && a.clone(std::nothrow).view() == "abc");
    CHECK(a.sub(1, slice::npos, std::nothrow).view() == "bc");
}

void slice_of_nothing_is_no_error()
{
    CHECK(slice::make(0).empty() && slice::copy("").empty() && slice::constant("").empty() && slice::zeroed(0).empty());
    const slice a = slice::copy("abc");
    CHECK(a.sub(3).empty() && a.sub(1, 0).empty() && slice().clone().empty() && slice().view().empty());
    CHECK(references(a) == 1);
    CHECK(slice() == slice::make(0));
}

/* What the call took is let go at once, and what it did not take is not lost silently. */
void slice_of_no_bytes_owns_nothing()
{
    char stack[4] = "abc";
    const slice a = slice::copy("abcd");
    CHECK(qy_retain(a.data()) == 0);
    errno = EDOM;
    CHECK(slice::adopt(const_cast<char *>(a.data()), 0).empty() && references(a) == 1);
    CHECK(slice::adopt(nullptr, 0).empty());
    int calls = 0;
    const auto count = [](void *, std::size_t, void *context) { ++*static_cast<int *>(context); };
    CHECK(slice::foreign(stack, 0, count, &calls).empty() && calls == 1);
    CHECK(errno == EDOM);
    CHECK(errno_of([&] { (void)slice::adopt(stack, 0); }) == EINVAL);
    CHECK(errno_of([&] { (void)slice::adopt(const_cast<char *>(a.data()) + 1, 0); }) == EINVAL);
    CHECK(references(a) == 1);
}

void slice_is_cut_and_joined()
{
    slice rest = slice::copy("headbodytail");
    slice head = rest.split_to(4);
    slice tail = rest.split_off(4);
    CHECK(head.view() == "head" && rest.view() == "body" && tail.view() == "tail" && references(head) == 3);
    CHECK(!head.unsplit(std::move(tail)) && tail.view() == "tail");
    CHECK(head.unsplit(std::move(rest)) && head.view() == "headbody" && rest.empty() && references(head) == 2);
    CHECK(rest.unsplit(std::move(tail)) && rest.view() == "tail");
    rest.advance(1);
    rest.truncate(2);
    CHECK(rest.view() == "ai");
    CHECK(head.split_to(8).view() == "headbody" && head.empty());
}

void slice_frames_drop_what_the_array_held()
{
    const slice old = slice::copy("old");
    std::array<slice, 4> frames;
    frames[3] = old.clone();
    slice lines = slice::copy("one\ntwo\nthr");
    CHECK(lines.split_lines('\n', frames.data(), frames.size()) == 2);
    CHECK(frames[0].view() == "one" && frames[1].view() == "two" && lines.view() == "thr" && references(old) == 1);
    slice steps = slice::copy("aabbc");
    CHECK(steps.split_steps(2, frames.data(), frames.size()) == 2 && frames[1].view() == "bb" && steps.view() == "c");
    slice prefixed = slice::copy("\x02hi\x03"sv);
    CHECK(prefixed.split_prefixed(1, false, 100, frames.data(), frames.size()) == 1 && frames[0].view() == "hi");
    quarry::reset(frames.data(), frames.size());
    CHECK(frames[0].empty() && references(prefixed) == 1);
}

void slice_array_is_an_iovec_array()
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    const slice whole = slice::copy("0123456789");
    const std::array<slice, 3> message{whole.sub(0, 2), whole.sub(4, 2), whole.sub(8)};
    CHECK(writev(ends[1], quarry::iov(message.data()), 3) == 6);
    char text[8] = "";
    CHECK(read(ends[0], text, sizeof text) == 6 && std::string_view(text) == "014589");
    close(ends[0]);
    close(ends[1]);
}

void slice_is_written_by_its_only_owner()
{
    slice a = slice::copy("abc");
    const char *before = a.data();
    a.make_mut()[0] = 'A';
    CHECK(a.view() == "Abc" && a.data() == before);
    slice b = a.clone();
    errno = 0;
    CHECK(a.try_mut() == nullptr && errno == 0);
    b.make_mut()[0] = 'B';
    CHECK(a.view() == "Abc" && b.view() == "Bbc" && a.try_mut() == a.data());
    CHECK(slice().make_mut() == nullptr);
    slice large = slice::zeroed(60000);
    slice small = large.sub(100, 10);
    CHECK(small.compact(50) && !small.compact(1) && references(large) == 1);
}

void slice_reads_like_a_range()
{
    const slice a = slice::copy("find the needle");
    CHECK(a.find("needle") == 9 && a.find("x") == slice::npos && a.find("e", 10) == 10 && a[0] == 'f');
    CHECK(std::string(a.begin(), a.end()) == a.view() && std::string_view(a).size() == a.size());
    const slice b = slice::copy("find");
    CHECK(b < a && b != a);
#if __cplusplus >= 202002L
    const std::span<const char> span(a);
    CHECK(span.data() == a.data() && span.size() == a.size());
#endif
}

void slice_of_constant_foreign_and_mapped_memory()
{
    static const char text[] = "constant";
    slice constant = slice::constant(text);
    CHECK(constant.data() == text && constant.clone().data() == text && !constant.is_unique());
    static char memory[64];
    int released = 0;
    {
        slice foreign = slice::foreign(
            memory, sizeof memory, [](void *, std::size_t, void *context) { ++*static_cast<int *>(context); },
            &released);
        const slice part = foreign.sub(10, 10);
        foreign.reset();
        CHECK(released == 0 && part.data() == memory + 10);
    }
    CHECK(released == 1);
    FILE *file = tmpfile();
    CHECK(file != nullptr && fputs("in a file", file) >= 0 && fflush(file) == 0);
    CHECK(slice::map(fileno(file), 5).view() == "file" && slice::map(fileno(file), 9).empty());
    fclose(file);
}

void slices_are_shared_by_threads()
{
    const slice shared = slice::copy(std::string(1000, 'x'));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) {
        threads.emplace_back([mine = shared.clone()] {
            std::vector<slice> parts;
            for (std::size_t k = 0; k < 500; k++)
                parts.push_back(mine.sub(k, 10));
            for (const slice &part : parts)
                CHECK(part.view() == "xxxxxxxxxx");
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    CHECK(references(shared) == 1);
}

#ifdef QUARRY_HPP_BUILDER

void builder_grows_at_both_ends_and_becomes_slices()
{
    quarry::builder builder(16, 4);
    CHECK(builder.empty() && builder.room() >= 16 && builder.headroom() >= 4);
    builder.append("number ");
    builder.printf("%d of %s", 7, "ten");
    builder.prepend_be(static_cast<std::uint32_t>(builder.size()));
    CHECK(builder.view() == "\0\0\0\x0fnumber 7 of ten"sv);
    const slice first = builder.split();
    CHECK(builder.empty() && first.view() == "\0\0\0\x0fnumber 7 of ten"sv);
    builder.append(std::string(1000, 'x'));
    builder.data()[0] = 'X';
    CHECK(builder.split_to(2).view() == "Xx" && builder.size() == 998);
    builder.prepend("front");
    const slice rest = builder.freeze();
    CHECK(rest.view().substr(0, 6) == "frontx" && rest.size() == 1003 && builder.empty() && references(rest) == 1);
}

void builder_writes_integers()
{
    quarry::builder builder;
    builder.append_be(std::uint8_t{1});
    builder.append_be(std::uint16_t{0x0203});
    builder.append_le(std::uint32_t{0x04050607});
    builder.append_be(std::uint64_t{0x08090a0b0c0d0e0f});
    CHECK(builder.view() == "\x01\x02\x03\x07\x06\x05\x04\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"sv);
    builder.clear();
    builder.append_varint(300);
    builder.append_zigzag(-1);
    CHECK(builder.view() == "\xac\x02\x01"sv);
}

void builder_moves_and_reads_into_its_room()
{
    quarry::builder a;
    char *spare = a.spare(100);
    CHECK(spare != nullptr && a.room() >= 100);
    spare[0] = 's';
    a.commit(1);
    quarry::builder b = std::move(a);
    CHECK(a.empty() && b.view() == "s");
    a = std::move(b);
    CHECK(b.empty() && a.view() == "s");
    CHECK(errno_of([&] { a.commit(a.room() + 1); }) == ERANGE);
    CHECK(errno_of([&] { (void)a.split_to(2); }) == ERANGE);
    CHECK(errno_of([&] { a.reserve(bb_hide_size(SIZE_MAX / 2)); }) == ENOMEM);
    CHECK(errno_of([&] { quarry::builder huge(bb_hide_size(SIZE_MAX / 2)); }) == ENOMEM);
    CHECK(a.view() == "s");
    a.reserve(10);
    CHECK(a.try_reclaim(10));
}

#endif

#ifdef QUARRY_HPP_CHAIN

std::string text_of(const quarry::chain &chain)
{
    std::string text;
    for (const slice &part : chain)
        text += part.view();
    return text;
}

void chain_takes_lends_and_gives_back()
{
    const slice whole = slice::copy("header body trailer");
    quarry::chain chain;
    slice header = whole.sub(0, 7);
    chain.push(std::move(header));
    CHECK(header.empty() && references(whole) == 2);
    chain.push_clone(whole.sub(7, 5));
    chain.push_front(slice::copy("> "));
    const std::array<slice, 2> ends{whole.sub(12, 3), slice::copy("!")};
    chain.push_clones(ends.data(), ends.size());
    CHECK(text_of(chain) == "> header body tra!" && chain.bytes() == 18);
    char copied[8] = "";
    CHECK(chain.copy_out(2, copied, 6) == 6 && std::string_view(copied) == "header");
    chain.drain(2);
    CHECK(chain.take(6).view() == "header");
    quarry::chain front = chain.split(6);
    CHECK(text_of(front) == " body " && text_of(chain) == "tra!");
    front.append(std::move(chain));
    CHECK(text_of(front) == " body tra!" && chain.empty() && chain.size() == 0);
    front.coalesce(front.bytes());
    CHECK(front.begin()->view() == " body tra!");
    front.clear();
    CHECK(front.empty() && references(whole) == 2);
}

void chain_moves_with_its_slices()
{
    const slice whole = slice::copy("abcdefghijklmnop");
    quarry::chain a;
    for (std::size_t i = 0; i < 16; i += 2)
        a.push(whole.sub(i, 1)); /* not neighbours */
    quarry::chain b = std::move(a);
    CHECK(a.empty() && text_of(b) == "acegikmo" && references(whole) == 9);
    quarry::chain c;
    c.push(slice::copy("gone"));
    c = std::move(b);
    CHECK(text_of(c) == "acegikmo" && b.empty());
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(writev(ends[1], c.iov(), static_cast<int>(c.size())) == 8);
    close(ends[0]);
    close(ends[1]);
    c = quarry::chain();
    CHECK(references(whole) == 1);
}

void chain_errors_leave_the_slice_with_the_caller()
{
    quarry::chain chain;
    CHECK(errno_of([&] { chain.drain(1); }) == ERANGE);
    CHECK(errno_of([&] { (void)chain.take(1); }) == ERANGE);
    CHECK(errno_of([&] { (void)chain.split(1); }) == ERANGE);
    CHECK(errno_of([&] { chain.coalesce(1); }) == ERANGE);
    CHECK(chain.empty() && chain.take(0).empty());
}

void chain_reports_watermarks_until_it_ends()
{
    int high = 0, low = 0;
    std::pair<int *, int *> counters(&high, &low);
    qy_chain_marks marks = {};
    marks.high = 4;
    marks.low = 1;
    marks.on_high = [](qy_chain *, void *context) { ++*static_cast<std::pair<int *, int *> *>(context)->first; };
    marks.on_low = [](qy_chain *, void *context) { ++*static_cast<std::pair<int *, int *> *>(context)->second; };
    marks.context = &counters;
    {
        quarry::chain chain;
        chain.watch(&marks);
        chain.push(slice::copy("abcd"));
        CHECK(high == 1 && low == 0);
        chain.drain(3);
        CHECK(low == 1);
        chain.push(slice::copy("abcd"));
        CHECK(high == 2);
    }
    CHECK(low == 1);
}

#endif

struct alignas(128) aligned {
    char byte;
};

void allocator_serves_containers()
{
    std::vector<int, quarry::allocator<int>> numbers;
    for (int i = 0; i < 10000; i++)
        numbers.push_back(i);
    CHECK(numbers[9999] == 9999 && qy_base(numbers.data()) == numbers.data());
    std::map<int, int, std::less<>, quarry::allocator<std::pair<const int, int>>> map;
    for (int i = 0; i < 1000; i++)
        map[i] = i;
    CHECK(map.size() == 1000 && quarry::allocator<int>() == quarry::allocator<char>());
    std::vector<aligned, quarry::allocator<aligned>> lines(3);
    CHECK(bb_aligned(&lines[1], 128));
    quarry::allocator<int> ints;
    CHECK(errno_of([&] { (void)ints.allocate(bb_hide_size(SIZE_MAX / 2)); }) == ENOMEM);
    CHECK(errno_of([&] { (void)ints.allocate(bb_hide_size(SIZE_MAX / 16)); }) == ENOMEM);
}

void memory_of_a_container_can_be_sliced()
{
    std::vector<char, quarry::allocator<char>> bytes(100, 'b');
    slice part = slice::from(&bytes[10], 5);
    std::vector<char, quarry::allocator<char>>().swap(bytes); /* frees: drops one of two references */
    CHECK(part.view() == "bbbbb" && references(part) == 1);
}

void resource_serves_pmr()
{
    std::pmr::memory_resource *resource = quarry::resource();
    CHECK(resource == quarry::resource() && *resource == *quarry::resource());
    CHECK(!(*resource == *std::pmr::new_delete_resource()));
    std::pmr::vector<std::pmr::string> strings(resource);
    for (int i = 0; i < 100; i++)
        strings.emplace_back(std::size_t{100}, 's');
    CHECK(qy_base(strings.back().data()) == strings.back().data());
    for (std::size_t align = 1; align <= 8192; align *= 2) {
        for (std::size_t size : {0, 1, 8, 24, 100, 5000}) {
            void *p = resource->allocate(size, align);
            CHECK(bb_aligned(p, align), "%zu bytes aligned to %zu", size, align);
            resource->deallocate(p, size, align);
        }
    }
    CHECK(errno_of([&] { (void)resource->allocate(bb_hide_size(SIZE_MAX / 2)); }) == ENOMEM);
}

#ifdef QUARRY_HPP_POOL

struct connection {
    static inline int made = 0, ended = 0, resets = 0, throw_next = 0;

    connection()
    {
        if (throw_next == 1)
            throw std::bad_alloc();
        if (throw_next == 2)
            throw std::runtime_error("no");
        made++;
    }
    ~connection()
    {
        ended++;
    }
    void reset() noexcept
    {
        resets++;
        text.clear();
    }
    std::string text;
};

void pool_makes_resets_and_destroys_its_objects()
{
    {
        quarry::pool<connection> pool(quarry::pool_limits{1, 2, 2, 0});
        CHECK(connection::made == 1);
        {
            quarry::pooled_ptr<connection> a = pool.acquire();
            a->text = "used";
            quarry::pooled_ptr<connection> b = pool.acquire();
            CHECK(connection::made == 2 && a.get() != b.get() && bb_aligned(b.get(), 64));
            CHECK(pool.try_acquire() == nullptr && !pool.try_acquire_for(1));
            b = std::move(a);
            CHECK(a == nullptr && b != nullptr && connection::resets == 1 && (*b).text == "used");
            CHECK(pool.stats().in_use == 1);
        }
        CHECK(connection::resets == 2 && connection::ended == 0 && pool.acquire()->text.empty());
        qy_pool_release(pool.raw(), pool.acquire().release());
        CHECK(pool.stats().in_use == 0 && pool.trim() == 2);
    }
    CHECK(connection::made == 2 && connection::ended == 2);
}

void pool_reports_constructors_that_throw()
{
    quarry::pool<connection> pool;
    connection::throw_next = 1;
    CHECK(errno_of([&] { (void)pool.acquire(); }) == ENOMEM);
    connection::throw_next = 2;
    CHECK(errno_of([&] { (void)pool.acquire(); }) == ECANCELED);
    connection::throw_next = 0;
    CHECK(pool.acquire() != nullptr);
}

#endif

} // namespace

int main()
{
    slice_drops_its_reference_at_the_end_of_its_scope();
    slice_moves_its_reference();
    slice_goes_to_c_and_back();
    slice_errors_are_exceptions();
    slice_nothrow_forms_are_empty_on_failure();
    slice_of_nothing_is_no_error();
    slice_of_no_bytes_owns_nothing();
    slice_is_cut_and_joined();
    slice_frames_drop_what_the_array_held();
    slice_array_is_an_iovec_array();
    slice_is_written_by_its_only_owner();
    slice_reads_like_a_range();
    slice_of_constant_foreign_and_mapped_memory();
    slices_are_shared_by_threads();
    allocator_serves_containers();
    memory_of_a_container_can_be_sliced();
    resource_serves_pmr();
#ifdef QUARRY_HPP_BUILDER
    builder_grows_at_both_ends_and_becomes_slices();
    builder_writes_integers();
    builder_moves_and_reads_into_its_room();
#endif
#ifdef QUARRY_HPP_CHAIN
    chain_takes_lends_and_gives_back();
    chain_moves_with_its_slices();
    chain_errors_leave_the_slice_with_the_caller();
    chain_reports_watermarks_until_it_ends();
#endif
#ifdef QUARRY_HPP_POOL
    pool_makes_resets_and_destroys_its_objects();
    pool_reports_constructors_that_throw();
#endif
    return 0;
}

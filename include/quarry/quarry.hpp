/*
 * quarry.hpp: Quarry for C++17. A header over the C functions; it needs nothing but the standard library.
 *
 *     quarry::slice            counted bytes (slice.h): moves, never copies silently, drops its reference at the end
 *     quarry::builder          bytes in the making, which become slices (builder.h)
 *     quarry::chain            a queue of slices that writev() takes as it stands (chain.h)
 *     quarry::allocator<T>     for containers
 *     quarry::resource()       for std::pmr
 *     quarry::pool<T>, pooled_ptr<T>     objects that are used again and again (pool.h)
 *
 * Errors     exceptions: std::bad_alloc for ENOMEM, std::system_error with the errno value for the rest. Functions that take
 *            std::nothrow return an empty object instead, and leave the reason in errno. Nothing has changed then.
 * Ownership  copying a slice would hide the cost of a reference, so that there is no copying: say clone(). A moved-from
 *            object is empty and may be used again.
 * Threads    different objects may be used by different threads at once, also when they share a block; one object, by one at a
 *            time.
 * Layout     a slice is a qy_slice, which is a struct iovec: an array of slices goes to writev() by way of quarry::iov().
 */
#ifndef QUARRY_QUARRY_HPP
#define QUARRY_QUARRY_HPP

#include "quarry/quarry.h"
#include "quarry/ref.h"
#include "quarry/slice.h"
#if __has_include("quarry/builder.h")
#include "quarry/builder.h"
#define QUARRY_HPP_BUILDER 1
#endif
#if __has_include("quarry/chain.h")
#include "quarry/chain.h"
#define QUARRY_HPP_CHAIN 1
#endif
#if __has_include("quarry/pool.h")
#include "quarry/pool.h"
#define QUARRY_HPP_POOL 1
#endif

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <new>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace quarry
{

namespace detail
{

/* Report errno, or end the program where there are no exceptions. */
[[noreturn]] inline void fail(const char *what)
{
#if defined(__cpp_exceptions)
    if (errno == ENOMEM)
        throw std::bad_alloc();
    throw std::system_error(errno, std::generic_category(), what);
#else
    (void)what;
    std::abort();
#endif
}

inline void *allocate(std::size_t bytes, std::size_t align) noexcept
{
    /* What malloc gives anyway: 16 bytes, if there are that many. */
    return align <= 16 && align <= bytes ? qy_malloc(bytes) : qy_aligned_alloc(align, bytes);
}

} // namespace detail

/* ---- slices ---- */

class slice
{
  public:
    using value_type = char;
    using const_iterator = const char *;

    static constexpr std::size_t npos = static_cast<std::size_t>(-1);

    /* Empty: owns nothing. */
    constexpr slice() noexcept = default;

    slice(slice &&other) noexcept : raw_(other.release())
    {
    }

    slice &operator=(slice &&other) noexcept
    {
        if (this != &other) {
            reset();
            raw_ = other.release();
        }
        return *this;
    }

    slice(const slice &) = delete;
    slice &operator=(const slice &) = delete;

    ~slice()
    {
        reset();
    }

    /* ---- making; each as the function qy_slice_... of that name ---- */

    /* A block of its own, aligned to 64 bytes; the contents are not defined. */
    [[nodiscard]] static slice make(std::size_t length)
    {
        return checked(qy_slice_new(length), length, "quarry::slice::make");
    }

    [[nodiscard]] static slice make(std::size_t length, std::nothrow_t) noexcept
    {
        return slice(qy_slice_new(length));
    }

    [[nodiscard]] static slice make_aligned(std::size_t align, std::size_t length)
    {
        return checked(qy_slice_new_aligned(align, length), length, "quarry::slice::make_aligned");
    }

    [[nodiscard]] static slice zeroed(std::size_t length)
    {
        return checked(qy_slice_zeroed(length), length, "quarry::slice::zeroed");
    }

    [[nodiscard]] static slice copy(std::string_view bytes)
    {
        return checked(qy_slice_copy(bytes.data(), bytes.size()), bytes.size(), "quarry::slice::copy");
    }

    [[nodiscard]] static slice copy(std::string_view bytes, std::nothrow_t) noexcept
    {
        return slice(qy_slice_copy(bytes.data(), bytes.size()));
    }

    /* Takes a block from malloc under Quarry, with length bytes in use (0: frees it); still the caller's when this throws. */
    [[nodiscard]] static slice adopt(void *p, std::size_t length)
    {
        return maybe_empty([&] { return qy_slice_adopt(p, length); }, "quarry::slice::adopt");
    }

    /* Bytes that live as long as the process. */
    [[nodiscard]] static slice constant(std::string_view bytes)
    {
        return checked(qy_slice_static(bytes.data(), bytes.size()), bytes.size(), "quarry::slice::constant");
    }

    /* Memory of another origin; release(p, length, context) is called at the last release (length 0: at once), and must not
     * throw. Still the caller's when this throws. */
    [[nodiscard]] static slice foreign(void *p, std::size_t length, void (*release)(void *, std::size_t, void *),
                                       void *context = nullptr)
    {
        return maybe_empty([&] { return qy_slice_foreign(p, length, release, context); }, "quarry::slice::foreign");
    }

    /* Part of a file; length 0: up to its end. Empty if there is nothing. */
    [[nodiscard]] static slice map(int fd, off_t offset = 0, std::size_t length = 0)
    {
        return maybe_empty([&] { return qy_slice_map(fd, offset, length); }, "quarry::slice::map");
    }

    /* A reference for bytes inside a block that somebody keeps alive meanwhile. */
    [[nodiscard]] static slice from(const void *p, std::size_t length)
    {
        return checked(qy_slice_from(p, length), length, "quarry::slice::from");
    }

    /* Takes the reference that a C slice owns. */
    [[nodiscard]] static slice take(qy_slice raw) noexcept
    {
        return slice(raw);
    }

    /* ---- sharing ---- */

    [[nodiscard]] slice clone() const
    {
        return checked(qy_slice_clone(raw_), raw_.iov_len, "quarry::slice::clone");
    }

    [[nodiscard]] slice clone(std::nothrow_t) const noexcept
    {
        return slice(qy_slice_clone(raw_));
    }

    /* Another reference, to length bytes (npos: the rest) from offset on. */
    [[nodiscard]] slice sub(std::size_t offset, std::size_t length = npos) const
    {
        const std::size_t wanted = rest(offset, length);
        if (offset > raw_.iov_len) {
            errno = ERANGE;
            detail::fail("quarry::slice::sub");
        }
        return checked(qy_slice_sub(raw_, offset, wanted), wanted, "quarry::slice::sub");
    }

    [[nodiscard]] slice sub(std::size_t offset, std::size_t length, std::nothrow_t) const noexcept
    {
        return slice(qy_slice_sub(raw_, offset, rest(offset, length)));
    }

    /* Drop the reference. */
    void reset() noexcept
    {
        if (raw_.iov_len != 0)
            qy_slice_drop(&raw_);
    }

    /* Hand the reference over to C; the slice becomes empty. */
    [[nodiscard]] qy_slice release() noexcept
    {
        return std::exchange(raw_, qy_slice{nullptr, 0});
    }

    /* A pointer that plain free() takes, with the bytes at its start; the slice becomes empty. nullptr for an empty one. */
    [[nodiscard]] void *into_raw()
    {
        if (empty())
            return nullptr;
        void *p = qy_slice_into_raw(&raw_);
        if (p == nullptr)
            detail::fail("quarry::slice::into_raw");
        return p;
    }

    /* Lent to a C function. */
    const qy_slice &raw() const noexcept
    {
        return raw_;
    }

    /* ---- cutting ---- */

    /* Cut at `at`: returns the front, keeps the rest. */
    [[nodiscard]] slice split_to(std::size_t at)
    {
        return checked(qy_slice_split_to(&raw_, at), at, "quarry::slice::split_to");
    }

    /* Cut at `at`: keeps the front, returns the rest. */
    [[nodiscard]] slice split_off(std::size_t at)
    {
        const std::size_t back = raw_.iov_len - at; /* out of range: huge or ERANGE, but never 0 */
        return checked(qy_slice_split_off(&raw_, at), back, "quarry::slice::split_off");
    }

    void truncate(std::size_t length) noexcept
    {
        qy_slice_truncate(&raw_, length);
    }

    void advance(std::size_t bytes)
    {
        if (qy_slice_advance(&raw_, bytes) != 0)
            detail::fail("quarry::slice::advance");
    }

    /* Take in what follows in the same block. False: it does not, and is still the caller's. */
    [[nodiscard]] bool unsplit(slice &&back) noexcept
    {
        const int saved = errno;
        const bool joined = qy_slice_unsplit(&raw_, &back.raw_) == 0;
        errno = saved;
        return joined;
    }

    /*
     * Frames off the front, one atomic operation for all of them: see qy_slice_split_steps() and the others. What frames[]
     * held is dropped. Returns how many there are.
     */
    std::size_t split_steps(std::size_t step, slice *frames, std::size_t max)
    {
        return counted(qy_slice_split_steps(&raw_, step, prepared(frames, max), max), "quarry::slice::split_steps");
    }

    std::size_t split_lines(char delimiter, slice *frames, std::size_t max)
    {
        return counted(qy_slice_split_lines(&raw_, delimiter, prepared(frames, max), max),
                       "quarry::slice::split_lines");
    }

    std::size_t split_prefixed(unsigned prefix, bool with_prefix, std::size_t max_length, slice *frames,
                               std::size_t max)
    {
        return counted(qy_slice_split_prefixed(&raw_, prefix, with_prefix, max_length, prepared(frames, max), max),
                       "quarry::slice::split_prefixed");
    }

    /* ---- writing ---- */

    /* The bytes for writing: in place for the only owner, of a copy otherwise. */
    [[nodiscard]] char *make_mut()
    {
        void *p = qy_slice_make_mut(&raw_);
        if (p == nullptr && !empty())
            detail::fail("quarry::slice::make_mut");
        return static_cast<char *>(p);
    }

    /* nullptr if there are other owners. */
    [[nodiscard]] char *try_mut() noexcept
    {
        const int saved = errno;
        void *p = qy_slice_try_mut(&raw_);
        errno = saved;
        return static_cast<char *>(p);
    }

    /* Copy the bytes out if they are less than min_percent of their block. True: they were copied. */
    bool compact(unsigned min_percent)
    {
        const int result = qy_slice_compact(&raw_, min_percent);
        if (result < 0)
            detail::fail("quarry::slice::compact");
        return result != 0;
    }

    /* ---- looking ---- */

    const char *data() const noexcept
    {
        return static_cast<const char *>(raw_.iov_base);
    }

    std::size_t size() const noexcept
    {
        return raw_.iov_len;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return raw_.iov_len == 0;
    }

    const char *begin() const noexcept
    {
        return data();
    }

    const char *end() const noexcept
    {
        return data() + size();
    }

    const char &operator[](std::size_t index) const noexcept
    {
        return data()[index];
    }

    std::string_view view() const noexcept
    {
        return empty() ? std::string_view() : std::string_view(data(), size());
    }

    explicit operator std::string_view() const noexcept
    {
        return view();
    }

    /* Offset of the first occurrence at or after from, or npos. */
    std::size_t find(std::string_view needle, std::size_t from = 0) const noexcept
    {
        const ssize_t found = qy_slice_find(raw_, from, needle.data(), needle.size());
        return found < 0 ? npos : static_cast<std::size_t>(found);
    }

    /* The only owner of a block that may be written to. */
    bool is_unique() const noexcept
    {
        return !empty() && qy_is_unique(raw_.iov_base);
    }

    friend bool operator==(const slice &a, const slice &b) noexcept
    {
        return qy_slice_equal(a.raw_, b.raw_);
    }

    friend bool operator!=(const slice &a, const slice &b) noexcept
    {
        return !(a == b);
    }

    friend bool operator<(const slice &a, const slice &b) noexcept
    {
        return qy_slice_compare(a.raw_, b.raw_) < 0;
    }

    friend void swap(slice &a, slice &b) noexcept
    {
        std::swap(a.raw_, b.raw_);
    }

  private:
    explicit constexpr slice(qy_slice raw) noexcept : raw_(raw)
    {
    }

    /* The call may give an empty slice and be right: errno tells an error. */
    template <typename Call> static slice maybe_empty(Call call, const char *what)
    {
        const int saved = errno;
        errno = 0;
        const qy_slice raw = call();
        if (raw.iov_len == 0 && errno != 0)
            detail::fail(what);
        errno = saved;
        return slice(raw);
    }

    /* Empty although something was asked for: an error. */
    static slice checked(qy_slice raw, std::size_t asked_for, const char *what)
    {
        if (raw.iov_len == 0 && asked_for != 0)
            detail::fail(what);
        return slice(raw);
    }

    static std::size_t counted(ssize_t count, const char *what)
    {
        if (count < 0)
            detail::fail(what);
        return static_cast<std::size_t>(count);
    }

    static qy_slice *prepared(slice *frames, std::size_t max) noexcept
    {
        for (std::size_t i = 0; i < max; i++)
            frames[i].reset();
        return reinterpret_cast<qy_slice *>(frames); /* one is the other's first member, and as large */
    }

    std::size_t rest(std::size_t offset, std::size_t length) const noexcept
    {
        return length == npos && offset <= raw_.iov_len ? raw_.iov_len - offset : length;
    }

    qy_slice raw_{nullptr, 0};
};

static_assert(sizeof(slice) == sizeof(qy_slice) && std::is_standard_layout_v<slice>, "a slice is an iovec");

/* An array of slices as writev() and its like take it. nullptr for nullptr. */
inline const qy_slice *iov(const slice *slices) noexcept
{
    return reinterpret_cast<const qy_slice *>(slices);
}

/* Drop count slices: neighbours that lie in one block cost one atomic operation. */
inline void reset(slice *slices, std::size_t count) noexcept
{
    if (count != 0)
        qy_slices_drop(const_cast<qy_slice *>(iov(slices)), count); /* the array is not const */
}

#ifdef QUARRY_HPP_BUILDER

/* ---- builders ---- */

/* Bytes in the making; each function as qy_builder_... of that name. What throws changes nothing. */
class builder
{
  public:
    /* Without a block until there is something to put into it. */
    builder() noexcept = default;

    /* With room for so many bytes at the end and in front. */
    explicit builder(std::size_t capacity, std::size_t headroom = 0)
    {
        check(qy_builder_init(&raw_, capacity, headroom), "quarry::builder");
    }

    builder(builder &&other) noexcept : raw_(std::exchange(other.raw_, qy_builder()))
    {
    }

    builder &operator=(builder &&other) noexcept
    {
        if (this != &other) {
            qy_builder_drop(&raw_);
            raw_ = std::exchange(other.raw_, qy_builder());
        }
        return *this;
    }

    builder(const builder &) = delete;
    builder &operator=(const builder &) = delete;

    ~builder()
    {
        qy_builder_drop(&raw_);
    }

    /* ---- room ---- */

    void reserve(std::size_t bytes)
    {
        check(qy_builder_reserve(&raw_, bytes), "quarry::builder::reserve");
    }

    bool try_reclaim(std::size_t bytes) noexcept
    {
        return qy_builder_try_reclaim(&raw_, bytes);
    }

    /* Where the next bytes go, at least so many, for read(): then commit(). room() says how many fit. */
    [[nodiscard]] char *spare(std::size_t bytes)
    {
        void *p = qy_builder_spare(&raw_, bytes, nullptr);
        if (p == nullptr && bytes != 0)
            detail::fail("quarry::builder::spare");
        return static_cast<char *>(p);
    }

    void commit(std::size_t bytes)
    {
        check(qy_builder_commit(&raw_, bytes), "quarry::builder::commit");
    }

    /* ---- writing ---- */

    void append(std::string_view bytes)
    {
        check(qy_builder_append(&raw_, bytes.data(), bytes.size()), "quarry::builder::append");
    }

    void prepend(std::string_view bytes)
    {
        check(qy_builder_prepend(&raw_, bytes.data(), bytes.size()), "quarry::builder::prepend");
    }

    /* As printf(); the arguments are checked by the compiler. */
    __attribute__((format(printf, 2, 3))) void printf(const char *format, ...)
    {
        va_list arguments;
        va_start(arguments, format);
        const int result = qy_builder_vprintf(&raw_, format, arguments);
        va_end(arguments);
        check(result, "quarry::builder::printf");
    }

    /* Unsigned integers of 8 to 64 bits, big and little endian. */
    template <typename T> void append_be(T value)
    {
        char bytes[sizeof(T)];
        store_be(bytes, value);
        append(std::string_view(bytes, sizeof bytes));
    }

    template <typename T> void append_le(T value)
    {
        char bytes[sizeof(T)];
        for (std::size_t i = 0; i < sizeof(T); i++)
            bytes[i] = byte_of(value, i);
        append(std::string_view(bytes, sizeof bytes));
    }

    template <typename T> void prepend_be(T value)
    {
        char bytes[sizeof(T)];
        store_be(bytes, value);
        prepend(std::string_view(bytes, sizeof bytes));
    }

    void append_varint(std::uint64_t value)
    {
        check(qy_builder_append_varint(&raw_, value), "quarry::builder::append_varint");
    }

    void append_zigzag(std::int64_t value)
    {
        check(qy_builder_append_zigzag(&raw_, value), "quarry::builder::append_zigzag");
    }

    void clear() noexcept
    {
        qy_builder_clear(&raw_);
    }

    /* ---- finishing ---- */

    /* All contents; the block goes with them. */
    [[nodiscard]] slice freeze() noexcept
    {
        return slice::take(qy_builder_freeze(&raw_));
    }

    /* The first bytes; the rest goes on in the same block. */
    [[nodiscard]] slice split_to(std::size_t bytes)
    {
        const qy_slice front = qy_builder_split_to(&raw_, bytes);
        if (front.iov_len == 0 && bytes != 0)
            detail::fail("quarry::builder::split_to");
        return slice::take(front);
    }

    [[nodiscard]] slice split()
    {
        return split_to(size());
    }

    /* ---- looking ---- */

    /* The contents, which may be changed in place, until the builder grows. */
    char *data() noexcept
    {
        return static_cast<char *>(qy_builder_data(&raw_));
    }

    std::string_view view() const noexcept
    {
        return empty() ? std::string_view()
                       : std::string_view(static_cast<const char *>(qy_builder_data(&raw_)), size());
    }

    std::size_t size() const noexcept
    {
        return qy_builder_length(&raw_);
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return size() == 0;
    }

    std::size_t room() const noexcept
    {
        return qy_builder_room(&raw_);
    }

    std::size_t headroom() const noexcept
    {
        return qy_builder_headroom(&raw_);
    }

    /* Lent to C functions. */
    qy_builder *raw() noexcept
    {
        return &raw_;
    }

  private:
    static void check(int result, const char *what)
    {
        if (result != 0)
            detail::fail(what);
    }

    /* Byte number i, the lowest being 0. */
    template <typename T> static char byte_of(T value, std::size_t i) noexcept
    {
        static_assert(std::is_unsigned_v<T> && sizeof(T) <= 8, "an unsigned integer");
        return static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
    }

    template <typename T> static void store_be(char *bytes, T value) noexcept
    {
        for (std::size_t i = 0; i < sizeof(T); i++)
            bytes[i] = byte_of(value, sizeof(T) - 1 - i);
    }

    qy_builder raw_{};
};

#endif

#ifdef QUARRY_HPP_CHAIN

/* ---- chains ---- */

/* A queue of slices; each function as qy_chain_... of that name. What throws changes nothing. */
class chain
{
  public:
    using value_type = slice;
    using const_iterator = const slice *;

    chain() noexcept
    {
        qy_chain_init(&raw_);
    }

    chain(chain &&other) noexcept
    {
        qy_chain_move(&raw_, &other.raw_);
    }

    chain &operator=(chain &&other) noexcept
    {
        if (this != &other) {
            end_watch();
            qy_chain_clear(&raw_);
            qy_chain_move(&raw_, &other.raw_);
        }
        return *this;
    }

    chain(const chain &) = delete;
    chain &operator=(const chain &) = delete;

    /* Reports no watermark. */
    ~chain()
    {
        end_watch();
        qy_chain_clear(&raw_);
    }

    /* ---- growing ---- */

    void push(slice &&bytes)
    {
        taken(bytes, qy_chain_push(&raw_, bytes.raw()), "quarry::chain::push");
    }

    void push_front(slice &&bytes)
    {
        taken(bytes, qy_chain_push_front(&raw_, bytes.raw()), "quarry::chain::push_front");
    }

    /* Another reference to the same bytes. */
    void push_clone(const slice &bytes)
    {
        check(qy_chain_push_clone(&raw_, bytes.raw()), "quarry::chain::push_clone");
    }

    /* All or none; one atomic addition per run of slices in one block. */
    void push_clones(const slice *slices, std::size_t count)
    {
        check(qy_chain_push_clones(&raw_, iov(slices), count), "quarry::chain::push_clones");
    }

    void append(chain &&from)
    {
        check(qy_chain_append(&raw_, &from.raw_), "quarry::chain::append");
    }

    /* ---- shrinking ---- */

    void clear() noexcept
    {
        qy_chain_clear(&raw_);
    }

    /* Leave out the first bytes: what writev() has sent. */
    void drain(std::size_t bytes)
    {
        check(qy_chain_drain(&raw_, bytes), "quarry::chain::drain");
    }

    /* The first bytes, as a chain of their own. */
    [[nodiscard]] chain split(std::size_t bytes)
    {
        chain front;
        check(qy_chain_split(&raw_, bytes, &front.raw_), "quarry::chain::split");
        return front;
    }

    /* The first bytes, as one slice. */
    [[nodiscard]] slice take(std::size_t bytes)
    {
        const qy_slice front = qy_chain_take(&raw_, bytes);
        if (front.iov_len == 0 && bytes != 0)
            detail::fail("quarry::chain::take");
        return slice::take(front);
    }

    /* ---- looking ---- */

    /* Make the first bytes contiguous. */
    void coalesce(std::size_t bytes)
    {
        check(qy_chain_coalesce(&raw_, bytes), "quarry::chain::coalesce");
    }

    std::size_t copy_out(std::size_t offset, void *to, std::size_t max) const noexcept
    {
        return qy_chain_copy_out(&raw_, offset, to, max);
    }

    std::size_t bytes() const noexcept
    {
        return raw_.bytes;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return raw_.bytes == 0;
    }

    /* How many slices; they are [begin(), end()), until the chain changes. */
    std::size_t size() const noexcept
    {
        return raw_.count;
    }

    const slice *begin() const noexcept
    {
        return reinterpret_cast<const slice *>(raw_.slices);
    }

    const slice *end() const noexcept
    {
        return begin() + raw_.count;
    }

    /* For writev() and its like, size() of them. */
    const qy_slice *iov() const noexcept
    {
        return raw_.slices;
    }

    /* marks is lent until the chain ends, or watches something else. */
    void watch(const qy_chain_marks *marks) noexcept
    {
        qy_chain_watch(&raw_, marks);
    }

    /* Lent to C functions. */
    qy_chain *raw() noexcept
    {
        return &raw_;
    }

  private:
    static const qy_slice *iov(const slice *slices) noexcept
    {
        return quarry::iov(slices);
    }

    static void check(int result, const char *what)
    {
        if (result != 0)
            detail::fail(what);
    }

    /* The chain has the reference now, or the slice still. */
    static void taken(slice &bytes, int result, const char *what)
    {
        check(result, what);
        (void)bytes.release();
    }

    void end_watch() noexcept
    {
        qy_chain_watch(&raw_, nullptr);
    }

    qy_chain raw_;
};

#endif

/* ---- memory ---- */

/* The standard's allocator: blocks of Quarry's, whatever the program's malloc is. All compare equal. */
template <typename T> class allocator
{
  public:
    using value_type = T;
    using is_always_equal = std::true_type;
    using propagate_on_container_move_assignment = std::true_type;

    constexpr allocator() noexcept = default;

    template <typename U> constexpr allocator(const allocator<U> &) noexcept
    {
    }

    [[nodiscard]] T *allocate(std::size_t count)
    {
        if (count > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T)) {
#if defined(__cpp_exceptions)
            throw std::bad_array_new_length();
#else
            std::abort();
#endif
        }
        void *p = detail::allocate(count * sizeof(T), alignof(T));
        if (p == nullptr)
            detail::fail("quarry::allocator");
        return static_cast<T *>(p);
    }

    void deallocate(T *p, std::size_t count) noexcept
    {
        qy_free_aligned_sized(p, alignof(T), count * sizeof(T));
    }

    template <typename U> friend constexpr bool operator==(const allocator &, const allocator<U> &) noexcept
    {
        return true;
    }

    template <typename U> friend constexpr bool operator!=(const allocator &, const allocator<U> &) noexcept
    {
        return false;
    }
};

namespace detail
{

class resource final : public std::pmr::memory_resource
{
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        void *p = detail::allocate(bytes, align);
        if (p == nullptr)
            fail("quarry::resource");
        return p;
    }

    void do_deallocate(void *p, std::size_t bytes, std::size_t align) override
    {
        qy_free_aligned_sized(p, align, bytes);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }
};

/* Never destroyed: containers may outlive everything. */
template <typename Resource> union eternal {
    constexpr eternal() noexcept : nothing()
    {
    }
    ~eternal()
    {
    }
    char nothing;
    Resource value;
};

} // namespace detail

/* The one memory resource; never ends. What it hands out can be retained and sliced like any block. */
inline std::pmr::memory_resource *resource() noexcept
{
    static detail::eternal<detail::resource> place;
    static std::pmr::memory_resource *const made = ::new (static_cast<void *>(&place.value)) detail::resource;
    return made;
}

#ifdef QUARRY_HPP_POOL

/* ---- pools of objects ---- */

template <typename T> class pool;

/* An object of a pool, which goes back at the end of the pointer. Must not outlive the pool. */
template <typename T> class pooled_ptr
{
  public:
    using element_type = T;

    constexpr pooled_ptr() noexcept = default;

    constexpr pooled_ptr(std::nullptr_t) noexcept
    {
    }

    pooled_ptr(pooled_ptr &&other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), object_(std::exchange(other.object_, nullptr))
    {
    }

    pooled_ptr &operator=(pooled_ptr &&other) noexcept
    {
        if (this != &other) {
            reset();
            pool_ = std::exchange(other.pool_, nullptr);
            object_ = std::exchange(other.object_, nullptr);
        }
        return *this;
    }

    pooled_ptr(const pooled_ptr &) = delete;
    pooled_ptr &operator=(const pooled_ptr &) = delete;

    ~pooled_ptr()
    {
        reset();
    }

    /* Give the object back now. */
    void reset() noexcept
    {
        if (object_ != nullptr)
            qy_pool_release(pool_, object_);
        pool_ = nullptr;
        object_ = nullptr;
    }

    /* The caller owes the pool's qy_pool_release(). */
    [[nodiscard]] T *release() noexcept
    {
        pool_ = nullptr;
        return std::exchange(object_, nullptr);
    }

    T *get() const noexcept
    {
        return object_;
    }

    T &operator*() const noexcept
    {
        return *object_;
    }

    T *operator->() const noexcept
    {
        return object_;
    }

    explicit operator bool() const noexcept
    {
        return object_ != nullptr;
    }

    friend bool operator==(const pooled_ptr &p, std::nullptr_t) noexcept
    {
        return p.object_ == nullptr;
    }

    friend bool operator!=(const pooled_ptr &p, std::nullptr_t) noexcept
    {
        return p.object_ != nullptr;
    }

  private:
    friend class pool<T>;

    pooled_ptr(qy_pool *pool, void *object) noexcept
        : pool_(object != nullptr ? pool : nullptr), object_(static_cast<T *>(object))
    {
    }

    qy_pool *pool_ = nullptr;
    T *object_ = nullptr;
};

/* Limits of a pool; see qy_pool_attr. */
struct pool_limits {
    std::size_t initial = 0;
    std::size_t max_objects = 0;
    std::size_t max_idle = 0;
    std::size_t thread_idle = 0;
};

/*
 * Objects of type T: made by T's default constructor, destroyed by its destructor, and used again between. When T has a
 * function reset() that is noexcept, it is called at every release.
 */
template <typename T> class pool
{
  public:
    explicit pool(const pool_limits &limits = pool_limits())
    {
        qy_pool_attr attr = qy_pool_attr();
        attr.object_bytes = sizeof(T);
        attr.align = alignof(T);
        attr.construct = construct;
        attr.reset = choose_reset(0);
        attr.destruct = std::is_trivially_destructible_v<T> ? nullptr : destruct;
        attr.initial = limits.initial;
        attr.max_objects = limits.max_objects;
        attr.max_idle = limits.max_idle;
        attr.thread_idle = limits.thread_idle;
        raw_ = qy_pool_new(&attr);
        if (raw_ == nullptr)
            detail::fail("quarry::pool");
    }

    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;

    ~pool()
    {
        qy_pool_destroy(raw_);
    }

    /* Waits at the maximum. */
    [[nodiscard]] pooled_ptr<T> acquire()
    {
        return checked(qy_pool_acquire(raw_));
    }

    /* Null when there is none; errno says why. */
    [[nodiscard]] pooled_ptr<T> try_acquire() noexcept
    {
        return pooled_ptr<T>(raw_, qy_pool_try_acquire(raw_));
    }

    [[nodiscard]] pooled_ptr<T> try_acquire_for(unsigned timeout_ms) noexcept
    {
        return pooled_ptr<T>(raw_, qy_pool_acquire_timeout(raw_, timeout_ms));
    }

    std::size_t trim(std::size_t keep = 0) noexcept
    {
        return qy_pool_trim(raw_, keep);
    }

    qy_pool_stats stats() const noexcept
    {
        qy_pool_stats stats;
        qy_pool_get_stats(raw_, &stats);
        return stats;
    }

    qy_pool *raw() const noexcept
    {
        return raw_;
    }

  private:
    pooled_ptr<T> checked(void *object)
    {
        if (object == nullptr)
            detail::fail("quarry::pool");
        return pooled_ptr<T>(raw_, object);
    }

    /* C code calls this: an exception becomes an errno value. */
    static int construct(void *object, void *) noexcept
    {
#if defined(__cpp_exceptions)
        try {
            ::new (object) T;
            return 0;
        } catch (const std::bad_alloc &) {
            return ENOMEM;
        } catch (const std::system_error &error) {
            return error.code().category() == std::generic_category() && error.code().value() > 0 ? error.code().value()
                                                                                                  : ECANCELED;
        } catch (...) {
            return ECANCELED;
        }
#else
        ::new (object) T;
        return 0;
#endif
    }

    static void destruct(void *object, void *) noexcept
    {
        static_cast<T *>(object)->~T();
    }

    using callback = void (*)(void *, void *);

    template <typename U = T, bool Safe = noexcept(std::declval<U &>().reset())>
    static constexpr callback choose_reset(int) noexcept
    {
        static_assert(Safe, "reset() of a pooled object must be noexcept");
        return [](void *object, void *) { static_cast<T *>(object)->reset(); };
    }

    template <typename U = T> static constexpr callback choose_reset(long) noexcept
    {
        return nullptr;
    }

    qy_pool *raw_;
};

#endif

} // namespace quarry

#endif

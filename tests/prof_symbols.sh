#!/bin/sh
# quarry prof names functions as they are in the source: an inlined one, and one of C++; and none of a file that is not the one that was
# profiled.
# shellcheck source-path=SCRIPTDIR source=report.sh disable=SC1091,SC2154 # set there
set -eu
. "$(dirname "$0")/report.sh"
[ -f "$QUARRY_LIB" ] || fail "no library at $QUARRY_LIB"
[ -n "${CXX-}" ] || { echo "skipped: there is no C++ compiler (Debian: apt-get install g++)"; exit 77; }
unset QUARRY_OPTIONS QUARRY_STATS QUARRY_ONLY QUARRY_PROF || true

cd "$folder"
cat >shop.cc <<'SOURCE'
#include <cstdlib>
#include <cstring>

static char *volatile kept[4000];

__attribute__((always_inline)) static inline char *take_inlined(std::size_t bytes)
{
    return static_cast<char *>(std::memset(std::malloc(bytes), 1, bytes));
}

namespace shop
{
template <typename Item> struct ledger {
    __attribute__((noinline)) void enter(std::size_t at, Item item)
    {
        kept[at] = take_inlined(item);
        __asm__ volatile("" ::: "memory"); // no tail call
    }
};
} // namespace shop

#ifdef OTHER // the same code elsewhere in the file
__attribute__((noinline, used)) static int other()
{
    return std::atoi("7");
}
#endif

int main()
{
    shop::ledger<long> ledger;
    for (std::size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        ledger.enter(i, 1000);
}
SOURCE
compile()
{
    # shellcheck disable=SC2086 # words
    $CXX -O2 -g -fno-omit-frame-pointer -Wl,--build-id "$@" -o shop shop.cc || fail "cannot compile"
}
compile
env LD_PRELOAD="$QUARRY_LIB" QUARRY_PROF="1:$folder/prof" QUARRY_OPTIONS=prof_rate:4K,prof_seed:3 ./shop || fail "the program fails"
[ -s prof ] || fail "no profile"

# folded: the stacks, outermost first, into $1; what is said on standard error, into err.
folded()
{
    "$quarry" prof --format=folded prof >"$1" 2>err || fail "quarry prof fails: $(cat err)"
}
folded stacks
if grep -q 'built without elfutils' err; then
    echo "skipped: quarry was built without symbols (Debian: apt-get install libdw-dev)"
    exit 77
fi
[ ! -s err ] || fail "says: $(cat err)"
grep -q '\(^\|;\)main;shop::ledger<long>::enter(unsigned long, long);take_inlined\(([^;]*)\)\? [0-9]*$' stacks ||
    fail "no stack with the functions' names: $(head -n 5 stacks)"
"$quarry" prof prof >list || fail "quarry prof fails"
grep -q 'shop::ledger<long>::enter' list || fail "the list does not name the function: $(head -n 20 list)"

# Another program of that name: not even its right addresses are its names, and the stacks stay as they are without names.
for way in -DOTHER --strip; do
    [ $way = --strip ] || compile $way
    [ $way != --strip ] || strip shop
    folded strangers
    [ "$(grep -c 'shop: not the file that was profiled (its build-id differs): no symbols from it$' err)" -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] ||
        fail "a stranger: says \"$(cat err)\""
    if grep -qE '(^|;)main;|ledger|take_inlined' strangers; then fail "a stranger gives names: $(head -n 5 strangers)"; fi
    grep -qE 'shop\+0x[0-9a-f]+;shop\+0x[0-9a-f]+ [0-9]+$' strangers || fail "no addresses: $(head -n 5 strangers)"
    [ "$(awk '{ n += $NF } END { print n }' strangers)" = "$(awk '{ n += $NF } END { print n }' stacks)" ] || fail "the sums differ"
done

# No program at all is nothing to talk about.
rm shop
folded orphans
[ ! -s err ] || fail "says: $(cat err)"
sort strangers >before
sort orphans | diff before - >difference || fail "without the file: $(head -n 5 difference)"

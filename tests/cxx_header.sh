#!/bin/sh
# The C++ header compiles without a warning, for every compiler that is here, in each of the standards that it knows, and
# without exceptions and run-time type information.
set -eu

: "${top_srcdir:?}" "${CXX:=c++}"
compiled=0
for compiler in "$CXX" g++ clang++; do
    command -v "${compiler%% *}" >/dev/null || continue
    for flags in -std=c++17 -std=c++20 -std=c++23 '-std=c++17 -fno-exceptions -fno-rtti'; do
        # shellcheck disable=SC2086 # flags are words
        echo | $compiler $flags -x c++ -fsyntax-only - 2>/dev/null || continue
        # shellcheck disable=SC2086
        echo '#include "quarry/quarry.hpp"' | $compiler $flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror \
            -x c++ -fsyntax-only -I"$top_srcdir/include" - || {
            echo "cxx_header: $compiler $flags" >&2
            exit 1
        }
        compiled=$((compiled + 1))
    done
done
[ "$compiled" -gt 0 ] || {
    echo 'cxx_header: no C++17 compiler'
    exit 77
}

#!/usr/bin/env bash
# cmake: configures a C project (its checks run the compiler), builds it, runs its tests and installs it, with every
# process preloaded; and a script without any project.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require CMAKE cmake
require CTEST ctest
require_tool make
require_compiler

cat >script.cmake <<'CMAKE'
set(names)
foreach(i RANGE 3000)
    math(EXPR n "(${i} * 7919) % 3001")
    list(APPEND names "name-${n}")
endforeach()
list(SORT names COMPARE NATURAL)
list(REMOVE_DUPLICATES names)
list(LENGTH names length)
string(JOIN "," joined ${names})
string(SHA256 hash "${joined}")
string(REGEX REPLACE "([0-9])([0-9])" "\\2\\1" swapped "${joined}")
string(MD5 swapped_hash "${swapped}")
message(STATUS "${length} ${hash} ${swapped_hash}")
string(JSON item ERROR_VARIABLE error GET [[{"a": [1, {"b": "text"}]}]] a 1 b)
message(STATUS "${item} ${error}")
file(WRITE dir/file "${joined}")
file(ARCHIVE_CREATE OUTPUT archive.tar PATHS dir FORMAT gnutar MTIME 0)
file(ARCHIVE_EXTRACT INPUT archive.tar DESTINATION unpacked)
file(SHA1 unpacked/dir/file hash)
message(STATUS "${hash}")
execute_process(COMMAND cat dir/file COMMAND tr a-z A-Z OUTPUT_VARIABLE upper)
string(LENGTH "${upper}" length)
message(STATUS "${length}")
CMAKE
run_both_ok script "$CMAKE" -P script.cmake

mkdir project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(sample C)
include(CheckFunctionExists)
check_function_exists(strdup HAVE_STRDUP)
configure_file(config.h.in config.h)
foreach(i RANGE 1 12)
    file(WRITE ${CMAKE_BINARY_DIR}/part${i}.c "int part${i}(int x) { return x + ${i}; }\n")
    list(APPEND parts ${CMAKE_BINARY_DIR}/part${i}.c)
endforeach()
add_library(parts STATIC ${parts})
add_executable(sample main.c)
target_include_directories(sample PRIVATE ${CMAKE_BINARY_DIR})
target_link_libraries(sample parts)
install(TARGETS sample DESTINATION bin)
enable_testing()
add_test(NAME runs COMMAND sample)
CMAKE
echo '#cmakedefine HAVE_STRDUP' >project/config.h.in
cat >project/main.c <<'SOURCE'
#include "config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int part1(int), part7(int), part12(int);
int main(void)
{
#ifdef HAVE_STRDUP
    char *s = strdup("sample");
    printf("%s %d\n", s, part1(part7(part12(0))));
    free(s);
#endif
    return 0;
}
SOURCE
export CC
preloaded "$CMAKE" -G 'Unix Makefiles' -S project -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$WORK/root" \
    >configure.log 2>&1 || fail "configure"
grep -q 'Looking for strdup - found' configure.log
preloaded "$CMAKE" --build build -j 2 >build.log 2>&1 || fail "build"
(cd build && preloaded "$CTEST" --output-on-failure) >ctest.log 2>&1 || fail "ctest"
preloaded "$CMAKE" --install build >install.log 2>&1 || fail "install"
assert_equal "sample 20" "$(preloaded root/bin/sample)" "the installed program"

#!/bin/sh
# Compiles and runs the C programs that README.md shows, exactly as it shows them: without a warning, linked with -lquarry,
# and with no error. Where the text goes on with "It prints `WORDS`.", that must be what it prints.
#
# README    the file to look into (README.md of the sources)
set -eu

readme=${README:-${top_srcdir:?}/README.md}
cc=${CC:-cc}
libraries=$(dirname "${QUARRY_LIB:?the library to link}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Blocks between ```c and ``` become 1.c, 2.c …; what they must print goes to 1.expected …
awk -v folder="$work" '
    /^```c$/ { number++; inside = 1; next }
    /^```/ && inside { inside = 0; next }
    inside { print > (folder "/" number ".c") }
    !inside && number && match($0, /It prints `[^`]*`/) {
        print substr($0, RSTART + 11, RLENGTH - 12) > (folder "/" number ".expected")
    }
' "$readme"

found=0
for source in "$work"/*.c; do
    grep -qs 'int main' "$source" || continue
    found=$((found + 1))
    program=${source%.c}
    # shellcheck disable=SC2086 # CC may have options
    $cc -std=gnu17 -O2 -Wall -Wextra -Werror -I"${top_srcdir:?}/include" -o "$program" "$source" \
        -L"$libraries" -lquarry -Wl,-rpath,"$libraries" -pthread
    "$program" </dev/null >"$program.out"
    cat "$program.out"
    if [ -f "$program.expected" ] && [ "$(cat "$program.out")" != "$(cat "$program.expected")" ]; then
        echo "FAILED: that should have been: $(cat "$program.expected")" >&2
        exit 1
    fi
done

if [ "$found" -eq 0 ]; then
    echo "SKIP: $readme shows no C program"
    exit 77
fi
echo "ok: $found of the programs in $readme"

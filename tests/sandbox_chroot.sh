#!/bin/sh
# A chroot that holds a program and its libraries, and neither /proc nor /sys nor /dev.
set -eu
: "${top_builddir:?}"

program=$top_builddir/tests/sandbox_workout
if [ ! -f "$QUARRY_LIB" ]; then
    echo "no library at $QUARRY_LIB" >&2
    exit 99
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if [ "$(id -u)" -eq 0 ]; then
    set -- chroot
elif unshare --user --map-root-user chroot / true 2>/dev/null; then
    set -- unshare --user --map-root-user chroot
else
    echo "needs root or user namespaces"
    exit 77
fi

cp "$program" "$folder/program"
cp -L "$QUARRY_LIB" "$folder/libquarry.so"
loader=
for file in $(ldd "$program" "$QUARRY_LIB" | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
    [ -f "$file" ] || continue # "FILE:" is a heading
    mkdir -p "$folder${file%/*}"
    cp -L "$file" "$folder$file"
    case ${file##*/} in ld-*) loader=$file ;; esac
done
if [ -z "$loader" ]; then
    echo "cannot tell which file is the dynamic loader"
    exit 77
fi

# Through the loader: with LD_PRELOAD in the environment, chroot itself would load the library, outside.
status=0
BLACKBOX_LIB=/libquarry.so timeout -k 5 60 "$@" "$folder" "$loader" --preload /libquarry.so /program 2>"$folder/err" || status=$?
cat "$folder/err" >&2
if grep -q 'cannot be preloaded' "$folder/err"; then
    echo "the library was not preloaded" >&2
    exit 1
fi
exit "$status"
